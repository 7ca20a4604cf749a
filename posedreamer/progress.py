"""What a person sees of a running line: kept, rejected by reason, rate, time left; on a terminal live, else a line a shard."""

import time
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from posedreamer.storage.stats import ShardStats


class ShardProgress:
    """Counts shards as they finish. Use as a context manager around the run."""

    def __init__(self, samples: int, console: Console) -> None:
        self.samples, self.console = samples, console
        self.attempted = self.kept = self.failed = 0
        self.reasons: Counter[str] = Counter()
        self.started = time.monotonic()
        self.attempted_before = 0
        self.bar = Progress(TextColumn("kept"), BarColumn(), TextColumn("{task.description}"), console=console)
        self.task = self.bar.add_task("starting", total=samples)

    def __enter__(self) -> "ShardProgress":
        self.started = time.monotonic()
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.bar.stop()

    def add_shard(self, stats: ShardStats, is_new: bool) -> None:
        """Takes a shard's figures; one that an earlier run finished (not is_new) does not count for the rate."""
        self.attempted += stats.attempted
        self.kept += stats.kept
        self.failed += stats.failed
        self.reasons.update(stats.reasons)
        if not is_new:
            self.attempted_before += stats.attempted
        line = self.describe()
        self.bar.update(self.task, completed=min(self.kept, self.samples), description=line)
        if not self.console.is_terminal:
            self.console.print(
                f"shard {stats.shard:06d} (round {stats.round}): {line}", highlight=False, soft_wrap=True
            )

    def describe(self) -> str:
        """`58 of 64 kept (72 %) | oks_low 14, exposure 3 | 1.9 samples/s | 0:12 left`."""
        parts = [f"{self.kept} of {self.samples} kept ({100 * self.kept / max(1, self.attempted):.0f} %)"]
        if self.reasons:
            parts.append(", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common()))
        attempted_here = self.attempted - self.attempted_before
        if attempted_here:
            rate = attempted_here / (time.monotonic() - self.started)
            parts.append(f"{rate:.2f} samples/s")
            missing = max(0, self.samples - self.kept)
            if missing and self.kept:
                seconds = missing * self.attempted / self.kept / rate
                parts.append(f"{int(seconds // 60)}:{int(seconds % 60):02d} left")
        return " | ".join(parts)
