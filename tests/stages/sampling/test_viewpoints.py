"""Cameras: never inside the body, and crops that show what their name says."""

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.geometry.cameras import project, transform_points
from posedreamer.geometry.skeletons import COCO_FROM_OUTPUT, OUTPUT_JOINTS
from posedreamer.stages.sampling.library import load_library
from posedreamer.stages.sampling.library_source import LibrarySource
from posedreamer.stages.sampling.placing import draw_to_parameters, stand_on_ground
from posedreamer.stages.sampling.shapes import draw_betas
from posedreamer.stages.sampling.viewpoints import Viewpoint, ViewpointRanges, draw_camera

SIZES = ((128, 128), (96, 160), (200, 120))


@pytest.fixture(scope="module")
def bodies() -> list[tuple[np.ndarray, np.ndarray]]:
    body = load_body()
    source = LibrarySource(load_library(), body.get_buffer("hand_mean").numpy())
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        _, posed = stand_on_ground(body, draw_to_parameters(source.draw(rng), draw_betas(rng)))
        found.append((posed.vertices, posed.joints))
    return found


def cameras(
    bodies: list, ranges: ViewpointRanges, count: int = 15
) -> list[tuple[np.ndarray, np.ndarray, int, int, Viewpoint]]:
    found = []
    for i, (vertices, joints) in enumerate(bodies):
        for seed in range(count):
            width, height = SIZES[seed % len(SIZES)]
            rng = np.random.default_rng(1000 * i + seed)
            found.append((vertices, joints, width, height, draw_camera(vertices, joints, width, height, ranges, rng)))
    return found


def test_the_whole_body_is_in_front_of_every_camera(bodies: list) -> None:
    """Also with the widest lens and the steepest views that a config may ask for."""
    extreme = ViewpointRanges(elevation_deg=(-80, 80), roll_sigma_deg=45, focal_mm=(8, 300), shares=(0.2, 0.4, 0.4))
    for ranges in (ViewpointRanges(), extreme):
        for vertices, joints, _, _, view in cameras(bodies, ranges):
            depth = transform_points(view.T_cam_from_world, np.concatenate([vertices, joints]))[:, 2]
            radius = np.linalg.norm(vertices - (vertices.max(0) + vertices.min(0)) / 2, axis=1).max()
            # At least 1.25 radii away, so a quarter of a radius remains in front of the nearest vertex.
            assert depth.min() > 0.2 * radius


def test_full_body_is_all_inside(bodies: list) -> None:
    for vertices, _, width, height, view in cameras(bodies, ViewpointRanges(shares=(1.0, 0.0, 0.0))):
        pixels = project(transform_points(view.T_cam_from_world, vertices), view.K)
        assert (pixels >= 0).all()
        assert (pixels <= [width, height]).all()
        # and fills the image along one side to at least 1 / 1.35
        assert ((pixels.max(0) - pixels.min(0)) / [width, height]).max() > 0.74


def test_half_body_shows_head_and_hips(bodies: list) -> None:
    wanted = [OUTPUT_JOINTS.index(name) for name in ("head", "pelvis", "left_shoulder", "right_shoulder")]
    for _, joints, width, height, view in cameras(bodies, ViewpointRanges(shares=(0.0, 1.0, 0.0))):
        pixels = project(transform_points(view.T_cam_from_world, joints[wanted]), view.K)
        assert (pixels >= 0).all()
        assert (pixels <= [width, height]).all()


def test_truncated_cuts_but_keeps_a_part(bodies: list) -> None:
    cut, kept = [], []
    for vertices, joints, width, height, view in cameras(bodies, ViewpointRanges(shares=(0.0, 0.0, 1.0))):
        pixels = project(transform_points(view.T_cam_from_world, vertices), view.K)
        inside = ((pixels >= 0) & (pixels <= [width, height])).all(1)
        cut.append(not inside.all())
        keypoints = project(transform_points(view.T_cam_from_world, joints[COCO_FROM_OUTPUT]), view.K)
        kept.append(((keypoints >= 0) & (keypoints <= [width, height])).all(1).mean())
        assert inside.mean() > 0.1
    assert np.mean(cut) > 0.95
    assert np.median(kept) > 0.4


def test_shares_yaw_and_elevation_are_as_asked(bodies: list) -> None:
    ranges = ViewpointRanges(elevation_deg=(-10, 30), roll_sigma_deg=0.0)
    views = [view for *_, view in cameras(bodies, ranges, count=60)]
    shares = [np.mean([view.crop == crop for view in views]) for crop in ("full_body", "half_body", "truncated")]
    np.testing.assert_allclose(shares, ranges.shares, atol=0.05)
    forward = np.array([view.T_cam_from_world[2, :3] for view in views])
    elevation = np.degrees(np.arcsin(-forward[:, 1]))
    assert elevation.min() >= -10
    assert elevation.max() <= 30
    quarter = np.floor(np.arctan2(forward[:, 0], forward[:, 2]) / (np.pi / 2))
    assert min(np.mean(quarter == q) for q in (-2, -1, 0, 1)) > 0.18
    # Without roll, the image's x axis is level.
    np.testing.assert_allclose([view.T_cam_from_world[0, 1] for view in views], 0.0, atol=1e-9)


def test_square_pixels_and_rigid_cameras(bodies: list) -> None:
    for *_, view in cameras(bodies[:3], ViewpointRanges()):
        assert view.K[0, 0] == view.K[1, 1] > 0
        rotmat = view.T_cam_from_world[:3, :3]
        np.testing.assert_allclose(rotmat @ rotmat.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotmat) > 0
