"""What the thresholds of a run do: how much each takes, how much it takes alone, and what another value would change.

A sample without a measured value passes where the checks let it. Failed samples have no part in this.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Group
from rich.table import Table

from posedreamer.report.statistics import funnel, index_rows
from posedreamer.report.thresholds import Thresholds, passes, reason_order, score_thresholds
from posedreamer.storage.index import read_index
from posedreamer.storage.manifest import read_manifest

STEP = 0.05  # share of the attempted samples by which the number of kept ones is thought to change


class ThresholdEffect(NamedTuple):
    """One threshold. side: `min` or `max`. misses: samples that miss it; alone: those of them that pass all others, so would be
    kept without it. for_fewer, for_more: its value if STEP of the attempted samples fewer or more were to be kept (None: no value
    gives that).
    """

    score: str
    side: str
    limit: float
    misses: int
    alone: int
    for_fewer: float | None
    for_more: float | None


def read_funnel(run_dir: str | Path) -> dict[str, Any]:
    """The steps of a run (`statistics.funnel`) and the effect of each of its thresholds."""
    manifest = read_manifest(run_dir)
    rows = index_rows(read_index(run_dir))
    return {
        "steps": funnel(rows, reason_order(manifest)),
        "effects": threshold_effects(rows, score_thresholds(manifest)),
    }


def threshold_effects(rows: Sequence[Mapping[str, Any]], thresholds: Thresholds) -> list[ThresholdEffect]:
    """The effect of each threshold, in their order. rows: of the index, as `statistics.index_rows` gives them."""
    judged = [row["scores"] for row in rows if row["status"] in ("kept", "rejected") and row["generator"] is not None]
    step, effects = max(1, round(STEP * len(rows))), []
    for score, (side, limit) in thresholds.items():
        others = {name: threshold for name, threshold in thresholds.items() if name != score}
        open_ = [scores.get(score) for scores in judged if all(passes(scores, *item) for item in others.items())]
        kept = sum(passes({score: value}, score, (side, limit)) for value in open_)
        ranked = sorted((value for value in open_ if value is not None), reverse=side == "min")
        effects.append(
            ThresholdEffect(
                score, side, limit,
                misses=sum(not passes(scores, score, (side, limit)) for scores in judged),
                alone=len(open_) - kept,
                for_fewer=ranked[kept - step - 1] if kept > step else None,
                for_more=ranked[kept + step - 1] if kept + step <= len(ranked) else None,
            )
        )  # fmt: skip
    return effects


def funnel_table(found: Mapping[str, Any]) -> Group:
    """Both as tables for a terminal."""
    steps = Table("step", "dropped", "remaining")
    for step in found["steps"]:
        steps.add_row(step["step"], str(step["dropped"]), str(step["remaining"]))
    effects = Table("score", "threshold", "miss it", "miss it alone", "for 5 % fewer", "for 5 % more")
    for effect in found["effects"]:
        limit = f"at {'least' if effect.side == 'min' else 'most'} {effect.limit:g}"
        others = ["-" if value is None else f"{value:.3f}" for value in (effect.for_fewer, effect.for_more)]
        effects.add_row(effect.score, limit, str(effect.misses), str(effect.alone), *others)
    return Group(steps, effects)
