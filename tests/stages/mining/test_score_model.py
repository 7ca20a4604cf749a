"""The regressor's honesty: what it cannot know it does not claim."""

import numpy as np
import pytest

from posedreamer.bodies.vector import VECTOR_FIELDS
from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.stages.mining.score_model import (
    MIN_ROWS,
    as_features,
    column_groups,
    fit_difficulty,
    fit_generatability,
    why_not,
)


def rows(count: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 182))
    return vectors, 0.7 - 0.1 * vectors[:, 9] + noise * rng.normal(size=count)


def test_learns_a_law() -> None:
    vectors, target = rows(400, noise=0.0)
    fit = fit_generatability(vectors, target, np.random.default_rng(1), threads=1)
    assert fit.rank_correlation > 0.9
    assert fit.rmse < 0.4 * fit.baseline_rmse
    assert fit.baseline_rmse == pytest.approx(0.1, rel=0.1)
    assert sum(fit.importance.values()) == pytest.approx(1)
    fresh, truth = rows(200, noise=0.0, seed=5)
    assert np.corrcoef(fit.predict(fresh), truth)[0, 1] > 0.9


def test_claims_nothing_about_noise() -> None:
    """The figures come from unseen rows: on pure noise the rank correlation is near 0 (spread .05 at 400 rows)."""
    vectors, _ = rows(400, noise=0.0)
    target = np.random.default_rng(7).uniform(size=400)
    fit = fit_generatability(vectors, target, np.random.default_rng(1), threads=1)
    assert abs(fit.rank_correlation) < 0.2
    assert fit.rmse > 0.95 * fit.baseline_rmse


def test_the_seed_is_the_generator() -> None:
    vectors, target = rows(200, noise=0.05)
    fits = [fit_generatability(vectors, target, np.random.default_rng(seed), threads=1) for seed in (1, 1, 2)]
    predictions = [fit.predict(vectors) for fit in fits]
    np.testing.assert_array_equal(predictions[0], predictions[1])
    assert (predictions[0] != predictions[2]).any()


def test_too_little_to_learn_from() -> None:
    vectors, target = rows(MIN_ROWS, noise=0.0)
    assert why_not(target) is None
    assert "39 rows whose oks is known" in (why_not(target[:-1]) or "")
    assert "the same oks (0.500)" in (why_not(np.full(50, 0.5)) or "")
    with pytest.raises(ValueError, match="39 rows whose oks is known"):
        fit_generatability(vectors[:-1], target[:-1], np.random.default_rng(0), threads=1)
    with pytest.raises(ValueError, match="not finite"):
        fit_generatability(np.where(vectors > 2, np.nan, vectors), target, np.random.default_rng(0), threads=1)


def test_groups_follow_the_vector() -> None:
    groups, sizes = column_groups(), {name: int(np.prod(PARAMETER_SHAPES[name])) for name in VECTOR_FIELDS}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    expected = {"global_orient": "root_orientation", "betas": "shape", "transl": "place", "jaw_pose": "jaw"}
    for name, group in expected.items():
        assert set(groups[starts[name] : starts[name] + sizes[name]]) == {group}
    assert groups[:9] == ["legs"] * 6 + ["spine"] * 3
    assert len(groups) == 182


def test_six_numbers_say_the_same_of_a_rotation_and_of_one_turned_once_more() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 182))
    turned = vectors.copy()
    knee = turned[:, 9:12]
    knee *= 1 - 2 * np.pi / np.linalg.norm(knee, axis=1, keepdims=True)
    assert np.abs(as_features(turned, "rotvec") - vectors).max() > 3
    np.testing.assert_allclose(as_features(turned, "rot6d"), as_features(vectors, "rot6d"), atol=1e-12)
    six = as_features(vectors, "rot6d")
    assert six.shape[1] == len(column_groups("rot6d")) == 2 * (63 + 3 + 90 + 3) + 10 + 3 + 10
    np.testing.assert_array_equal(six[:, [name == "shape" for name in column_groups("rot6d")]], vectors[:, 66:76])
    np.testing.assert_array_equal(six[:, -10:], vectors[:, -10:])


def test_a_law_of_directions_is_learnt_on_six_numbers() -> None:
    """A limb's direction, whichever way round the turn is written: rotation vectors jump where it does not."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 182))
    vectors[:, 9:12] *= 3.0
    target = as_features(vectors, "rot6d")[:, 18]
    fit = fit_difficulty(vectors, target + 1.0, np.random.default_rng(1), threads=1)
    assert fit.features == "rot6d" and fit.rank_correlation > 0.9


def test_difficulty_is_in_millimetres_and_calibrated() -> None:
    vectors, target = rows(600, noise=0.02)
    fit = fit_difficulty(vectors, 300.0 * target, np.random.default_rng(1), threads=1)
    assert fit.predict(vectors).max() > 1.0
    predicted, observed = np.array(fit.calibration).T
    assert len(predicted) == 10 and (np.diff(predicted) > 0).all() and (np.diff(observed) > 0).all()
    np.testing.assert_allclose(predicted, observed, atol=15.0)
    with pytest.raises(ValueError, match=r"same difficulty \(3.000\)"):
        fit_difficulty(vectors, np.full(600, 3.0), np.random.default_rng(1), threads=1)
