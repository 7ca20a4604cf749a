"""Closed forms of the set distances, and parity with the definitions written out."""

import functools
import itertools

import numpy as np
import pytest
import scipy.linalg
import torch

from posedreamer import torchvision_shim
from posedreamer.metrics import distribution
from posedreamer.metrics.distribution import (
    FeatureSample,
    Moments,
    frechet_distance,
    frechet_distance_of_moments,
    inception_score,
    kernel_distance,
    kernel_distance_in_subsets,
)


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


@pytest.mark.parametrize("rows", [3, 200])
def test_seven_pieces_joined_are_one_pass(rows: int) -> None:
    """In any order; also where a piece has fewer rows than features, or one."""
    rng = np.random.default_rng(3)
    pieces = [rng.normal(place, 1 + place, size=(1 + place * rows // 3, 8)) for place in range(7)]
    whole = Moments.of(np.concatenate(pieces))
    for order in (range(7), reversed(range(7))):
        joined = functools.reduce(Moments.joined, [Moments.of(pieces[place]) for place in order])
        assert joined.rows == whole.rows
        np.testing.assert_allclose(joined.mean, whole.mean, rtol=1e-9)
        np.testing.assert_allclose(joined.scatter, whole.scatter, rtol=1e-9, atol=1e-9 * np.abs(whole.scatter).max())
    other = Moments.of(sets()[0])
    assert frechet_distance_of_moments(joined, other) == pytest.approx(
        frechet_distance(np.concatenate(pieces), sets()[0]), rel=1e-9
    )


def test_moments_of_singular_covariances_give_the_distance_of_the_rows() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(5, 12)), rng.normal(1.0, 2.0, size=(7, 12))
    assert frechet_distance_of_moments(Moments.of(a), Moments.of(b)) == pytest.approx(frechet_distance(a, b), rel=1e-6)


def test_a_sample_of_seven_pieces_is_that_of_one_pass_and_gives_its_distance() -> None:
    a, b = sets()
    keys = [f"key-{place}" for place in range(len(a))]
    whole, other = FeatureSample.of(keys, a, 25), FeatureSample.of([f"other-{place}" for place in range(len(b))], b, 25)
    bounds = np.linspace(0, len(a), 8).astype(int)
    for order in (range(7), [4, 0, 6, 2, 5, 1, 3]):
        pieces = [FeatureSample.of(keys[low:high], a[low:high], 25) for low, high in itertools.pairwise(bounds)]
        joined = functools.reduce(FeatureSample.joined, [pieces[place] for place in order])
        np.testing.assert_array_equal(joined.features, whole.features)
        assert kernel_distance(joined.features, other.features) == kernel_distance(whole.features, other.features)
    assert len(whole.features) == 25 and len(whole.joined(whole).features) == len(whole.features)
    everything = FeatureSample.of(keys, a, len(a))
    np.testing.assert_allclose(np.sort(everything.features, axis=0), np.sort(a, axis=0))
    assert kernel_distance(everything.features, b) == pytest.approx(kernel_distance(a, b), rel=1e-9)


def test_samples_that_cannot_be_joined_are_refused() -> None:
    a, _ = sets()
    one = FeatureSample.of(["a", "b"], a[:2], 5)
    with pytest.raises(ValueError, match="samples of 5 and 6 rows"):
        one.joined(FeatureSample.of(["c"], a[:1], 6))


def test_what_cannot_be_joined_is_refused() -> None:
    with pytest.raises(ValueError, match="moments of 8 and 3 features cannot be joined"):
        Moments.of(sets()[0]).joined(Moments.of(np.ones((4, 3))))
    with pytest.raises(ValueError, match="1 rows have no covariance"):
        _ = Moments.of(np.ones((1, 3))).covariance
    with pytest.raises(ValueError, match="not finite"):
        Moments.of(np.full((3, 2), np.nan))


def test_inception_score_of_sure_answers_is_their_number() -> None:
    sure = 1000.0 * np.eye(5)[np.arange(20) % 5]
    assert inception_score(sure) == pytest.approx(5.0)
    assert inception_score(np.zeros((20, 5))) == pytest.approx(1.0)
    assert inception_score(sure[:1]) == pytest.approx(1.0)


def test_figures_are_torch_fidelity_s_on_the_same_features() -> None:
    torchvision_shim.install()
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    a, b = (torch.from_numpy(rows) for rows in sets(300, 300, 16))
    theirs = fid_statistics_to_metric(fid_features_to_statistics(a), fid_features_to_statistics(b), False)
    assert frechet_distance(a.numpy(), b.numpy()) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-5)
    theirs = kid_features_to_metric(a, b, kid_subsets=1, kid_subset_size=300, verbose=False)
    assert kernel_distance(a.numpy(), b.numpy()) == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-6)
    theirs = isc_features_to_metric(a, splits=1)
    assert inception_score(a.numpy()) == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
