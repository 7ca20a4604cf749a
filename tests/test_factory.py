"""The engine: the same bytes whatever is killed, resumed, or run on more actors; nothing vanishes, bad samples stay alone.

The stages are fakes (tests/fake_line.py), so what is measured here is the engine and the shard writer.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from killing import content, finish, kill_five_times, start

from posedreamer.config import Config
from posedreamer.engine_config import PoolConfig
from posedreamer.factory import StageActor, _map_pool, apply_stage, start_shard
from posedreamer.sample import Sample, split_key
from posedreamer.storage.index import read_index

FAKE_LINE = Path(__file__).with_name("fake_line.py")


def run(run_dir: Path, actors: int = 1, pause: float = 0.0) -> subprocess.Popen[bytes]:
    return start([sys.executable, str(FAKE_LINE), str(run_dir), str(actors), str(pause)], run_dir)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(run(run_dir), run_dir)
    return run_dir


@pytest.mark.slow
def test_two_actors_a_stage_make_the_same_bytes(tmp_path: Path, undisturbed: Path) -> None:
    finish(run(tmp_path / "run", actors=2), tmp_path / "run")
    assert content(tmp_path / "run") == content(undisturbed)


@pytest.mark.slow
def test_killed_five_times_and_resumed_it_makes_the_same_bytes(tmp_path: Path, undisturbed: Path) -> None:
    run_dir = tmp_path / "run"
    kill_five_times(run_dir, lambda: run(run_dir, pause=0.2), pause_s=0.3, seed=5)
    finish(run(run_dir), run_dir)
    assert content(run_dir) == content(undisturbed)


def test_every_attempted_sample_has_a_row_and_a_bad_one_stops_only_itself(undisturbed: Path) -> None:
    rows = read_index(undisturbed).to_pylist()
    assert len({row["key"] for row in rows}) == len(rows)
    for row in rows:
        assert (row["status"] == "failed") == row["key"].endswith("3")
        if row["status"] == "failed":
            assert row["reason"] == "generation: ValueError: a bad sample"


class Reordering:
    def setup(self) -> None: ...

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        return samples[::-1]


def test_a_stage_that_reorders_is_refused() -> None:
    samples = start_shard(Config(name="a", shard_size=2), 0, 0)
    with pytest.raises(ValueError, match="in order"):
        apply_stage("reordering", Reordering(), samples)


class Full(Reordering):
    def __call__(self, samples: list[Sample]) -> list[Sample]:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_no_sample_s_fault() -> None:
    with pytest.raises(OSError, match="No space"):
        apply_stage("full", Full(), start_shard(Config(name="a", shard_size=2), 0, 0))


def test_a_shard_has_every_candidate_of_its_labels() -> None:
    config = Config(name="a", shard_size=6, candidates=3)
    keys = [sample.key for sample in start_shard(config, 1, 2)]
    assert [split_key(key) for key in keys] == [
        (f"{config.key_hash[:8]}-r01-000002-{place:04d}", number) for place in range(2) for number in range(3)
    ]
    with pytest.raises(ValueError, match="multiple of candidates, got 5 and 3"):
        Config(name="a", shard_size=5, candidates=3)


class Rows:
    """A dataset of Ray's that only tells what it was asked."""

    def map_batches(self, actor: type, **asked: object) -> dict[str, object]:
        return asked


def test_a_stage_s_own_environment_goes_to_its_actors() -> None:
    environment = {"pip": ["another-regressor"]}
    asked = _map_pool(Rows(), 4, StageActor, PoolConfig(runtime_env=environment))
    assert asked["runtime_env"] == environment
    assert "runtime_env" not in _map_pool(Rows(), 4, StageActor, PoolConfig())
