"""Gains in closed form, and what pairing is for."""

import numpy as np
import pytest

from posedreamer.alignment.gain import best_of, feature_spread, gain_by_family, paired_gain


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_gains_of_equal_rows_are_exact() -> None:
    before, after, ceiling = (np.full(50, value) for value in (0.6, 0.75, 0.9))
    found = paired_gain(before, after, ceiling, rng())
    for name, expected in (
        ("gain", 0.15),
        ("gap_closed", 0.5),
        ("error_cut", 0.375),
        ("before", 0.6),
        ("ceiling", 0.9),
    ):
        assert found[name] == pytest.approx((expected,) * 3), name


def test_labels_that_are_hard_for_all_do_not_widen_the_interval() -> None:
    """Scores vary by 0.3 over labels, the gain by 0.02: the interval knows the gain to 0.01."""
    hard = rng().uniform(0.0, 0.6, 300)
    found = paired_gain(hard, hard + 0.05 + rng().normal(0, 0.02, 300), hard + 0.2, rng())["gain"]
    assert 0.04 < found.low < found.value < found.high < 0.06


def test_rows_without_a_number_are_left_out_together() -> None:
    before, after = np.array([0.5, 0.1, np.nan, 0.5]), np.array([0.6, np.nan, 0.9, 0.6])
    found = paired_gain(before, after, np.full(4, 0.7), rng())
    assert found["gain"].value == pytest.approx(0.1) and found["before"].value == pytest.approx(0.5)


def test_families_are_told_apart() -> None:
    before, after = np.zeros(6), np.array([0.1, 0.1, 0.1, 0.3, 0.3, 0.3])
    rows = {"yoga": np.arange(6) < 3, "dance": np.arange(6) >= 3}
    found = gain_by_family(before, after, rows, rng())
    assert [found[name]["gain"].value for name in rows] == pytest.approx([0.1, 0.3])
    assert found["yoga"]["count"] == 3


def test_spread_is_the_mean_distance_of_two_seeds() -> None:
    still = np.zeros((4, 3))
    moved = still + np.array([3.0, 4.0, 0.0])
    assert feature_spread([still, still]) == 0.0
    assert feature_spread([still, moved]) == pytest.approx(5.0)
    assert feature_spread([still, moved, moved]) == pytest.approx(10.0 / 3.0)
    with pytest.raises(ValueError, match="got 1 seeds"):
        feature_spread([still])


def test_the_best_of_candidates_is_never_worse() -> None:
    one, other = np.array([0.2, np.nan, 0.9, np.nan]), np.array([0.5, 0.4, 0.1, np.nan])
    np.testing.assert_array_equal(best_of([one, other]), [0.5, 0.4, 0.9, np.nan])
