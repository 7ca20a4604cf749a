"""Percentile bootstrap (Efron 1979): how far a statistic would move if other rows of the same kind had been drawn."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

DRAWS = 2000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A statistic of all rows, and the interval that holds LEVEL of its values over redrawn rows."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    rows: Float[np.ndarray, "count ..."],
    statistic: Callable[[np.ndarray], float],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """The statistic with its interval. Columns of a row are redrawn together, so paired measures stay paired.

    Rows with a nan in any column are left out first; fewer than two rows that remain are a ValueError.
    """
    whole = rows[~np.isnan(rows.reshape(len(rows), -1)).any(axis=1)]
    if len(whole) < 2:
        raise ValueError(f"bootstrap: {len(whole)} of {len(rows)} rows are numbers, expected at least 2")
    values = [statistic(whole[rng.integers(len(whole), size=len(whole))]) for _ in range(draws)]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(statistic(whole)), float(low), float(high))


def ratio_of_means(rows: Float[np.ndarray, "count 2"]) -> float:
    """Mean of the first column over the mean of the second."""
    return float(rows[:, 0].mean() / rows[:, 1].mean())
