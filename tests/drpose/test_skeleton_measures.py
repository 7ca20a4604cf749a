"""Figures of skeleton maps where they are known."""

import numpy as np
import pytest
import torch

from posedreamer.drpose.skeleton import CHANNELS, draw_skeleton_maps
from posedreamer.drpose.skeleton_measures import bone_centres, joints_of_centres, measure_maps

SIZE = 64


@pytest.fixture
def points():
    return torch.from_numpy(np.random.default_rng(0).uniform(20, 44, (2, 3, len(CHANNELS), 2)))


def test_joints_come_back_from_the_centres_of_their_bones(points):
    maps = draw_skeleton_maps(points, SIZE)
    found = joints_of_centres(bone_centres(maps))
    assert (found - points).norm(dim=-1).max() < 0.2


def test_what_is_right_has_no_error(points):
    maps = draw_skeleton_maps(points, SIZE)
    found = measure_maps(maps, maps)
    assert found.psnr > 90 and found.ssim == pytest.approx(1.0) and found.centre_px == 0 and found.joint_px == 0


def test_a_shift_is_told_in_pixels(points):
    maps, moved = draw_skeleton_maps(points, SIZE), draw_skeleton_maps(points + torch.tensor([3.0, 4.0]), SIZE)
    found = measure_maps(moved, maps)
    assert found.centre_px == pytest.approx(5.0, rel=0.02) and found.joint_px == pytest.approx(5.0, rel=0.02)


def test_noise_has_the_psnr_of_its_variance(points):
    maps = draw_skeleton_maps(points, SIZE)
    noisy = maps + 0.1 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(0), dtype=maps.dtype)
    assert measure_maps(noisy, maps).psnr == pytest.approx(20.0, abs=0.1)


def test_black_maps_have_no_places(points):
    found = measure_maps(torch.zeros(2, 3, 23, SIZE, SIZE), draw_skeleton_maps(points, SIZE).float())
    assert np.isnan(found.centre_px) and 5 < found.psnr < 40
