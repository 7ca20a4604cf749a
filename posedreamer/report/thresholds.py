"""What the checks of a run ask of its scores, and what a sample missed."""

from collections.abc import Mapping
from typing import Any

Thresholds = Mapping[str, tuple[str, float]]  # score -> ("min" or "max", value)


def score_thresholds(manifest: Mapping[str, Any]) -> Thresholds:
    """Score -> ("min" or "max", value), for the checks of the run's configuration.

    A check's `min` belongs to the score of its name, its `min_contrast` to the score `contrast`.
    """
    filters = manifest["config"]["filters"]
    thresholds = {}
    for check in filters["order"]:
        for field, value in filters[check].items():
            side, _, score = field.partition("_")
            if side in ("min", "max"):
                thresholds[score or check] = (side, float(value))
    return thresholds


def missed_checks(scores: Mapping[str, float | None], thresholds: Thresholds) -> list[str]:
    """What a sample missed, one line a score, such as `oks 0.412, at least 0.6`; not only the first, which is the reason."""
    lines = []
    for name, (side, limit) in thresholds.items():
        value = scores.get(name)
        if value is not None and (value < limit if side == "min" else value > limit):
            lines.append(f"{name} {value:.3g}, at {'least' if side == 'min' else 'most'} {limit:g}")
    return lines
