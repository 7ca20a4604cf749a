"""The watchdog: a run in which no shard finishes for too long is stopped with the list of what is missing, never hangs."""

import queue
import threading
import time
from collections.abc import Iterator, Sequence

from posedreamer.config import Config
from posedreamer.storage.stats import ShardStats


class Stalled(RuntimeError):
    """No shard has finished for too long."""


def watched(rows: Iterator[ShardStats], shards: Sequence[int], config: Config) -> Iterator[ShardStats]:
    """Passes `rows` on; raises Stalled when the next one takes too long.

    Too long is stall_factor times the longest wait for a shard so far, and at least stall_floor_s.
    """
    arrived: queue.Queue[ShardStats | BaseException | None] = queue.Queue()

    def consume() -> None:
        try:
            for row in rows:
                arrived.put(row)
            arrived.put(None)
        except BaseException as error:
            arrived.put(error)

    # A daemon: when the cluster hangs, this thread hangs with it, and must not keep the process alive.
    threading.Thread(target=consume, daemon=True, name="posedreamer-shards").start()
    missing = set(shards)
    longest = 0.0
    while True:
        patience = max(config.engine.stall_floor_s, config.engine.stall_factor * longest)
        started = time.monotonic()
        try:
            item = arrived.get(timeout=patience)
        except queue.Empty:
            raise Stalled(
                f"no shard finished for {patience:.0f} s (the longest wait before was {longest:.0f} s);"
                f" missing shards: {sorted(missing)}"
            ) from None
        longest = max(longest, time.monotonic() - started)
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        missing.discard(item.shard)
        yield item
