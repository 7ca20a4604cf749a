"""Writing and reading one shard. Its json comes last: without it the shard is not done and will be made again.

Deterministic content under a fixed name, so a retried shard replaces itself, byte for byte.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from posedreamer.sample import Sample
from posedreamer.storage.codec import IMAGE_SUFFIXES, DrawControl, members_to_sample, sample_to_members
from posedreamer.storage.files import join, read_file, remove_file, write_file
from posedreamer.storage.images import ImageFormat, decode_rgb
from posedreamer.storage.index import samples_to_table, table_to_parquet
from posedreamer.storage.stats import ShardStats, is_done, read_stats, stats_to_json
from posedreamer.storage.tarball import members_to_tar, read_groups

Members = Sequence[tuple[str, bytes]]


def write_shard(
    run_dir: str | Path,
    shard: int,
    round_index: int,
    samples: Sequence[Sample],
    seconds: Mapping[str, float],
    *,
    body: Mapping[str, str],
    image_format: ImageFormat = "jpg",
    keep_rejects: bool = True,
) -> ShardStats:
    """Writes a shard's tar, rejects, index and, last, its json; returns what the json says.

    samples: all that were attempted, each with its verdict. A rejected sample goes into the rejects if it has all its
    parts; one that was rejected before it had an image has its row only, like a failed one. body: what each sample's json
    says of the body model (manifest.describe_body).
    """
    pending = [sample.key for sample in samples if sample.is_pending]
    if pending:
        raise ValueError(f"shard {shard:06d}: samples without a verdict: {pending}")
    kept = [sample for sample in samples if sample.verdict.status == "kept"]
    rejected = [sample for sample in samples if sample.verdict.status == "rejected" and _is_whole(sample)]
    return write_shard_files(
        run_dir,
        shard,
        round_index,
        _all_members(kept, image_format, body),
        _all_members(rejected, image_format, body) if keep_rejects else [],
        samples_to_table(samples, shard, round_index),
        seconds,
    )


def write_shard_files(
    run_dir: str | Path,
    shard: int,
    round_index: int,
    kept: Members,
    rejected: Members,
    table: pa.Table,
    seconds: Mapping[str, float],
) -> ShardStats:
    """As `write_shard`, from ready members and index rows: what a derived data set copies, without another encoding."""
    contents, stats = shard_files(shard, round_index, kept, rejected, table, seconds)
    _withdraw_mark(run_dir, stats)
    for name, content in contents.items():
        put_file(run_dir, name, content)
    write_mark(run_dir, stats)
    return stats


def shard_files(
    shard: int, round_index: int, kept: Members, rejected: Members, table: pa.Table, seconds: Mapping[str, float]
) -> tuple[dict[str, bytes | None], ShardStats]:
    """Name in the run -> content of each file of a shard but its json (None: there is to be none), and what that json says."""
    contents = {
        f"rejects/{shard:06d}.tar": members_to_tar(rejected) if rejected else None,
        f"shards/{shard:06d}.tar": members_to_tar(kept) if kept else None,
        f"shards/{shard:06d}.parquet": table_to_parquet(table),
    }
    return contents, _make_stats(shard, round_index, table, seconds, contents)


def put_file(run_dir: str | Path, name: str, content: bytes | None) -> None:
    """Writes a file of a run, or removes what an earlier attempt left."""
    if content is None:
        remove_file(join(run_dir, name))
    else:
        write_file(join(run_dir, name), content)


def write_mark(run_dir: str | Path, stats: ShardStats) -> None:
    """Writes the json of a shard, which means: done."""
    write_file(join(run_dir, _mark(stats)), stats_to_json(stats))


def read_groups_of(path: str | Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, {suffix: content}) of each sample in a tar of the contract."""
    return read_groups(io.BytesIO(read_file(path)), str(path))


def read_pictures(
    path: str | Path, keys: Collection[str] | None = None
) -> Iterator[tuple[str, UInt8[np.ndarray, "_h _w 3"]]]:
    """Key and picture of the samples (or of those named) in a tar of the contract; nothing else of them is decoded."""
    for key, members in read_groups_of(path):
        if keys is None or key in keys:
            suffix = next(suffix for suffix in IMAGE_SUFFIXES if suffix in members)
            yield key, decode_rgb(members[suffix], f"{path}: {key}.{suffix}")


def read_shard(path: str | Path, draw_control: DrawControl | None = None) -> Iterator[Sample]:
    """The samples in a tar of the contract, with images as the shard's format kept them.

    draw_control: needed where the generator was given another map than xyz, which shards do not hold (see codec.py).
    """
    return (members_to_sample(key, members, str(path), draw_control) for key, members in read_groups_of(path))


def count_rows(table: pa.Table) -> dict[str, Any]:
    """attempted, kept, rejected, failed, and reasons (failed ones under the words before the colon) of index rows."""
    statuses, reasons = table.column("status").to_pylist(), table.column("reason").to_pylist()
    words = Counter(reason.partition(":")[0] for reason in reasons if reason is not None)
    counts = {status: statuses.count(status) for status in ("kept", "rejected", "failed")}
    return {"attempted": len(statuses), **counts, "reasons": dict(sorted(words.items()))}


def _is_whole(sample: Sample) -> bool:
    return None not in (sample.label, sample.prompt, sample.condition, sample.image)


def _all_members(samples: Sequence[Sample], image_format: ImageFormat, body: Mapping[str, str]) -> Members:
    return [member for sample in samples for member in sample_to_members(sample, image_format, body)]


def _make_stats(
    shard: int, round_index: int, table: pa.Table, seconds: Mapping[str, float], contents: Mapping[str, bytes | None]
) -> ShardStats:
    keys = table.column("key").to_pylist()
    if len(set(keys)) != len(keys):
        raise ValueError(f"shard {shard:06d}: keys come twice: {[k for k, n in Counter(keys).items() if n > 1]}")
    return ShardStats(
        shard=shard,
        round=round_index,
        **count_rows(table),
        seconds=dict(seconds),
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in contents.items() if data is not None},
    )


def _mark(stats: ShardStats) -> str:
    return f"shards/{stats.shard:06d}.json"


def _withdraw_mark(run_dir: str | Path, stats: ShardStats) -> None:
    # A finished shard written again with the same content stays finished throughout; with another it is not, until the end.
    if is_done(run_dir, stats.shard) and read_stats(run_dir, stats.shard).sha256 != stats.sha256:
        remove_file(join(run_dir, _mark(stats)))
