"""Which regions of pose space a dataset holds too little of, next to what its sources can draw.

Regions are the clusters of a pool (k-means on the joints in the body's own frame, from k-means++'s start); a pose belongs to the one
whose mean is nearest. A region is thin when its share of the kept samples is surely below half
of its share of the pool: also at the upper end of Wilson's 95 % interval (Wilson 1927).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.cluster.vq import kmeans2, vq

THIN = 0.5
Z = 1.959964  # of a 95 % interval
ITERATIONS = 50


class Region(NamedTuple):
    """centre: the row of the pool that is nearest to its mean. of_pool, of_kept: shares; most_of_kept: the upper end of the
    latter's interval. oks: mean over its attempted samples; difficulty: over its kept ones (nan: unknown).
    """

    centre: int
    of_pool: float
    of_kept: float
    most_of_kept: float
    attempted: int
    kept: int
    oks: float
    difficulty: float

    @property
    def is_thin(self) -> bool:
        """Whether the dataset surely holds less than THIN of what a plain draw would."""
        return self.most_of_kept < THIN * self.of_pool


def cover(
    pool: Float[np.ndarray, "pool joints 3"],
    joints: Float[np.ndarray, "rows joints 3"],
    is_kept: Bool[np.ndarray, " rows"],
    oks: Float[np.ndarray, " rows"],
    difficulty: Float[np.ndarray, " rows"],
    count: int,
    rng: np.random.Generator,
) -> list[Region]:
    """At most `count` regions, thinnest first: by their share of the kept samples over that of the pool.

    pool: what a plain draw gives, metres. No kept sample is a ValueError.
    """
    if not is_kept.any():
        raise ValueError(f"coverage: none of {len(joints)} samples was kept")
    flat, rows = (poses.reshape(len(poses), -1).astype(np.float64) for poses in (pool, joints))
    means, of_pool = kmeans2(flat, min(count, len(flat)), iter=ITERATIONS, minit="++", rng=rng)
    of_rows, _ = vq(rows, means)
    regions, total = [], int(is_kept.sum())
    for place in np.unique(of_pool):
        own, inside = np.flatnonzero(of_pool == place), of_rows == place
        centre = own[np.linalg.norm(flat[own] - means[place], axis=1).argmin()]
        kept = int((inside & is_kept).sum())
        regions.append(
            Region(
                int(centre), len(own) / len(pool), kept / total, wilson_upper(kept, total), int(inside.sum()), kept,
                _mean(oks[inside]), _mean(difficulty[inside & is_kept]),
            )
        )  # fmt: skip
    return sorted(regions, key=lambda region: region.of_kept / region.of_pool)


def wilson_upper(hits: int, total: int) -> float:
    """Upper end of Wilson's 95 % interval of a share."""
    share, inverse = hits / total, Z**2 / total
    spread = Z * math.sqrt(share * (1 - share) / total + inverse / (4 * total))
    return (share + inverse / 2 + spread) / (1 + inverse)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
