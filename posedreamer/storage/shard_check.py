"""Everything that must hold within one finished shard: hashes, counts, schema, index against tar, and each label (truth.py)."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posedreamer.bodies.body import BodyModel
from posedreamer.rendering.conditions import CONDITION_KINDS
from posedreamer.storage.arrays import LABEL_ARRAYS, arrays_to_label, npz_to_arrays
from posedreamer.storage.codec import IMAGE_SUFFIXES, MEMBER_SUFFIXES, read_record
from posedreamer.storage.files import file_exists, join, read_file
from posedreamer.storage.images import decode_gray, decode_rgb
from posedreamer.storage.index import RECORD_COLUMNS, SCORE_PREFIX, array_column
from posedreamer.storage.shard import count_rows
from posedreamer.storage.stats import ShardStats, read_stats
from posedreamer.storage.tarball import read_groups
from posedreamer.storage.truth import StoredMaps, label_problems


class Problem(NamedTuple):
    """One thing that is untrue; key is None where it is about a file or a shard."""

    where: str
    key: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {'' if self.key is None else f'{self.key}: '}{self.reason}"


class ShardCheck(NamedTuple):
    """keys: of all rows of the index; samples: how many were drawn again."""

    keys: list[str]
    samples: int
    problems: list[Problem]


def check_shard(
    run_dir: str | Path, shard: int, body: BodyModel, body_record: Mapping[str, str], keeps_rejects: bool = True
) -> ShardCheck:
    """All problems of a finished shard. body_record: what each sample must say of its body; keeps_rejects: whether all rejected
    samples are stored, or only those that refiltering took out.
    """
    mark = f"shards/{shard:06d}.json"
    try:
        stats = read_stats(run_dir, shard)
    except ValueError as error:
        return ShardCheck([], 0, [Problem(mark, None, str(error))])
    files, problems = _read_files(run_dir, shard, stats)
    parquet = f"shards/{shard:06d}.parquet"
    try:
        table = _read_rows(files.get(parquet, b""))
    except (ValueError, pa.ArrowException) as error:
        return ShardCheck([], 0, [*problems, Problem(parquet, None, f"no readable index: {error}")])
    problems += [Problem(parquet, None, reason) for reason in _count_problems(table, stats)]
    samples = 0
    for folder, status in (("shards", "kept"), ("rejects", "rejected")):
        name = f"{folder}/{shard:06d}.tar"
        expected = _keys_in_tar(table, status)
        if name in files:
            is_all = status == "kept" or keeps_rejects
            checked = list(_tar_problems(name, files[name], table, expected, is_all, status, body, body_record))
            problems += [problem for problem in checked if problem is not None]
            samples += checked.count(None)
        elif status == "kept" and expected:
            problems.append(Problem(name, None, f"no tar, but the index has {len(expected)} kept rows"))
    return ShardCheck(table.column("key").to_pylist(), samples, problems)


def _read_files(run_dir: str | Path, shard: int, stats: ShardStats) -> tuple[dict[str, bytes], list[Problem]]:
    known = [f"shards/{shard:06d}.tar", f"rejects/{shard:06d}.tar", f"shards/{shard:06d}.parquet"]
    files, problems = {}, []
    for name in [*known, *sorted(stats.sha256.keys() - set(known))]:
        listed = stats.sha256.get(name)
        if file_exists(join(run_dir, name)):
            files[name] = read_file(join(run_dir, name))
            found = hashlib.sha256(files[name]).hexdigest()
            if found != listed:
                problems.append(Problem(name, None, f"sha256 is {found}, expected {listed or 'no such file'}"))
        elif listed is not None:
            problems.append(Problem(name, None, "listed in the shard's json, but not there"))
    return files, problems


def _read_rows(content: bytes) -> pa.Table:
    table = pq.read_table(io.BytesIO(content))
    expected = {**RECORD_COLUMNS, **{name: array_column(spec) for name, spec in LABEL_ARRAYS.items()}}
    found = {field.name: field.type for field in table.schema}
    odd = [name for name, kind in expected.items() if found.get(name) != kind]
    odd += [name for name in found if name not in expected and not name.startswith(SCORE_PREFIX)]
    odd += [name for name, kind in found.items() if name.startswith(SCORE_PREFIX) and kind != pa.float64()]
    if odd:
        raise ValueError(f"columns missing, unknown or of another type: {odd}")
    return table


def _count_problems(table: pa.Table, stats: ShardStats) -> Iterator[str]:
    counted = count_rows(table)
    for name, value in counted.items():
        if value != getattr(stats, name):
            yield f"{name}: the index has {value}, the shard's json {getattr(stats, name)}"
    unknown = set(table.column("status").to_pylist()) - {"kept", "rejected", "failed"}
    if unknown:
        yield f"status: unknown {sorted(map(str, unknown))}"
    for name, expected in (
        ("shard", [stats.shard] * len(table)),
        ("round", [stats.round] * len(table)),
        ("place", list(range(len(table)))),
    ):
        if table.column(name).to_pylist() != expected:
            yield f"{name}: not what the shard's json says"
    twice = [key for key, count in Counter(table.column("key").to_pylist()).items() if count > 1]
    if twice:
        yield f"keys come twice: {twice}"


def _keys_in_tar(table: pa.Table, status: str) -> list[str]:
    # A sample that was rejected before it had an image has a row only.
    columns = zip(*(table.column(name).to_pylist() for name in ("key", "status", "generator")), strict=True)
    return [key for key, found, generator in columns if found == status and generator is not None]


def _tar_problems(
    name: str,
    content: bytes,
    table: pa.Table,
    expected: list[str],
    is_all: bool,
    status: str,
    body: BodyModel,
    body_record: Mapping[str, str],
) -> Iterator[Problem | None]:
    """The problems of a tar; None for each sample that was looked at, after its problems."""
    places = {key: place for place, key in enumerate(table.column("key").to_pylist())}
    found = []
    try:
        for key, members in read_groups(io.BytesIO(content), name):
            found.append(key)
            row = table.slice(places[key], 1) if key in places else None
            yield from (
                Problem(name, key, reason) for reason in _sample_problems(key, members, row, status, body, body_record)
            )
            yield None
    except ValueError as error:
        yield Problem(name, None, str(error))
    if not is_all:
        expected = [key for key in expected if key in found]
    if found != expected:
        missing = [key for key in expected if key not in found]
        yield from (Problem(name, key, f"{status} in the index, but not in the tar") for key in missing)
        if not missing:
            yield Problem(name, None, "its keys or their order are not those of the index")


def _sample_problems(
    key: str,
    members: Mapping[str, bytes],
    row: pa.Table | None,
    status: str,
    body: BodyModel,
    body_record: Mapping[str, str],
) -> Iterator[str]:
    image = next((suffix for suffix in IMAGE_SUFFIXES if suffix in members), "image")
    if list(members) != [image, *MEMBER_SUFFIXES]:
        yield f"members {list(members)}, expected {[image, *MEMBER_SUFFIXES]}"
        return
    try:
        record = read_record(members, "record")
        arrays = npz_to_arrays(members["label.npz"], "label.npz")
        rgb = decode_rgb(members[image], image)
        maps = _decode_maps(members)
    except ValueError as error:
        yield str(error)
        return
    if record["body"] != dict(body_record):
        yield f"json: body {record['body']}, expected {dict(body_record)}"
    if record["key"] != key or record["verdict"]["status"] != status or record["condition"] not in CONDITION_KINDS:
        yield f"json: key {record['key']}, verdict {record['verdict']}, condition {record['condition']}"
    if row is None:
        yield "not in the index"
    else:
        yield from _row_problems(row, record, arrays)
    size = (record["height"], record["width"])
    sizes = {image: rgb.shape[:2], **{name: map_.shape[:2] for name, map_ in maps._asdict().items()}}
    wrong = {name: shape for name, shape in sizes.items() if shape != size}
    if wrong:
        yield f"size: json says height, width {size}; {wrong}"
    else:
        label = arrays_to_label(arrays, record["width"], record["height"], record["source"], tuple(record["tags"]))
        yield from label_problems(label, maps, body)


def _decode_maps(members: Mapping[str, bytes]) -> StoredMaps:
    mask = decode_gray(members["mask.png"], np.uint8, "mask.png")
    if not ((mask == 0) | (mask == 255)).all():
        raise ValueError("mask.png: values other than 0 and 255")
    return StoredMaps(
        mask == 255,
        decode_gray(members["depth.png"], np.uint16, "depth.png"),
        decode_rgb(members["condition.png"], "condition.png"),
    )


def _row_problems(row: pa.Table, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """The index row against the sample's json and arrays: exactly equal."""
    for name, array in arrays.items():
        stored = row.column(name)[0]
        if not stored.is_valid or stored.values.to_numpy(zero_copy_only=False).tobytes() != array.tobytes():
            yield f"{name}: the index says otherwise than label.npz"
    values = {name: row.column(name)[0].as_py() for name in row.column_names if name not in arrays}
    stated = {
        **{name: record[name] for name in RECORD_COLUMNS if name in record},
        **{SCORE_PREFIX + name: value for name, value in record["scores"].items()},
        "status": record["verdict"]["status"],
        "reason": record["verdict"]["reason"],
    }
    if values["attributes"] is not None:
        values["attributes"] = json.loads(values["attributes"])
    for name, value in stated.items():
        if values.get(name) != value:
            yield f"{name}: the index says {values.get(name)!r}, the json {value!r}"
    unsaid = [name for name, value in values.items() if name.startswith(SCORE_PREFIX) and name not in stated and value]
    if unsaid:
        yield f"scores of the index that the json lacks: {unsaid}"
