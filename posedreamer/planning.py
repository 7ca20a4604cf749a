"""How many shards each round has: a pure function of the config and of what the finished rounds kept.

So a resumed run plans what the undisturbed one planned, and the shards' numbers mean the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from posedreamer.config import Config

# A round that keeps almost nothing must not plan a million shards; the next round sees a truer rate.
LEAST_KEEP_RATE = 0.05


@dataclass(frozen=True)
class RoundCounts:
    """What a finished round did."""

    shards: int
    attempted: int
    kept: int


def plan_next_round(config: Config, finished: Sequence[RoundCounts]) -> range | None:
    """Shard numbers of the round that follows `finished`; None when the run is complete.

    The planned rounds (rounds.count) share the missing samples and have a shard at least; further rounds follow until
    `samples` are kept or `max_shards` are used up.
    """
    rounds = config.rounds
    first = sum(counts.shards for counts in finished)
    kept = sum(counts.kept for counts in finished)
    attempted = sum(counts.attempted for counts in finished)
    missing = config.samples - kept
    planned_left = rounds.count - len(finished)
    if missing <= 0 and planned_left <= 0:
        return None
    if not finished:
        wanted = config.samples * (rounds.first_share if rounds.count > 1 else 1.0)
        keep_rate = rounds.assumed_keep_rate
    else:
        wanted = missing / max(1, planned_left)
        keep_rate = max(LEAST_KEEP_RATE, kept / attempted)
    num_shards = max(1, math.ceil(wanted / (keep_rate * config.shard_size)))
    num_shards = min(num_shards, rounds.max_shards - first)
    return range(first, first + num_shards) if num_shards > 0 else None
