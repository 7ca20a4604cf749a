"""Distances between two sets of feature vectors (one row a picture).

kernel_distance: squared maximum mean discrepancy with the kernel (x . y / d + 1)^3, unbiased (KID; Binkowski et al. 2018).
    Expected value 0 for two sets of one distribution, at any number of pictures; single values may be negative.
frechet_distance: of the two Gaussians with the sets' means and covariances (FID's formula; Heusel et al. 2017).
    Biased upwards when pictures are few; compare equal numbers only.
Moments: what the latter needs of a set, in pieces that add up: shards and workers need not hold each other's features.
FeatureSample: what the former needs of a set that is too large to be held: a fixed choice of its rows, in pieces too.
inception_score: of a classifier's answers, how sure each is and how many different ones there are (Salimans et al. 2016).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Float, Int64

from posedreamer.seeds import seed_for

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


class Moments(NamedTuple):
    """Number of rows, their mean, and the sum of the outer products of what they are off it."""

    rows: int
    mean: Float[np.ndarray, " features"]
    scatter: Float[np.ndarray, "features features"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "n features"]) -> "Moments":
        """Of one piece."""
        checked, _ = _check(features, features, 1, "moments")
        mean = checked.mean(axis=0)
        return cls(len(checked), mean, (checked - mean).T @ (checked - mean))

    def joined(self, other: "Moments") -> "Moments":
        """Of both pieces together (Chan et al. 1979), in whatever order pieces are joined."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"moments of {len(self.mean)} and {len(other.mean)} features cannot be joined")
        rows, apart = self.rows + other.rows, other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.rows * other.rows / rows)
        return Moments(rows, self.mean + apart * (other.rows / rows), scatter)

    @property
    def covariance(self) -> Float[np.ndarray, "features features"]:
        """With n - 1."""
        if self.rows < 2:
            raise ValueError(f"moments: {self.rows} rows have no covariance, expected at least 2")
        return self.scatter / (self.rows - 1)


def frechet_distance_of_moments(a: Moments, b: Moments) -> float:
    """`frechet_distance` of the sets behind them.

    tr (C_a C_b)^(1/2) is the sum of the singular values of C_a^(1/2) C_b^(1/2); roots are those of the eigenvalues, so it is real.
    """
    cross = np.linalg.svd(_root(a.covariance) @ _root(b.covariance), compute_uv=False).sum()
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return float(((a.mean - b.mean) ** 2).sum() + traces - 2 * cross)


class FeatureSample(NamedTuple):
    """The rows whose keys have the smallest hashes, of all that were offered: a random sample without chance in it.

    Whatever pieces a set came in, and in whatever order they were joined, the same rows remain, in the same order. most: how many remain.
    """

    most: int
    hashes: Int64[np.ndarray, " rows"]
    features: Float[np.ndarray, "rows features"]

    @classmethod
    def of(cls, keys: Sequence[str], features: Float[np.ndarray, "n features"], most: int) -> "FeatureSample":
        """Of one piece. keys: of its rows, unlike each other."""
        hashes = np.array([seed_for(0, key, "feature_sample") for key in keys], np.int64)
        return cls(most, hashes, features)._cut()

    def joined(self, other: "FeatureSample") -> "FeatureSample":
        """Of both pieces together. A row that both have stands once."""
        if (self.most, self.features.shape[1]) != (other.most, other.features.shape[1]):
            raise ValueError(
                f"feature samples of {self.most} and {other.most} rows, {self.features.shape[1]} and {other.features.shape[1]} features"
                " cannot be joined"
            )
        hashes = np.concatenate([self.hashes, other.hashes])
        return FeatureSample(self.most, hashes, np.concatenate([self.features, other.features]))._cut()

    def _cut(self) -> "FeatureSample":
        _, first = np.unique(self.hashes, return_index=True)
        return FeatureSample(self.most, self.hashes[first[: self.most]], self.features[first[: self.most]])


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def inception_score(logits: Float[np.ndarray, "n classes"]) -> float:
    """exp of the mean divergence of each row's distribution from the mean one: 1 to the number of classes. All rows at once."""
    checked, _ = _check(logits, logits, 1, "inception_score")
    log_shares = scipy.special.log_softmax(checked, axis=1)
    shares = np.exp(log_shares)
    mean = shares.mean(axis=0)
    divergence = np.where(shares > 0, shares * (log_shares - np.log(np.maximum(mean, np.finfo(float).tiny))), 0.0)
    return float(np.exp(divergence.sum(axis=1).mean()))
