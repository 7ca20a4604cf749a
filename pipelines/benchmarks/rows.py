"""A row of BENCHMARKS.md, timing, and the hardware's name."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """name: what is measured; value: the figure or ratio; detail: absolute numbers; goal: what was wished for."""

    name: str
    value: str
    detail: str
    goal: str = ""


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Median wall seconds of a call, after one that does not count."""
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def paired_seconds(a: Callable[[], object], b: Callable[[], object], repeats: int = 7) -> tuple[float, float, float]:
    """Median seconds of a and of b, and the median of b / a, called in turn so that a drifting machine hits both."""
    a()
    b()
    pairs = []
    for _ in range(repeats):
        started = time.perf_counter()
        a()
        middle = time.perf_counter()
        b()
        pairs.append((middle - started, time.perf_counter() - middle))
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    return medians[0], medians[1], statistics.median(second / first for first, second in pairs)


def hardware() -> str:
    """Processor and number of cores; the GPU's name is for the rows that use one to add."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores"
