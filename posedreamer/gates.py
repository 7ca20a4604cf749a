"""Gates: a long run that has drifted stops by itself, instead of filling a disk with what nobody wants.

Every so many finished shards their figures are compared with the config's gates, those shards alone, so that a good beginning hides
nothing. What was written stays; with a wider gate, or what was wrong mended, the same command goes on.
"""

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posedreamer.config import Config
from posedreamer.engine_config import GateConfig
from posedreamer.estimators.features import FeatureExtractor
from posedreamer.metrics.reference import MIN_IMAGES, distance_to_reference
from posedreamer.report.set_distance import MAX_IMAGES, kept_images, reference_folder
from posedreamer.storage.index import read_shard_index
from posedreamer.storage.stats import ShardStats

log = logging.getLogger(__name__)
NO_GATE = GateConfig()


class GateClosed(ValueError):
    """A figure left its gate: says which, where, got and expected."""


class Gates:
    """Watches a run's shards as they are finished. A context: the reference pictures are made once, when first needed."""

    def __init__(self, config: Config, run_dir: str) -> None:
        self.config, self.run_dir = config, run_dir
        self.window: list[ShardStats] = []
        self.stack = contextlib.ExitStack()
        self.reference: Path | None = None
        self.extractor = FeatureExtractor()

    def __enter__(self) -> "Gates":
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def add_shard(self, stats: ShardStats, is_new: bool) -> None:
        """Takes note of a shard; those of an earlier call have been let through. GateClosed when a window of shards is beyond a gate."""
        if not is_new:
            return
        self.window.append(stats)
        if len(self.window) == self.config.gates.every:
            window, self.window = self.window, []
            self._check(window)

    def _check(self, window: Sequence[ShardStats]) -> None:
        gates = self.config.gates
        where = f"shards {min(s.shard for s in window):06d} to {max(s.shard for s in window):06d}"
        if gates.keep_rate != NO_GATE:
            attempted = sum(stats.attempted for stats in window)
            check_gate("keep_rate", sum(stats.kept for stats in window) / attempted, gates.keep_rate, where)
        if gates.oks != NO_GATE:
            check_gate("oks", self._mean_oks(window), gates.oks, where)
        if gates.kid_effnet != NO_GATE:
            images = kept_images(self.run_dir, MAX_IMAGES, [stats.shard for stats in window])
            if len(images) < MIN_IMAGES:
                log.warning("gate kid_effnet: %s keep %d pictures, too few to measure (%d)", where, len(images), MIN_IMAGES)  # fmt: skip
                return
            if self.reference is None:
                self.reference = self.stack.enter_context(reference_folder(self.config))
                self.extractor.setup()
            distance = distance_to_reference(images, self.reference, self.extractor)
            check_gate("kid_effnet", distance.kid_effnet, gates.kid_effnet, where)

    def _mean_oks(self, window: Sequence[ShardStats]) -> float:
        columns = [read_shard_index(self.run_dir, stats.shard, ["score_oks"]).column(0).to_pylist() for stats in window]
        known = [value for column in columns for value in column if value is not None]
        return float(np.mean(known)) if known else float("nan")


def check_gate(name: str, value: float, gate: GateConfig, where: str) -> None:
    """GateClosed when a figure is beyond its gate, or is none at all."""
    least, most = (-np.inf if gate.min is None else gate.min), (np.inf if gate.max is None else gate.max)
    if not least <= value <= most:
        raise GateClosed(
            f"gate {name}: {where} have {value:.4g}, expected {least:g} to {most:g}; what is written stays"
        )
    log.info("gate %s: %s have %.4g, within %g to %g", name, where, value, least, most)
