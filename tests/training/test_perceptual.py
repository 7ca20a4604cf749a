"""The distance of features: a distance, and one that sees what the eye sees."""

import numpy as np
import pytest
import torch

from posedreamer.training.perceptual import BLOCKS, PerceptualDistance


@pytest.fixture(scope="module")
def distance():
    return PerceptualDistance()


@pytest.fixture(scope="module")
def picture():
    rows, columns = np.mgrid[:64, :64] / 64.0
    waves = np.stack([np.sin(9 * rows), np.sin(13 * columns), np.cos(7 * rows * columns)])
    return torch.tensor(waves, dtype=torch.float32)[None]


def test_it_is_zero_for_equal_pictures_symmetric_and_bounded(distance, picture):
    other = picture.flip(3)
    assert distance(picture, picture).item() == 0.0
    assert distance(picture, other).item() == pytest.approx(distance(other, picture).item(), rel=1e-6)
    assert 0.0 < distance(picture, other).item() < 4.0 * len(BLOCKS)


def test_blur_is_farther_than_a_change_of_brightness_of_the_same_error(distance, picture):
    # What the absolute error of colours cannot tell apart: this is what it is there for.
    sharp = (picture > 0).float() * 2 - 1
    blurred = torch.nn.functional.avg_pool2d(sharp, 5, 1, 2, count_include_pad=False)
    size = (blurred - sharp).square().mean().sqrt()
    lighter = sharp + size
    assert distance(blurred, sharp) > 2.0 * distance(lighter, sharp)


def test_gradients_go_to_the_picture_shown_only(distance, picture):
    shown, wished = (picture.clone().requires_grad_() for _ in range(2))
    distance(shown + 0.1, wished).backward()
    assert shown.grad is not None and shown.grad.abs().sum() > 0
    assert wished.grad is None
    assert all(weight.grad is None for weight in distance.network.parameters())
