"""The json of a shard: counts, reasons, seconds, hashes. It is written last, and that it is there means: done."""

import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from posedreamer.storage.files import file_exists, join, list_files, read_file

_NAME = re.compile(r"(\d{6,})\.json")


@dataclass(frozen=True)
class ShardStats:
    """Figures of a finished shard; attempted = kept + rejected + failed.

    reasons: how often each reason was given, failed samples under the words before the colon of their error.
    seconds: wall time per stage, the one thing here that a second run does not repeat.
    sha256: name in the run directory -> hash, for each file of the shard.
    """

    shard: int
    round: int
    attempted: int
    kept: int
    rejected: int
    failed: int
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)


def stats_to_json(stats: ShardStats) -> bytes:
    """The file's content."""
    return (json.dumps(asdict(stats), sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def read_stats(run_dir: str | Path, shard: int) -> ShardStats:
    """The figures of a finished shard; FileNotFoundError when it is not finished, ValueError when the file is no such."""
    path = join(run_dir, f"shards/{shard:06d}.json")
    content = read_file(path)
    expected = sorted(item.name for item in fields(ShardStats))
    try:
        record = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(record, dict) or sorted(record) != expected:
        raise ValueError(f"{path}: got {sorted(record) if isinstance(record, dict) else record!r}, expected {expected}")
    stats = ShardStats(**record)
    if stats.attempted != stats.kept + stats.rejected + stats.failed:
        raise ValueError(
            f"{path}: attempted {stats.attempted}, expected {stats.kept} kept + {stats.rejected} rejected "
            f"+ {stats.failed} failed"
        )
    return stats


def finished_shards(run_dir: str | Path) -> list[int]:
    """Numbers of the shards that are done, ascending."""
    matches = [_NAME.fullmatch(name) for name in list_files(join(run_dir, "shards"), ".json")]
    return sorted(int(match[1]) for match in matches if match)


def is_done(run_dir: str | Path, shard: int) -> bool:
    """Whether the shard's json is there."""
    return file_exists(join(run_dir, f"shards/{shard:06d}.json"))
