"""The watchdog: rows pass through, errors come up, and a wait that is too long ends the run with the missing shards."""

import threading
from collections.abc import Iterator

import pytest

from posedreamer.config import Config
from posedreamer.storage.stats import ShardStats
from posedreamer.watch import Stalled, watched


def config(floor_s: float) -> Config:
    return Config.model_validate({"name": "watch", "engine": {"stall_floor_s": floor_s, "stall_factor": 1.0}})


def stats(shard: int) -> ShardStats:
    return ShardStats(shard=shard, round=0, attempted=1, kept=1, rejected=0, failed=0)


def test_rows_pass_in_their_order() -> None:
    rows = [stats(2), stats(0), stats(1)]
    assert list(watched(iter(rows), [0, 1, 2], config(60.0))) == rows


def test_a_stall_names_the_missing_shards() -> None:
    forever = threading.Event()

    def rows() -> Iterator[ShardStats]:
        yield stats(1)
        forever.wait(30.0)

    seen = []
    with pytest.raises(Stalled, match=r"missing shards: \[0, 2\]"):
        for row in watched(rows(), [0, 1, 2], config(0.2)):
            seen.append(row.shard)
    forever.set()
    assert seen == [1]


def test_an_error_of_the_rows_comes_up() -> None:
    def rows() -> Iterator[ShardStats]:
        yield stats(0)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        list(watched(rows(), [0, 1], config(60.0)))
