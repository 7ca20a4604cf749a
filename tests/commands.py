"""The command line as its users call it: a process of its own, started in the root of the repository."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
POSEDREAMER = str(Path(sys.executable).with_name("posedreamer"))


def sets(overrides: Iterable[str]) -> list[str]:
    """The overrides `a.b=value` as the command line takes them."""
    return [part for override in overrides for part in ("--set", override)]


def posedreamer(*arguments: str, expect: int = 0) -> str:
    """Runs `posedreamer <arguments>`, asserts its exit status, and returns what it printed to both streams."""
    done = subprocess.run(
        [POSEDREAMER, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == expect, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr
