"""Another verdict for samples that are stored: their tars, index and json are written again, the pictures as they are.

Killed at any moment, nothing is lost, and the same call again ends with the same bytes: while the tar of the kept samples changes,
the rejects hold all that come and go. The shard's json stays until the new one replaces it, so the shard is not made again; until
then its hashes are those of the files before. A sample that is rejected stays among the rejects, also where the run asked for none.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from posedreamer.sample import Verdict
from posedreamer.storage.codec import record_to_json
from posedreamer.storage.files import file_exists, join
from posedreamer.storage.index import SCORE_PREFIX, read_shard_index, rows_to_table
from posedreamer.storage.shard import Members, put_file, read_groups_of, shard_files, write_mark
from posedreamer.storage.stats import ShardStats, read_stats
from posedreamer.storage.tarball import members_to_tar


def rewrite_shard(run_dir: str | Path, shard: int, verdicts: Mapping[str, Verdict]) -> ShardStats:
    """Gives samples of a finished shard new verdicts; returns the shard's new figures.

    verdicts: key -> kept or rejected, for keys of the shard; others keep theirs. A sample that is to be kept, but of which
    only the row is left, is a ValueError before anything is written.
    """
    stats, table = read_stats(run_dir, shard), read_shard_index(run_dir, shard)
    keys = table.column("key").to_pylist()
    strange = sorted(set(verdicts) - set(keys))
    if strange:
        raise ValueError(f"shard {shard:06d}: holds no {', '.join(strange[:3])}")
    check_stored(run_dir, shard, verdicts)
    groups = _stored(run_dir, shard)
    table = _with_verdicts(table, verdicts)
    status = dict(zip(keys, table.column("status").to_pylist(), strict=True))
    stored = [key for key in keys if key in groups]
    members = {key: _members(key, groups[key], verdicts.get(key)) for key in stored}
    kept, rejected = (
        [member for key in stored if status[key] == wanted for member in members[key]]
        for wanted in ("kept", "rejected")
    )
    contents, stats = shard_files(shard, stats.round, kept, rejected, table, stats.seconds)
    moving = [key for key in stored if status[key] == "rejected" or key in verdicts]
    everything = [member for key in moving for member in members[key]]
    put_file(run_dir, f"rejects/{shard:06d}.tar", members_to_tar(everything) if everything else None)
    for name in sorted(contents, reverse=True):  # the kept samples' tar, then the rejects
        put_file(run_dir, name, contents[name])
    write_mark(run_dir, stats)
    return stats


def check_stored(run_dir: str | Path, shard: int, verdicts: Mapping[str, Verdict]) -> None:
    """ValueError when a sample is to be kept of which only the row is left."""
    wanted = [key for key, verdict in verdicts.items() if verdict.status == "kept"]
    stored = _stored(run_dir, shard) if wanted else {}
    if lost := [key for key in wanted if key not in stored]:
        raise ValueError(
            f"{run_dir}: shard {shard:06d}: {len(lost)} samples would be kept now, but their pictures were not "
            f"(storage.keep_rejects): {', '.join(lost[:3])}"
        )


def _stored(run_dir: str | Path, shard: int) -> dict[str, dict[str, bytes]]:
    names = [join(run_dir, f"{kind}/{shard:06d}.tar") for kind in ("rejects", "shards")]
    return {key: members for name in names if file_exists(name) for key, members in read_groups_of(name)}


def _with_verdicts(table: pa.Table, verdicts: Mapping[str, Verdict]) -> pa.Table:
    rows = table.to_pylist()
    for row in rows:
        if (verdict := verdicts.get(row["key"])) is not None:
            row |= {"status": verdict.status, "reason": verdict.reason}
    return rows_to_table(rows, (name for name in table.column_names if name.startswith(SCORE_PREFIX)))


def _members(key: str, members: Mapping[str, bytes], verdict: Verdict | None) -> Members:
    """The members of a sample, in their order, its json with the verdict."""
    changed = dict(members)
    if verdict is not None:
        record = json.loads(members["json"])
        changed["json"] = record_to_json(record | {"verdict": {"status": verdict.status, "reason": verdict.reason}})
    return [(f"{key}.{suffix}", content) for suffix, content in changed.items()]
