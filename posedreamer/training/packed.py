"""Packed data sets: arrays as memory maps with a row a sample, written in chunks that any number of processes may share.

A folder holds `<array>.npy`, `<list>.json` (lists with a row a sample) and `dataset.json` (what it was made with). Each chunk is a
pure function of that; `chunks/00012.json`, written last, holds its lists and says that its rows are there. So a killed run goes
on where it was, and any number of processes ends with the same data.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posedreamer.strict import differences

logger = logging.getLogger(__name__)

CHUNK_SIZE = 128
LOGGED_EVERY = 8  # chunks

RowType = tuple[tuple[int, ...], str]  # shape and dtype of one row of an array
Rows = tuple[Mapping[str, np.ndarray], Mapping[str, list[Any]]]  # arrays and lists of some rows


def create_packed(folder: Path, settings: Mapping[str, Any], arrays: Mapping[str, RowType]) -> list[int]:
    """Makes the empty arrays, or checks that the folder holds the same data set begun earlier; returns all chunks.

    settings: what the set is made from, with its `count`. A folder of another data set is a ValueError that names the difference.
    """
    wanted, path, count = {**settings, "chunk_size": CHUNK_SIZE}, folder / "dataset.json", int(settings["count"])
    if path.exists():
        differing = differences(json.loads(path.read_text()), wanted)
        if differing:
            raise ValueError(f"data set {folder}: belongs to another run: {differing}")
    else:
        (folder / "chunks").mkdir(parents=True, exist_ok=True)
        for name, (shape, dtype) in arrays.items():
            np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=(count, *shape)).flush()
        _write_json(path, wanted)
    return list(range(-(-count // CHUNK_SIZE)))


def write_chunk(folder: Path, chunk: int, make: Callable[[range], Rows]) -> bool:
    """Writes a chunk of a created data set, unless it is there already. make: arrays and lists of the rows it is given."""
    mark = folder / "chunks" / f"{chunk:05d}.json"
    if mark.exists():
        return False
    settings = _settings(folder)
    size = settings["chunk_size"]
    rows = range(chunk * size, min((chunk + 1) * size, settings["count"]))
    arrays, lists = make(rows)
    for name, values in arrays.items():
        stored = np.load(folder / f"{name}.npy", mmap_mode="r+", allow_pickle=False)
        stored[rows.start : rows.stop] = values
        stored.flush()
    _write_json(mark, dict(lists))
    return True


def write_in_processes(write: Callable[[int], bool], chunks: Sequence[int], processes: int) -> None:
    """Calls `write` for every chunk in so many processes of its own; it has to be a function that can be sent to them."""
    start = time.monotonic()
    alone: Any = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), **alone) as pool:
        for done, _ in enumerate(pool.map(write, chunks), start=1):
            if done % LOGGED_EVERY == 0 or done == len(chunks):
                logger.info("%d/%d chunks, %.0f s", done, len(chunks), time.monotonic() - start)


def finish_packed(folder: Path) -> int:
    """Gathers the chunks' lists into one file each; returns how many rows there are. A chunk that is missing is a ValueError."""
    settings = _settings(folder)
    for name, rows in _lists(folder, -(-settings["count"] // settings["chunk_size"])).items():
        _write_json(folder / f"{name}.json", rows)
    return settings["count"]


def open_packed(folder: Path, arrays: Sequence[str], count: int | None = None, split: str | None = None) -> Rows:
    """The first `count` rows, or all: arrays as memory maps, and lists.

    What is missing, or another split than is wanted, is a ValueError that says which. A data set may be opened while it is
    written, as far as its chunks are there.
    """
    settings = _settings(folder)
    wanted = int(settings["count"]) if count is None else count
    if wanted > settings["count"]:
        raise ValueError(f"data set {folder}: has {settings['count']} rows, expected at least {wanted}")
    if split is not None and settings["split"] != split:
        raise ValueError(f"data set {folder}: is of the split {settings['split']}, expected {split}")
    lists = _lists(folder, -(-wanted // settings["chunk_size"]))
    stored = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)[:wanted] for name in arrays}
    return stored, {name: rows[:wanted] for name, rows in lists.items()}


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    if not path.is_file():
        raise ValueError(f"data set {folder}: {path.name} is missing; render it first")
    return json.loads(path.read_text())


def _lists(folder: Path, chunks: int) -> dict[str, list[Any]]:
    """What the first chunks say of their rows, by name; a chunk that is missing is a ValueError."""
    marks = [folder / "chunks" / f"{chunk:05d}.json" for chunk in range(chunks)]
    missing = [mark.stem for mark in marks if not mark.exists()]
    if missing:
        raise ValueError(f"data set {folder}: {len(missing)} chunks are missing: {', '.join(missing[:8])}")
    said = [json.loads(mark.read_text()) for mark in marks]
    return {name: [row for chunk in said for row in chunk[name]] for name in (said[0] if said else ())}


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content))
    temporary.rename(path)
