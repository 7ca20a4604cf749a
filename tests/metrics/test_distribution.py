"""Closed forms of the set distances, and parity with the definitions written out."""

import numpy as np
import pytest
import scipy.linalg

from posedreamer.metrics import distribution
from posedreamer.metrics.distribution import frechet_distance, kernel_distance, kernel_distance_in_subsets


def sets(n: int = 40, m: int = 55, d: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(0.5, 1.5, size=(m, d))


def naive_kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The definition, pair by pair."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (x @ y / len(x) + 1) ** 3

    within = [np.mean([kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (a, b)]
    return within[0] + within[1] - 2 * np.mean([kernel(x, y) for x in a for y in b])


def naive_frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The definition, by scipy's matrix square root."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root.real))


def test_kernel_distance_equals_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = sets()
    assert kernel_distance(a, b) == pytest.approx(naive_kernel_distance(a, b), rel=1e-10)
    monkeypatch.setattr(distribution, "BLOCK", 7)
    assert kernel_distance(a, b) == pytest.approx(naive_kernel_distance(a, b), rel=1e-10)


def test_kernel_distance_is_unbiased() -> None:
    """Sets of one distribution: the mean over 200 draws of 10 against 10 is 0 within three standard errors."""
    rng = np.random.default_rng(1)
    values = [kernel_distance(*rng.normal(size=(2, 10, 4))) for _ in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)


def test_kernel_distance_of_two_points() -> None:
    """All rows x in one set, all rows y in the other: k(x,x) + k(y,y) - 2 k(x,y)."""
    a, b = np.tile([[1.0, 0.0]], (3, 1)), np.tile([[0.0, 1.0]], (4, 1))
    assert kernel_distance(a, b) == pytest.approx(1.5**3 + 1.5**3 - 2)


def test_frechet_distance_equals_its_definition() -> None:
    a, b = sets()
    assert frechet_distance(a, b) == pytest.approx(naive_frechet_distance(a, b), rel=1e-9)


def test_frechet_distance_of_singular_covariances() -> None:
    """Fewer rows than features. With a common mean and covariances s^2 and t^2 times one matrix: (s - t)^2 tr C."""
    a = np.random.default_rng(2).normal(size=(5, 12))
    centred = a - a.mean(0)
    expected = (3 - 1) ** 2 * np.trace(np.cov(a, rowvar=False))
    assert frechet_distance(centred, 3 * centred) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("distance", [kernel_distance, frechet_distance])
def test_symmetric_and_ordered(distance) -> None:
    a, b = sets()
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-10)
    assert distance(a, b) > distance(a, a + 0.1)


def test_frechet_distance_of_a_shift_is_its_square() -> None:
    a, _ = sets()
    assert frechet_distance(a, a + 2.0) == pytest.approx(8 * 4.0, rel=1e-10)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10)


def test_subsets_of_everything_are_the_whole() -> None:
    a, b = sets(40, 40)
    mean, deviation = kernel_distance_in_subsets(a, b, np.random.default_rng(0), num_subsets=3, subset_size=40)
    assert mean == pytest.approx(kernel_distance(a, b), rel=1e-10)
    assert deviation == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="subsets of 41"):
        kernel_distance_in_subsets(a, b, np.random.default_rng(0), num_subsets=3, subset_size=41)


@pytest.mark.parametrize("distance", [kernel_distance, frechet_distance])
def test_bad_sets_are_refused(distance) -> None:
    a, b = sets()
    with pytest.raises(ValueError, match="got 1 and 55 rows"):
        distance(a[:1], b)
    with pytest.raises(ValueError, match="not finite"):
        distance(np.where(a > 2, np.nan, a), b)
