"""Samples of shards for a torch DataLoader: dictionaries of arrays, each sample once over all workers and ranks."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from posedreamer.seeds import generator_for
from posedreamer.storage.arrays import LABEL_ARRAYS, npz_to_arrays
from posedreamer.storage.codec import IMAGE_SUFFIXES, read_record
from posedreamer.storage.files import open_filesystem
from posedreamer.storage.images import decode_gray, decode_rgb
from posedreamer.storage.locate import find_tars
from posedreamer.storage.tarball import read_groups

Item = TypeVar("Item")
MAP_FIELDS = ("image", "condition", "mask", "depth")
RECORD_FIELDS = ("prompt", "source", "tags", "attributes", "scores", "generator", "seed", "width", "height", "json")
# Left out unless asked for: torch's default_collate cannot put lists of unequal length or differing names in a batch.
_UNEQUAL_FIELDS = ("tags", "attributes", "scores")
DEFAULT_FIELDS = (*MAP_FIELDS, *LABEL_ARRAYS, *(name for name in RECORD_FIELDS if name not in _UNEQUAL_FIELDS))


def open_shards(
    path: str | Path,
    *,
    fields: Sequence[str] | None = None,
    shuffle: int = 0,
    seed: int = 0,
    split: Literal["shard", "sample"] = "shard",
) -> "ShardDataset":
    """A torch IterableDataset over the samples of a run, a folder of tars, one tar, a glob or a brace pattern; also URLs.

    Yields a dictionary a sample: `key`, and the fields asked for (None: DEFAULT_FIELDS, which default_collate can batch).
    image, condition: uint8 (h, w, 3); mask: bool (h, w); depth: float32 metres, 0 = background; label arrays by name;
    prompt, source, generator, seed, width, height, tags, attributes, scores (NaN = not measured); json: the record's text.
    Members of other fields are not decoded.

    shuffle: size of the shuffle buffer; above 0 the order of the shards is drawn too, anew after `set_epoch`.
    split: what is dealt out over workers and ranks. `shard`: each tar is read once (a consumer beyond the number of tars
    gets none); `sample`: shares differ by one sample at most, but everyone reads all tars.
    """
    return ShardDataset(find_tars(path), DEFAULT_FIELDS if fields is None else tuple(fields), shuffle, seed, split)


class ShardDataset(IterableDataset[dict[str, Any]]):
    """See `open_shards`. `tars` lists what is read; opening costs nothing but that list."""

    def __init__(
        self, tars: Sequence[str], fields: Sequence[str], shuffle: int, seed: int, split: Literal["shard", "sample"]
    ) -> None:
        unknown = sorted(set(fields) - {"key", *MAP_FIELDS, *LABEL_ARRAYS, *RECORD_FIELDS})
        if unknown:
            raise ValueError(f"open_shards: unknown fields {unknown}")
        if shuffle < 0 or split not in ("shard", "sample"):
            raise ValueError(f"open_shards: got shuffle {shuffle} and split {split!r}")
        self.tars, self.fields, self.shuffle, self.seed, self.split = list(tars), tuple(fields), shuffle, seed, split
        # Shared, so that workers which outlive an epoch see it too.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Draws another order from the next iteration on."""
        self._epoch[0] = epoch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        consumer, consumers = _place_among_consumers()
        tars, epoch = self.tars, int(self._epoch[0])
        if self.shuffle:
            order = generator_for(self.seed, f"epoch-{epoch}", "shard order").permutation(len(tars))
            tars = [tars[index] for index in order]
        if self.split == "shard":
            mine: Iterable[_Group] = _read_all(tars[consumer::consumers])
        else:
            mine = (group for number, group in enumerate(_read_all(tars)) if number % consumers == consumer)
        if self.shuffle:
            mine = _shuffled(mine, self.shuffle, generator_for(self.seed, f"epoch-{epoch}-{consumer}", "sample order"))
        for tar, key, members in mine:
            yield decode_fields(key, members, self.fields, f"{tar}: key {key}")


def decode_fields(key: str, members: Mapping[str, bytes], fields: Sequence[str], where: str) -> dict[str, Any]:
    """The fields asked for, of one sample's members {suffix: content}; what is not asked for is not decoded."""
    item: dict[str, Any] = {"key": key}
    arrays = [name for name in fields if name in LABEL_ARRAYS]
    if arrays:
        item |= npz_to_arrays(_member(members, "label.npz", where), f"{where}: label.npz", arrays)
    if "image" in fields:
        suffix = next((suffix for suffix in IMAGE_SUFFIXES if suffix in members), IMAGE_SUFFIXES[0])
        item["image"] = decode_rgb(_member(members, suffix, where), f"{where}: {suffix}")
    if "condition" in fields:
        item["condition"] = decode_rgb(_member(members, "condition.png", where), f"{where}: condition.png")
    if "mask" in fields:
        item["mask"] = decode_gray(_member(members, "mask.png", where), np.uint8, f"{where}: mask.png") > 0
    if "depth" in fields:
        depth_mm = decode_gray(_member(members, "depth.png", where), np.uint16, f"{where}: depth.png")
        item["depth"] = depth_mm.astype(np.float32) / np.float32(1000)
    wanted = [name for name in RECORD_FIELDS if name in fields]
    if wanted:
        record = read_record(members, where)
        record["json"] = members["json"].decode()
        record["scores"] = {name: float("nan") if value is None else value for name, value in record["scores"].items()}
        item |= {name: record[name] for name in wanted}
    return item


_Group = tuple[str, str, dict[str, bytes]]


def _read_all(tars: Iterable[str]) -> Iterator[_Group]:
    for tar in tars:
        filesystem, inside = open_filesystem(tar)
        with filesystem.open(inside, "rb") as stream:
            for key, members in read_groups(stream, tar):
                yield tar, key, members


def _shuffled(items: Iterable[Item], size: int, rng: np.random.Generator) -> Iterator[Item]:
    buffer: list[Item] = []
    for item in items:
        if len(buffer) < size:
            buffer.append(item)
            continue
        place = int(rng.integers(size))
        buffer[place], item = item, buffer[place]
        yield item
    for place in rng.permutation(len(buffer)):
        yield buffer[place]


def _place_among_consumers() -> tuple[int, int]:
    """(number of this consumer, number of consumers), over ranks and the DataLoader workers of each."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    else:
        rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    info = get_worker_info()
    worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
    return rank * workers + worker, ranks * workers


def _member(members: Mapping[str, bytes], suffix: str, where: str) -> bytes:
    if suffix not in members:
        raise ValueError(f"{where}: no {suffix} member, got {sorted(members)}")
    return members[suffix]
