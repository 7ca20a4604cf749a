"""What an alignment brought: measures of the same labels, prompts and seeds, before and after, with paired intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from posedreamer.metrics.bootstrap import Estimate, bootstrap


def paired_gain(
    before: Float[np.ndarray, " count"],
    after: Float[np.ndarray, " count"],
    ceiling: Float[np.ndarray, " count"],
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    """Of a score in [0, 1], such as OKS, row by row; rows without a number in any of the three are left out.

    ceiling: of true renders of the same labels. gain: after - before. gap_closed: gain over what the ceiling is above before.
    error_cut: share by which 1 - score fell (PoseDreamer states -42 %).
    """
    rows = np.stack([before, after, ceiling], axis=1)
    statistics = {
        "before": lambda part: float(part[:, 0].mean()),
        "after": lambda part: float(part[:, 1].mean()),
        "ceiling": lambda part: float(part[:, 2].mean()),
        "gain": lambda part: float((part[:, 1] - part[:, 0]).mean()),
        "gap_closed": lambda part: float((part[:, 1] - part[:, 0]).mean() / (part[:, 2] - part[:, 0]).mean()),
        "error_cut": lambda part: float((part[:, 1] - part[:, 0]).mean() / (1.0 - part[:, 0]).mean()),
    }
    return {name: bootstrap(rows, statistic, rng) for name, statistic in statistics.items()}


def gain_by_family(
    before: Float[np.ndarray, " count"],
    after: Float[np.ndarray, " count"],
    families: Mapping[str, Bool[np.ndarray, " count"]],
    rng: np.random.Generator,
) -> dict[str, dict[str, Any]]:
    """Count, mean before and gain of each family of poses."""
    return {
        family: {
            "count": int(rows.sum()),
            "before": float(np.nanmean(before[rows])),
            "gain": bootstrap((after - before)[rows], lambda part: float(part.mean()), rng),
        }
        for family, rows in families.items()
    }


def feature_spread(features: Sequence[Float[np.ndarray, "count features"]]) -> float:
    """How unlike the pictures of one prompt and map are: mean distance of features of two seeds.

    features: of each seed, rows in the same order; two seeds at least.
    """
    if len(features) < 2:
        raise ValueError(f"feature_spread: got {len(features)} seeds, expected at least 2")
    distances = [
        np.linalg.norm(one - other, axis=1).mean()
        for place, one in enumerate(features)
        for other in features[place + 1 :]
    ]
    return float(np.mean(distances))


def best_of(scores: Sequence[Float[np.ndarray, " count"]]) -> Float[np.ndarray, " count"]:
    """The best score of each label among its candidates: what choosing without training gives at so many times the cost.

    A label that no candidate has a score for stays nan.
    """
    stacked = np.stack(scores)
    chosen = np.where(np.isnan(stacked), -np.inf, stacked).max(axis=0)
    return np.where(np.isinf(chosen), np.nan, chosen)
