"""Laws of coverage: a plain draw is thin nowhere, what is left out is found, shares are those of the rows."""

import numpy as np
import pytest
from scipy.stats import binomtest

from posedreamer.stages.mining.coverage import THIN, cover, wilson_upper

SHARES = np.array([0.4, 0.3, 0.2, 0.1])


def poses_of(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """22 joints around one of four places, centimetres apart."""
    return places[:, None, None] * np.ones((1, 22, 3)) + 0.02 * rng.standard_normal((len(places), 22, 3))


def regions_of(places: np.ndarray, is_kept: np.ndarray | None = None, **changes):
    rng = np.random.default_rng(0)
    pool = rng.permutation(np.repeat(np.arange(4.0), (2000 * SHARES).astype(int)))
    count = len(places)
    given = {"oks": places / 10, "difficulty": 100 * places + 50} | changes
    kept = np.ones(count, dtype=bool) if is_kept is None else is_kept
    return pool, cover(poses_of(pool, rng), poses_of(places, rng), kept, given["oks"], given["difficulty"], 4, np.random.default_rng(1))  # fmt: skip


def test_a_plain_draw_is_thin_nowhere_and_shares_are_the_rows() -> None:
    places = np.random.default_rng(3).choice(4, 600, p=SHARES).astype(float)
    pool, regions = regions_of(places)
    assert not any(region.is_thin for region in regions)
    for region in regions:
        place = pool[region.centre]
        assert region.of_pool == pytest.approx(SHARES[int(place)])
        assert region.of_kept == pytest.approx((places == place).mean())
        assert region.kept == region.attempted == (places == place).sum()
        assert region.oks == pytest.approx(place / 10) and region.difficulty == pytest.approx(100 * place + 50)


def test_what_was_refused_or_never_drawn_is_thin_and_comes_first() -> None:
    places = np.repeat(np.arange(3.0), 100)
    is_kept = places != 1
    is_kept[100:103] = True
    pool, regions = regions_of(places, is_kept)
    assert [pool[region.centre] for region in regions[:2]] == [3, 1]
    assert [region.is_thin for region in regions] == [True, True, False, False]
    assert [(region.kept, region.attempted) for region in regions[:2]] == [(0, 0), (3, 100)]
    assert np.isnan(regions[0].oks) and np.isnan(regions[0].difficulty) and regions[1].oks == pytest.approx(0.1)


def test_few_samples_are_no_proof() -> None:
    """Of ten samples, none in a region of a fifth of the pool may be chance; of a hundred it is not."""
    for count, is_thin in ((10, False), (100, True)):
        pool, regions = regions_of(np.zeros(count))
        (region,) = [region for region in regions if pool[region.centre] == 2]
        assert region.kept == 0 and region.is_thin == is_thin == (region.most_of_kept < THIN * region.of_pool)


def test_difficulty_counts_kept_rows_whose_difficulty_is_known() -> None:
    places, is_kept = np.zeros(4), np.array([True, True, True, False])
    _, regions = regions_of(places, is_kept, difficulty=np.array([10.0, 30.0, np.nan, 1000.0]))
    (region,) = [region for region in regions if region.kept]
    assert region.difficulty == pytest.approx(20.0) and (region.kept, region.attempted) == (3, 4)


def test_the_interval_is_wilson_s() -> None:
    for hits, total in ((0, 10), (3, 40), (17, 20)):
        expected = binomtest(hits, total).proportion_ci(method="wilson").high
        assert wilson_upper(hits, total) == pytest.approx(expected, abs=1e-6)


def test_nothing_kept_is_an_error() -> None:
    with pytest.raises(ValueError, match="none of 5 samples was kept"):
        regions_of(np.zeros(5), np.zeros(5, dtype=bool))
