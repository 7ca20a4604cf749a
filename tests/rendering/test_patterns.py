"""Prints: their share, their period, and where they run."""

import numpy as np
import pytest

from posedreamer.rendering.attributes import PATTERNS
from posedreamer.rendering.patterns import SLEEVE_FROM, TRUNK_RADIUS, Pattern, draw_pattern

BASE, PRINT = np.array([0.5, 0.1, 0.1]), np.array([0.85, 0.85, 0.85])


def amount(pattern, cloth):
    """How much of the print each point has, 0 to 1."""
    albedo = np.tile(BASE, (len(cloth), 1))
    shown = pattern.applied(albedo, cloth, np.ones(len(cloth), dtype=bool))
    return ((shown - BASE) / (PRINT - BASE)).mean(axis=1)


def trunk(count=200_000):
    rng = np.random.default_rng(0)
    azimuth, y = rng.uniform(-np.pi, np.pi, count), rng.uniform(-0.5, 0.5, count)
    return np.stack([TRUNK_RADIUS * np.sin(azimuth), y, TRUNK_RADIUS * np.cos(azimuth)], axis=1)


def test_stripes_and_dots_cover_what_they_say():
    striped = amount(Pattern("striped", PRINT, 0.05, 0.4), trunk()).mean()
    dotted = amount(Pattern("dotted", PRINT, 0.04, 0.6), trunk()).mean()
    assert striped == pytest.approx(0.4, abs=0.01)
    # A disc of diameter `share` in a square of side 1; its soft edge adds pi w^2 / 12, w = 0.1.
    assert dotted == pytest.approx(np.pi * 0.3**2 + np.pi * 0.1**2 / 12, abs=0.01)


def test_stripes_run_round_the_trunk_and_round_the_arm():
    pattern = Pattern("striped", PRINT, 0.05, 0.4)
    here = trunk(500)
    turned = here * [-1.0, 1.0, -1.0]
    np.testing.assert_allclose(amount(pattern, here), amount(pattern, turned), atol=1e-6)
    arm = np.stack([np.full(50, SLEEVE_FROM + 0.1), np.linspace(-0.05, 0.05, 50), np.zeros(50)], axis=1)
    assert np.ptp(amount(pattern, arm)) < 1e-6


def test_plain_cloth_and_what_is_no_cloth_stay_as_they_are():
    albedo, cloth = np.random.default_rng(1).uniform(0, 1, (2, 100, 3))
    plain = Pattern("plain", PRINT, 0.05, 0.4).applied(albedo, cloth, np.ones(100, dtype=bool))
    bare = Pattern("striped", PRINT, 0.05, 0.4).applied(albedo, cloth, np.zeros(100, dtype=bool))
    np.testing.assert_array_equal(plain, albedo.astype(np.float32))
    np.testing.assert_array_equal(bare, albedo.astype(np.float32))


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("base", [(0.02, 0.02, 0.02), (0.84, 0.84, 0.82), (0.5, 0.02, 0.03)])
def test_a_drawn_print_can_be_told_from_its_cloth(name, base):
    for seed in range(20):
        pattern = draw_pattern(name, np.array(base), np.random.default_rng(seed))
        assert np.abs(pattern.color - base).max() > 0.15 and pattern.share < 0.65
