"""The engine: the same bytes whatever is killed, resumed, or run on more actors; nothing vanishes, bad samples stay alone.

The stages are fakes (tests/fake_line.py), so what is measured here is the engine and the shard writer.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from posedreamer.config import Config
from posedreamer.factory import apply_stage, start_shard
from posedreamer.sample import Sample
from posedreamer.storage.index import read_index

FAKE_LINE = Path(__file__).with_name("fake_line.py")
TIMEOUT_S = 240


def start(run_dir: Path, actors: int = 1, pause: float = 0.0) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(FAKE_LINE), str(run_dir), str(actors), str(pause)]
    with run_dir.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def finish(run_dir: Path, actors: int = 1) -> None:
    process = start(run_dir, actors)
    assert process.wait(TIMEOUT_S) == 0, run_dir.with_suffix(".log").read_text()[-3000:]


def content(run_dir: Path) -> dict[str, str]:
    """Hashes of everything but the json files, which tell seconds."""
    files = sorted(path for path in run_dir.rglob("*") if path.is_file() and path.suffix != ".json")
    return {str(path.relative_to(run_dir)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def find(process: subprocess.Popen[bytes], name: str) -> psutil.Process | None:
    for child in descendants(process):
        try:
            if name in " ".join(child.cmdline()):
                return child
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return None


def wait_for_shards(run_dir: Path, process: subprocess.Popen[bytes], count: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while len(list(run_dir.glob("shards/*.json"))) < count:
        assert process.poll() is None, run_dir.with_suffix(".log").read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(run_dir)
    return run_dir


@pytest.mark.slow
def test_two_actors_a_stage_make_the_same_bytes(tmp_path: Path, undisturbed: Path) -> None:
    finish(tmp_path / "run", actors=2)
    assert content(tmp_path / "run") == content(undisturbed)


@pytest.mark.slow
def test_killed_five_times_and_resumed_it_makes_the_same_bytes(tmp_path: Path, undisturbed: Path) -> None:
    run_dir = tmp_path / "run"
    rng = np.random.default_rng(5)
    victims = ["MapWorker", "driver", "raylet", "MapWorker", "driver"]
    for kill, victim in enumerate(victims):
        process = start(run_dir, pause=0.1)
        wait_for_shards(run_dir, process, kill + 1)
        time.sleep(float(rng.uniform(0.0, 0.3)))
        workers = descendants(process)
        target = psutil.Process(process.pid) if victim == "driver" else find(process, victim)
        assert target is not None, f"no {victim} to kill"
        os.kill(target.pid, signal.SIGKILL)
        if victim == "MapWorker":  # Ray starts it again; the run goes on, and is ended by the next victim
            wait_for_shards(run_dir, process, kill + 2)
            process.kill()
        process.wait(TIMEOUT_S)
        assert process.returncode != 0
        psutil.wait_procs(workers, timeout=30)
    finish(run_dir)
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
