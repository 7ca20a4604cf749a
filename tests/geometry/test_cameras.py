"""Laws of cameras and pixels: there and back, crop then project, resize then project, what look_at promises."""

import numpy as np
import pytest

from posedreamer.geometry.cameras import crop_K, look_at, make_K, project, resize_K, transform_points, unproject

RNG = np.random.default_rng(0)
POINTS = RNG.uniform([-1, -1, 0.5], [1, 1, 6.0], (4, 9, 3))
K = np.array([[500.0, 2.0, 251.0], [0.0, 480.0, 130.0], [0.0, 0.0, 1.0]])


def test_unproject_undoes_project() -> None:
    pixels = project(POINTS, K)
    np.testing.assert_allclose(unproject(pixels, POINTS[..., 2], K), POINTS, atol=1e-12)
    np.testing.assert_allclose(project(unproject(pixels, 2.0 * POINTS[..., 2], K), K), pixels, atol=1e-10)


def test_the_optical_axis_meets_the_middle_of_the_image() -> None:
    np.testing.assert_allclose(project(np.array([[0.0, 0.0, 3.0]]), make_K(100.0, 64, 48)), [[32.0, 24.0]])
    # x right, y down, and half the image's width is seen at focal / depth.
    np.testing.assert_allclose(project(np.array([[0.5, 0.25, 2.0]]), make_K(100.0, 64, 48)), [[57.0, 36.5]])


def test_crop_then_project_is_project_then_crop() -> None:
    np.testing.assert_allclose(project(POINTS, crop_K(K, 31.0, 7.5)), project(POINTS, K) - (31.0, 7.5), atol=1e-10)


def test_resize_then_project_is_project_then_resize() -> None:
    np.testing.assert_allclose(project(POINTS, resize_K(K, 0.25)), 0.25 * project(POINTS, K), atol=1e-10)
    np.testing.assert_allclose(resize_K(make_K(80.0, 64, 32), 2.0), make_K(160.0, 128, 64))


def test_one_camera_per_batch_element() -> None:
    cameras = np.stack([resize_K(K, scale) for scale in (1.0, 2.0, 3.0, 0.5)])
    for points, camera, pixels in zip(POINTS, cameras, project(POINTS, cameras), strict=True):
        np.testing.assert_allclose(project(points, camera), pixels)


@pytest.mark.parametrize("depth", [0.0, -1.0, np.nan])
def test_points_that_no_camera_sees_are_refused(depth: float) -> None:
    points = POINTS.copy()
    points[1, 3, 2] = depth
    with pytest.raises(ValueError, match="in front of the camera"):
        project(points, K)


def test_look_at_puts_the_target_on_the_axis_and_keeps_up_up() -> None:
    eye, target = np.array([2.0, 1.5, -3.0]), np.array([0.3, 0.9, 0.2])
    T_cam_from_world = look_at(eye, target)
    np.testing.assert_allclose(T_cam_from_world[:3, :3] @ T_cam_from_world[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T_cam_from_world[:3, :3]) == pytest.approx(1.0)
    np.testing.assert_allclose(transform_points(T_cam_from_world, eye[None]), 0.0, atol=1e-12)
    distance = np.linalg.norm(target - eye)
    np.testing.assert_allclose(transform_points(T_cam_from_world, target[None]), [[0, 0, distance]], atol=1e-12)
    above = project(transform_points(T_cam_from_world, (target + np.array([0, 0.5, 0]))[None]), make_K(100.0, 64, 64))[
        0
    ]
    assert above[0] == pytest.approx(32.0) and above[1] < 32.0


def test_a_camera_in_front_of_the_world_sees_its_x_axis_to_the_right() -> None:
    """Looking along -z from +z: world x is right, world y is up, as for a body that faces the camera."""
    T_cam_from_world = look_at(np.array([0.0, 0.0, 5.0]), np.zeros(3))
    np.testing.assert_allclose(T_cam_from_world[:3, :3], np.diag([1.0, -1.0, -1.0]), atol=1e-12)


@pytest.mark.parametrize("roll", [0.3, -1.2, np.pi])
def test_positive_roll_turns_up_clockwise_in_the_image(roll: float) -> None:
    T_cam_from_world = look_at(np.array([0.0, 1.0, 4.0]), np.array([0.0, 1.0, 0.0]), roll)
    up = T_cam_from_world[:3, :3] @ np.array([0.0, 1.0, 0.0])
    np.testing.assert_allclose(up, [np.sin(roll), -np.cos(roll), 0.0], atol=1e-12)


def test_look_at_refuses_views_without_an_up() -> None:
    with pytest.raises(ValueError, match="same point"):
        look_at(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="straight up or down"):
        look_at(np.array([0.0, 2.0, 0.0]), np.zeros(3))


def test_transforms_compose_as_their_names_cancel() -> None:
    T_b_from_a = look_at(np.array([1.0, 2.0, 3.0]), np.zeros(3), 0.4)
    T_c_from_b = look_at(np.array([-1.0, 0.5, 2.0]), np.ones(3))
    np.testing.assert_allclose(
        transform_points(T_c_from_b @ T_b_from_a, POINTS),
        transform_points(T_c_from_b, transform_points(T_b_from_a, POINTS)),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        transform_points(np.linalg.inv(T_b_from_a), transform_points(T_b_from_a, POINTS)), POINTS, atol=1e-12
    )
