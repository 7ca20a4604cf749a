"""Distances between two sets of feature vectors (one row a picture).

kernel_distance: squared maximum mean discrepancy with the kernel (x . y / d + 1)^3, unbiased (KID; Binkowski et al. 2018).
    Expected value 0 for two sets of one distribution, at any number of pictures; single values may be negative.
frechet_distance: of the two Gaussians with the sets' means and covariances (FID's formula; Heusel et al. 2017).
    Biased upwards when pictures are few; compare equal numbers only.
"""

import numpy as np
from jaxtyping import Float

BLOCK = 1024  # rows of a kernel matrix held at once


def _check(a: np.ndarray, b: np.ndarray, least: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    if min(len(a), len(b)) < least:
        raise ValueError(f"{name}: got {len(a)} and {len(b)} rows, expected at least {least} each")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"{name}: a feature is not finite")
    return a.astype(np.float64), b.astype(np.float64)


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of the kernel over all pairs of rows, in blocks: n x n values never stand in memory together."""
    blocks = (a[start : start + BLOCK] for start in range(0, len(a), BLOCK))
    return float(sum(((block @ b.T / a.shape[1] + 1) ** 3).sum() for block in blocks))


def _kernel_trace(a: np.ndarray) -> float:
    return float((((a * a).sum(1) / a.shape[1] + 1) ** 3).sum())


def kernel_distance(a: Float[np.ndarray, "n features"], b: Float[np.ndarray, "m features"]) -> float:
    """Unbiased squared discrepancy of the whole sets, no subsets and so no chance in it."""
    a, b = _check(a, b, 2, "kernel_distance")
    n, m = len(a), len(b)
    within_a = (_kernel_sum(a, a) - _kernel_trace(a)) / (n * (n - 1))
    within_b = (_kernel_sum(b, b) - _kernel_trace(b)) / (m * (m - 1))
    return within_a + within_b - 2 * _kernel_sum(a, b) / (n * m)


def kernel_distance_in_subsets(
    a: Float[np.ndarray, "n features"],
    b: Float[np.ndarray, "m features"],
    rng: np.random.Generator,
    num_subsets: int = 100,
    subset_size: int = 1000,
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets, the form of published KID tables (100 subsets of 1000)."""
    if subset_size > min(len(a), len(b)):
        raise ValueError(f"kernel_distance: subsets of {subset_size} from sets of {len(a)} and {len(b)}")
    values = [
        kernel_distance(
            a[rng.choice(len(a), subset_size, replace=False)], b[rng.choice(len(b), subset_size, replace=False)]
        )
        for _ in range(num_subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


def _root_factor(centred: np.ndarray) -> np.ndarray:
    """R with R' R = covariance, of at most as many rows as features."""
    scaled = centred / np.sqrt(len(centred) - 1)
    return np.asarray(np.linalg.qr(scaled, mode="r")) if len(scaled) > scaled.shape[1] else scaled


def frechet_distance(a: Float[np.ndarray, "n features"], b: Float[np.ndarray, "m features"]) -> float:
    """|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), covariances with n - 1.

    With C_a = A'A and C_b = B'B, tr (C_a C_b)^(1/2) is the sum of the singular values of A B': real and exact, also for
    singular covariances, where a matrix square root gives complex values and wants a fudge term.
    """
    a, b = _check(a, b, 2, "frechet_distance")
    mean_a, mean_b = a.mean(0), b.mean(0)
    factor_a, factor_b = _root_factor(a - mean_a), _root_factor(b - mean_b)
    cross = np.linalg.svd(factor_a @ factor_b.T, compute_uv=False).sum()
    traces = (factor_a**2).sum() + (factor_b**2).sum()
    return float(((mean_a - mean_b) ** 2).sum() + traces - 2 * cross)
