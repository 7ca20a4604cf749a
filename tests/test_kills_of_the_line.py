"""The embedded default itself, killed five times: `make test-long`. tests/test_factory.py does the same on stages of no cost."""

import subprocess
from pathlib import Path

import pytest
from commands import POSEDREAMER, ROOT, sets
from killing import content, finish, kill_five_times, start

from posedreamer.bodies.catalog import load_body
from posedreamer.storage.verify import verify_run

SMALL = [
    "shard_size=4", "samples=1000", "rounds={first_share: 0.012, max_shards: 16}",
    "mining.curriculum={pool: 20, chosen: 10}", "generator.steps=6", "generator.batch_size=4", "reference.renders=32",
]  # fmt: skip


def run(run_dir: Path, actors: int = 1) -> subprocess.Popen[bytes]:
    engine = ", ".join(
        f"{stage}: {{actors: {actors}, cpus: 0.25}}" for stage in ("sampling", "generation", "mining", "filtering")
    )
    overrides = sets([*SMALL, f"engine={{{engine}}}"])
    command = [POSEDREAMER, "generate", "--config", "configs/nano.yaml", "--out", str(run_dir), *overrides]
    return start(command, run_dir, cwd=ROOT)


@pytest.mark.long
def test_killed_or_on_two_actors_the_line_makes_the_same_bytes(tmp_path: Path) -> None:
    undisturbed, killed, doubled = (tmp_path / name / "run" for name in ("undisturbed", "killed", "doubled"))
    for folder in (undisturbed, killed, doubled):
        folder.parent.mkdir()
    finish(run(undisturbed), undisturbed)
    kill_five_times(killed, lambda: run(killed), pause_s=3.0, seed=6)
    finish(run(killed), killed)
    finish(run(doubled, actors=2), doubled)
    expected = content(undisturbed)
    assert sum(name.startswith("shards/") and name.endswith(".parquet") for name in expected) == 16
    assert any(name.startswith("curriculum/") for name in expected)
    assert content(killed) == expected
    assert content(doubled) == expected
    assert verify_run(killed, load_body()).is_true
