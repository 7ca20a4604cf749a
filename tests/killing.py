"""Runs that are killed while they work: start, wait for shards, SIGKILL a part of it, start again."""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

TIMEOUT_S = 240
VICTIMS = ("MapWorker", "driver", "raylet", "MapWorker", "driver")


def start(command: Sequence[str], run_dir: Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """The command as a process of its own session, with its output in `<run_dir>.log`."""
    with run_dir.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(list(command), stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=cwd)


def log_of(run_dir: Path) -> str:
    return run_dir.with_suffix(".log").read_text()[-3000:]


def end(processes: Sequence[psutil.Process]) -> None:
    """Kills what is left of them: Ray's own processes notice the death of their driver only after many seconds."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=30)


@contextmanager
def nothing_left(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """However the block ends, the run and all processes below it are dead afterwards.

    Nothing is seen below a driver that is dead already, so what runs in its session is ended too.
    """
    try:
        yield
    finally:
        below = descendants(process)
        process.kill()
        end([*below, *in_session(process.pid)])
        process.wait(TIMEOUT_S)


def in_session(leader: int) -> list[psutil.Process]:
    """The processes of the session that `start` began, whether its leader lives or not."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader:
                found.append(process)
    return found


def finish(process: subprocess.Popen[bytes], run_dir: Path) -> None:
    """Waits for the end of the run, which has to be a good one."""
    with nothing_left(process):
        try:
            status = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = None
        assert status == 0, log_of(run_dir)


def content(run_dir: Path) -> dict[str, str]:
    """Hashes of tars, tables and curricula; the other json files and the page tell seconds."""
    files = sorted(
        path for path in run_dir.rglob("*") if path.suffix in (".tar", ".parquet") or path.parent.name == "curriculum"
    )
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


def moments(process: subprocess.Popen[bytes], run_dir: Path) -> Iterator[None]:
    """Every 50 ms while the run works; if it ends, or after TIMEOUT_S, the test fails and shows the end of its log."""
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        yield
        time.sleep(0.05)
    pytest.fail(log_of(run_dir))


def wait_for(process: subprocess.Popen[bytes], run_dir: Path, name: str) -> psutil.Process:
    """A process below the run by a part of its command; between two rounds there are no actors for a while."""
    return next(found for _ in moments(process, run_dir) if (found := find(process, name)))


def shards_in(run_dir: Path) -> int:
    return len(list(run_dir.glob("shards/*.json")))


def wait_for_shards(process: subprocess.Popen[bytes], run_dir: Path, count: int) -> None:
    next(True for _ in moments(process, run_dir) if shards_in(run_dir) >= count)


def kill_five_times(run_dir: Path, start_run: Callable[[], subprocess.Popen[bytes]], pause_s: float, seed: int) -> None:
    """Five unfinished runs, each ended by SIGKILL at a random moment up to `pause_s` after the first shard that it wrote.

    An actor, the driver, the raylet, an actor and the driver are killed. An actor is started again by Ray: the run has to
    write one more shard before its driver is killed too. So the run needs seven shards, and as many as are made in the pauses.
    """
    rng = np.random.default_rng(seed)
    for victim in VICTIMS:
        written = shards_in(run_dir)
        process = start_run()
        with nothing_left(process):
            wait_for_shards(process, run_dir, written + 1)
            time.sleep(float(rng.uniform(0.0, pause_s)))
            target = psutil.Process(process.pid) if victim == "driver" else wait_for(process, run_dir, victim)
            written = shards_in(run_dir)
            os.kill(target.pid, signal.SIGKILL)
            if victim == "MapWorker":
                wait_for_shards(process, run_dir, written + 1)
                process.kill()
            assert process.wait(TIMEOUT_S) != 0, log_of(run_dir)
