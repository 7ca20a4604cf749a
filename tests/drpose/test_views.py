"""The six views against a perspective camera that is very far away; which side is where; there and back by triangulation."""

import numpy as np
import pytest
import torch

from posedreamer.drpose.views import (
    VIEWS,
    SubjectFrame,
    mirror_stored,
    project_to_views,
    rotate_from_view,
    rotate_to_view,
    triangulate,
)
from posedreamer.geometry.cameras import look_at, project, transform_points

SIZE = 128


@pytest.fixture
def points() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(-0.4, 0.4, (2, 23, 3)))


def test_each_view_is_that_of_a_camera_far_away(points):
    """At distance D with focal length D a perspective camera is the orthographic one, but for 1 / D."""
    distance = 1e4
    found = project_to_views(points, SIZE, as_stored=False)
    for place, view in enumerate(VIEWS):
        angle = np.deg2rad(view.azimuth)
        # From the subject's frame (y down, z away from the front camera) to y up, z towards it.
        upright = points[0].numpy() * [1.0, -1.0, -1.0]
        eye = distance * np.array([np.sin(angle), 0.0, np.cos(angle)])
        seen = transform_points(look_at(eye, np.zeros(3)), upright)
        K = np.array([[distance * SIZE, 0, SIZE / 2], [0, distance * SIZE, SIZE / 2], [0, 0, 1.0]])
        np.testing.assert_allclose(found[0, place, :, :2], project(seen, K), atol=0.02)
        np.testing.assert_allclose(found[0, place, :, 2], seen[:, 2] - distance, atol=1e-3)


def test_the_left_hand_is_near_in_the_right_view_and_the_front_shows_it_at_the_right():
    hand = torch.tensor([[[0.3, 0.0, 0.0]]])  # of somebody who faces the picture's camera
    u, _, depth = project_to_views(hand, SIZE, as_stored=False)[0, :, 0].unbind(dim=1)
    names = [view.name for view in VIEWS]
    assert u[names.index("front")] > SIZE / 2 > u[names.index("back")]
    assert depth.argmin() == names.index("right") and depth.argmax() == names.index("left")


def test_back_and_left_are_stored_as_mirror_images(points):
    seen, stored = (project_to_views(points, SIZE, as_stored) for as_stored in (False, True))
    for place, view in enumerate(VIEWS):
        assert view.is_mirrored == (view.name in ("back", "left"))
        expected = SIZE - seen[:, place, :, 0] if view.is_mirrored else seen[:, place, :, 0]
        torch.testing.assert_close(stored[:, place, :, 0], expected)
        torch.testing.assert_close(stored[:, place, :, 1:], seen[:, place, :, 1:])


def test_pictures_are_mirrored_where_points_are():
    pictures = torch.rand(2, len(VIEWS), 3, 4, 6)
    stored = mirror_stored(pictures)
    for place, view in enumerate(VIEWS):
        torch.testing.assert_close(
            stored[:, place], pictures[:, place].flip(-1) if view.is_mirrored else pictures[:, place]
        )
    torch.testing.assert_close(mirror_stored(stored), pictures)


def test_triangulation_undoes_projection_and_does_not_when_mirrors_are_forgotten(points):
    weights = torch.rand(2, len(VIEWS), 23, dtype=torch.float64) + 0.1
    seen = project_to_views(points, SIZE, as_stored=False)[..., :2]
    torch.testing.assert_close(triangulate(seen, weights, SIZE), points)
    stored = project_to_views(points, SIZE)[..., :2]
    assert (triangulate(stored, weights, SIZE) - points).abs().max() > 0.1


def test_two_views_suffice(points):
    weights = torch.zeros(2, len(VIEWS), 23, dtype=torch.float64)
    weights[:, [0, 2]] = 1.0
    seen = project_to_views(points, SIZE, as_stored=False)[..., :2]
    torch.testing.assert_close(triangulate(seen, weights, SIZE), points)


def test_rotations_are_rotations_and_go_back(points):
    for view in VIEWS:
        turned = rotate_to_view(points, view.azimuth)
        torch.testing.assert_close(turned.norm(dim=-1), points.norm(dim=-1))
        torch.testing.assert_close(rotate_from_view(turned, view.azimuth), points)


def test_the_subject_s_frame_holds_the_whole_body():
    vertices = torch.rand(3, 50, 3, dtype=torch.float64) * torch.tensor([1.0, 2.0, 0.5]) + torch.tensor([0.0, 1.0, 4.0])
    frame = SubjectFrame.of(vertices)
    found = frame.normalise(vertices)
    torch.testing.assert_close((found.amax(dim=1) + found.amin(dim=1)) / 2, torch.zeros(3, 3, dtype=torch.float64))
    torch.testing.assert_close((found.amax(dim=1) - found.amin(dim=1)).norm(dim=1), torch.ones(3, dtype=torch.float64))
    inside = project_to_views(found, SIZE)[..., :2]
    assert (inside >= 0).all() and (inside <= SIZE).all()
