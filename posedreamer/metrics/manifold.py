"""How two sets of features lie in each other: precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

Around every row lies a ball as wide as its k-th nearest neighbour in its own set is far. The reference's balls stand for where true
pictures are, the generated ones' for what the generator can make.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

NEIGHBOURS = 5
BLOCK = 1024  # rows of a matrix of distances held at once


class Manifolds(NamedTuple):
    """precision: share of generated rows inside a ball of the reference; recall: the other way round. density: how many of the
    reference's balls hold a generated row, over k (outliers of the reference weigh less; above 1 where rows crowd); coverage: share
    of the reference's balls that hold a generated row.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifolds(
    generated: Float[np.ndarray, "n features"], reference: Float[np.ndarray, "m features"], neighbours: int = NEIGHBOURS
) -> Manifolds:
    """All four. More than `neighbours` rows are needed in each set, and no feature may be nan; otherwise ValueError."""
    for name, rows in (("generated", generated), ("reference", reference)):
        if len(rows) <= neighbours:
            raise ValueError(f"manifolds: got {len(rows)} {name} rows, expected more than {neighbours}")
        if not np.isfinite(rows).all():
            raise ValueError(f"manifolds: a {name} feature is not finite")
    own, true = (_radii(rows, neighbours) for rows in (generated, reference))
    balls, made, nearest = (
        np.zeros(len(generated)),
        np.zeros(len(reference), dtype=bool),
        np.zeros(len(reference), dtype=bool),
    )
    for first in range(0, len(generated), BLOCK):
        part = slice(first, first + BLOCK)
        far = cdist(generated[part], reference)
        balls[part] = (far <= true).sum(axis=1)
        nearest |= (far <= true).any(axis=0)
        made |= (far <= own[part, None]).any(axis=0)
    return Manifolds(
        precision=float((balls > 0).mean()),
        recall=float(made.mean()),
        density=float(balls.mean() / neighbours),
        coverage=float(nearest.mean()),
    )


def _radii(rows: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance of each row to its k-th nearest other one."""
    blocks = (cdist(rows[first : first + BLOCK], rows) for first in range(0, len(rows), BLOCK))
    return np.concatenate([np.partition(block, neighbours, axis=1)[:, neighbours] for block in blocks])
