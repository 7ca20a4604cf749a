"""Planning of rounds: whole shards, until enough is kept or the maximum is reached."""

from hypothesis import given
from hypothesis import strategies as st

from posedreamer.config import Config, RoundsConfig
from posedreamer.planning import RoundCounts, plan_next_round


def run_to_the_end(config: Config, keep_rate: float) -> list[RoundCounts]:
    finished: list[RoundCounts] = []
    while (shards := plan_next_round(config, finished)) is not None:
        attempted = len(shards) * config.shard_size
        finished.append(RoundCounts(len(shards), attempted, round(attempted * keep_rate)))
        assert len(finished) < 100
    return finished


@given(
    st.integers(1, 2000), st.integers(1, 64), st.integers(1, 4), st.floats(0.05, 1.0), st.floats(0.0, 1.0),
    st.integers(1, 60),
)  # fmt: skip
def test_a_run_ends_with_enough_or_at_the_maximum(
    samples: int, shard_size: int, count: int, first_share: float, keep_rate: float, max_shards: int
) -> None:
    rounds = RoundsConfig(count=count, first_share=first_share, max_shards=max_shards)
    config = Config(name="plan", samples=samples, shard_size=shard_size, rounds=rounds)
    finished = run_to_the_end(config, keep_rate)
    total_shards = sum(counts.shards for counts in finished)
    assert total_shards <= max_shards
    enough = sum(counts.kept for counts in finished) >= samples
    assert total_shards == max_shards or (enough and len(finished) >= count)


def test_shards_are_numbered_through_the_run() -> None:
    config = Config(name="plan", samples=64, shard_size=16)
    first = plan_next_round(config, [])
    assert first == range(0, 4)
    second = plan_next_round(config, [RoundCounts(4, 64, 32)])
    assert second == range(4, 8)
    assert plan_next_round(config, [RoundCounts(4, 64, 32), RoundCounts(4, 64, 32)]) is None


def test_a_planned_round_runs_even_when_the_first_kept_enough() -> None:
    config = Config(name="plan", samples=64, shard_size=16)
    assert plan_next_round(config, [RoundCounts(4, 64, 64)]) == range(4, 5)
