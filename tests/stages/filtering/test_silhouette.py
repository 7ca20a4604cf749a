"""The cut follows colours, not the label."""

import cv2
import numpy as np
import pytest

from posedreamer.stages.filtering.silhouette import cut_foreground, silhouette_agreement


def figure(center: int) -> np.ndarray:
    """An upright ellipse about that column."""
    rows, columns = np.mgrid[:120, :120]
    return ((rows - 60) / 45) ** 2 + ((columns - center) / 16) ** 2 <= 1


def picture(center: int) -> np.ndarray:
    """A reddish figure on bluish ground, both noisy."""
    noise = np.random.default_rng(0).normal(0, 12, (120, 120, 3))
    return np.clip(np.where(figure(center)[..., None], (190, 80, 60), (90, 110, 170)) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("place", "low", "high"), [(60, 0.95, 1.0), (72, 0.0, 0.75), (100, 0.0, 0.1)])
def test_agreement_falls_with_distance(place: int, low: float, high: float) -> None:
    assert low <= silhouette_agreement(picture(60), figure(place)) <= high


def test_the_cut_is_the_figure() -> None:
    """Started from a silhouette 6 px off, at the figure's own outline to within 2 % of the pixels."""
    assert (cut_foreground(picture(60), figure(66)) != figure(60)).mean() < 0.02


def test_nobody_is_no_agreement() -> None:
    assert silhouette_agreement(picture(500), figure(60)) < 0.5


def test_a_band_along_the_outline_does_not_count() -> None:
    """A body 2 px thinner than its clothes agrees fully (the band is 3 px here)."""
    rows, columns = np.mgrid[:120, :120]
    body = ((rows - 60) / 43) ** 2 + ((columns - 60) / 14) ** 2 <= 1
    assert silhouette_agreement(picture(60), body) > 0.97


def test_same_picture_same_cut(person: dict[str, np.ndarray]) -> None:
    """Whatever OpenCV's generator was used for before; unseeded, this very picture gives other cuts."""
    rgb, mask = person["picture"][20:140, :120], person["mask"][20:140, :120]
    cuts = []
    for state in (1, 2, 3):
        cv2.setRNGSeed(state)
        cuts.append(cut_foreground(rgb, mask))
    np.testing.assert_array_equal(cuts[0], cuts[1])
    np.testing.assert_array_equal(cuts[0], cuts[2])


def test_no_silhouette_and_nothing_but_silhouette() -> None:
    assert silhouette_agreement(picture(60), np.zeros((120, 120), bool)) is None
    assert silhouette_agreement(picture(60), np.ones((120, 120), bool)) == 0.0
