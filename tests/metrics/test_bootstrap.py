import numpy as np
import pytest

from posedreamer.metrics.bootstrap import bootstrap, ratio_of_means


def rng(seed=0):
    return np.random.default_rng(seed)


def mean(rows):
    return float(rows.mean())


def test_the_interval_of_a_mean_is_that_of_the_normal_law():
    rows = rng(1).normal(3.0, 2.0, 400)
    found = bootstrap(rows, mean, rng(), draws=4000)
    half = 1.96 * rows.std() / np.sqrt(400)
    assert found.value == pytest.approx(rows.mean())
    # Quantiles of 4000 draws at 2.5 % are known to 4 % of the half width (one standard error is 2.4 %).
    np.testing.assert_allclose([found.low, found.high], [rows.mean() - half, rows.mean() + half], atol=0.08 * half)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    hits = 0
    for seed in range(200):
        rows = rng(seed).exponential(1.0, 80)
        found = bootstrap(rows, mean, rng(seed), draws=300)
        hits += found.low <= 1.0 <= found.high
    # 95 % of 200 is 190; the binomial's deviation is 3, and skewed rows cost the percentile interval a little.
    assert 178 <= hits <= 200


def test_paired_columns_stay_paired():
    a = rng(2).uniform(0.2, 1.0, 100)
    found = bootstrap(np.stack([0.7 * a, a], axis=1), ratio_of_means, rng())
    np.testing.assert_allclose(found, 0.7)


def test_rows_without_a_number_are_left_out_and_too_few_are_refused():
    rows = np.array([[1.0, 2.0], [np.nan, 1.0], [3.0, 4.0]])
    assert bootstrap(rows, ratio_of_means, rng()).value == pytest.approx(4 / 6)
    with pytest.raises(ValueError, match="1 of 3 rows are numbers, expected at least 2"):
        bootstrap(np.array([1.0, np.nan, np.nan]), mean, rng())
