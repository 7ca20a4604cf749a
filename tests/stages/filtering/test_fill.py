"""Painting over: nothing else changes, nothing of the hidden thing is left."""

import numpy as np
import pytest

from posedreamer.stages.filtering.fill import paint_over, widen


def square(size: int = 40) -> np.ndarray:
    region = np.zeros((60, 70), bool)
    region[10 : 10 + size, 15 : 15 + size] = True
    return region


def test_outside_stays_and_inside_is_forgotten() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    other = rgb.copy()
    other[square()] = 7
    filled = paint_over(rgb, square())
    np.testing.assert_array_equal(filled[~square()], rgb[~square()])
    np.testing.assert_array_equal(filled, paint_over(other, square()))


def test_one_colour_stays_one_colour() -> None:
    rgb = np.full((60, 70, 3), (200, 30, 90), np.uint8)
    np.testing.assert_array_equal(paint_over(np.where(square()[..., None], 0, rgb).astype(np.uint8), square()), rgb)


def test_a_gradient_goes_on_through_the_hole() -> None:
    """Within 12 % of its range, on average: the fill is smooth, no copy."""
    ramp = np.repeat(np.linspace(0, 255, 70).astype(np.uint8)[None], 60, axis=0)
    rgb = np.repeat(ramp[..., None], 3, axis=2)
    filled = paint_over(rgb, square(30))
    assert np.abs(filled.astype(float) - rgb)[square(30)].mean() < 0.12 * 255


def test_nothing_and_everything() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    np.testing.assert_array_equal(paint_over(rgb, np.zeros((60, 70), bool)), rgb)
    assert (paint_over(rgb, np.ones((60, 70), bool)) == 128).all()


def test_widen_is_a_disc() -> None:
    point = np.zeros((21, 21), bool)
    point[10, 10] = True
    grown = widen(point, 4)
    distance = np.hypot(*np.mgrid[-10:11, -10:11])
    assert grown[distance <= 3.5].all() and not grown[distance > 5].any()
    np.testing.assert_array_equal(widen(grown, -4), point)
    assert widen(point, 0) is point


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (37, 5)])
def test_odd_sizes(shape: tuple[int, int]) -> None:
    region = np.zeros(shape, bool)
    region[0, 0] = True
    assert paint_over(np.full((*shape, 3), 50, np.uint8), region).shape == (*shape, 3)
