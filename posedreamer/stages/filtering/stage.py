"""Stage 4: every check's measures for every sample, then the verdict: kept, or rejected by the first check that fails."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from posedreamer.sample import Sample, Verdict
from posedreamer.stages.filtering.checks import Check, Scores

log = logging.getLogger(__name__)


class FilteringStage:
    """The checks in the order in which they may speak. `setup` loads what they need."""

    def __init__(self, checks: Sequence[Check]) -> None:
        names = [check.name for check in checks]
        if len(set(names)) != len(names):
            raise ValueError(f"filtering: each check may stand once, got {names}")
        self.checks = tuple(checks)

    def check_inputs(self) -> dict[str, str]:
        """Finds what the checks need from outside, before any work; returns name -> identity."""
        return {name: identity for check in self.checks for name, identity in check.check_inputs().items()}

    def setup(self) -> None:
        for check in self.checks:
            check.setup()

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        return [self.judge(sample) if sample.is_pending else sample for sample in samples]

    def judge(self, sample: Sample) -> Sample:
        """The sample with all measures and its verdict; failed when a check cannot measure it at all."""
        scores = dict(sample.scores)
        try:
            for check in self.checks:
                scores |= check.score(sample)
        except ValueError as error:
            log.warning("filtering: %s", error)
            return replace(sample, scores=scores, verdict=Verdict("failed", f"filtering: {error}"))
        return replace(sample, scores=scores, verdict=self.decide(scores))

    def decide(self, scores: Scores) -> Verdict:
        """Kept, or rejected by the first check whose measures do not pass. A measure that is not there at all is a KeyError."""
        failing = next((check for check in self.checks if not check.passes(scores)), None)
        return Verdict("kept") if failing is None else Verdict("rejected", failing.reason)
