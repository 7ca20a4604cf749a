import numpy as np
import pytest

from posedreamer.geometry.cameras import look_at, make_K, project, transform_points
from posedreamer.rendering.attributes import SCENES
from posedreamer.rendering.canvas import NOISE_SIZE, look, noise
from posedreamer.rendering.ground import shadow_on_ground
from posedreamer.rendering.scenes import draw_scene
from posedreamer.rendering.shading import Light, draw_sun_map, linear_to_srgb, shade, sunlit

SIZE = 64
K = make_K(80.0, SIZE, SIZE)
FOOT = np.array([0.3, 0.0, -0.2])


def camera(height: float, roll: float = 0.0) -> np.ndarray:
    return look_at(np.array([2.0, height, 2.5]), np.array([0.0, 0.8, 0.0]), roll)


def pixel_centres() -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5), axis=-1)


@pytest.mark.parametrize("height", [0.4, 1.5, 4.0])
@pytest.mark.parametrize("roll", [0.0, 0.3])
def test_ground_points_lie_on_the_ground_behind_their_pixels(height, roll):
    T_cam_from_world = camera(height, roll)
    view = look(T_cam_from_world, K, SIZE, SIZE, FOOT)
    ground = view.ground > 0.99
    assert ground.any()
    points = view.ground_points_cam[ground].astype(np.float64)
    near = np.linalg.norm(points, axis=1) < 30.0
    world = transform_points(np.linalg.inv(T_cam_from_world), points[near])
    np.testing.assert_allclose(world[:, 1], 0.0, atol=1e-4)
    np.testing.assert_allclose(project(points[near], K), pixel_centres()[ground][near], atol=1e-3)
    # ground_x and ground_z are distances from the foot: a rotation of the world's own.
    reach = np.hypot(view.ground_x[ground][near], view.ground_z[ground][near])
    np.testing.assert_allclose(reach, np.linalg.norm(world - FOOT, axis=1), atol=1e-4)


@pytest.mark.parametrize("roll", [0.0, -0.2])
def test_the_horizon_is_where_far_points_of_eye_height_are(roll):
    T_cam_from_world = camera(1.4, roll)
    view = look(T_cam_from_world, K, SIZE, SIZE, FOOT)
    far = np.array([[-2000.0, 1.4, -2500.0], [-1800.0, 1.4, -2600.0]])
    for u, v in project(transform_points(T_cam_from_world, far), K):
        assert abs(view.elevation[int(v), int(u)]) < 1.5 * view.pixel


@pytest.mark.parametrize("name", SCENES)
def test_places_are_smooth_repeatable_and_lit_from_the_camera_side(name):
    T_cam_from_world = camera(1.5)
    view = look(T_cam_from_world, K, SIZE, SIZE, FOOT)
    for seed in range(4):
        scene, again = (draw_scene(name, view, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(scene.background, again.background)
        image = linear_to_srgb(scene.background).astype(float)
        assert np.isfinite(image).all() and 30 < image.mean() < 245
        # Grey levels from pixel to pixel, both ways. White noise has 170; a small generator can learn about a tenth of that.
        steps = np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean()
        assert steps < 16.0
        assert np.linalg.norm(scene.light.towards_sun) == pytest.approx(1.0)
        assert scene.light.towards_sun[1] > 0.4
        assert scene.light.towards_sun @ view.ahead_world < 0


def test_places_of_different_seeds_differ():
    view = look(camera(1.5), K, SIZE, SIZE, FOOT)
    for name in SCENES:
        one, other = (draw_scene(name, view, np.random.default_rng(seed)).background for seed in (0, 1))
        assert np.abs(one - other).mean() > 0.005


def test_noise_is_normed_and_periodic():
    y, x = np.meshgrid(np.arange(NOISE_SIZE, dtype=float), np.arange(NOISE_SIZE, dtype=float), indexing="ij")
    values = noise(x, y, np.random.default_rng(0))
    assert abs(values.mean()) < 1e-4
    assert values.std() == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(noise(x + NOISE_SIZE, y - NOISE_SIZE, np.random.default_rng(0)), values, atol=1e-5)


def test_looking_straight_down_has_ground_everywhere():
    T_cam_from_world = np.eye(4)
    T_cam_from_world[:3, :3] = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]
    T_cam_from_world[:3, 3] = [0.0, 0.0, 3.0]
    view = look(T_cam_from_world, K, SIZE, SIZE, np.zeros(3))
    assert (view.ground > 0.99).all()


def test_a_plate_shades_the_ground_where_the_sun_says():
    # A plate of 40 cm, 1 m up, sun 45 degrees to the world's +x: its shadow lies 1 m towards -x.
    T_cam_from_world = look_at(np.array([0.0, 4.0, 4.0]), np.zeros(3))
    corners = np.array([[-0.2, 1.0, -0.2], [0.2, 1.0, -0.2], [0.2, 1.0, 0.2], [-0.2, 1.0, 0.2]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    vertices = transform_points(T_cam_from_world, corners).astype(np.float32)
    sun_map = draw_sun_map(vertices, faces, T_cam_from_world[:3, :3] @ np.array([0.5**0.5, 0.5**0.5, 0.0]))
    spots = transform_points(T_cam_from_world, np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    shadow = shadow_on_ground(sun_map, spots.reshape(1, 3, 3).astype(np.float32))[0]
    assert shadow[0] > 0.9
    assert shadow[1] < 0.05 and shadow[2] < 0.05


def test_what_lies_under_a_plate_is_in_its_shadow_and_what_lies_above_is_not():
    T_cam_from_world = look_at(np.array([0.0, 2.0, 4.0]), np.zeros(3))
    corners = np.array([[-0.3, 1.0, -0.3], [0.3, 1.0, -0.3], [0.3, 1.0, 0.3], [-0.3, 1.0, 0.3]])
    vertices = transform_points(T_cam_from_world, corners).astype(np.float32)
    sun_map = draw_sun_map(vertices, np.array([[0, 1, 2], [0, 2, 3]]), T_cam_from_world[:3, 1])
    spots = transform_points(T_cam_from_world, np.array([[0.0, 0.5, 0.0], [0.0, 1.5, 0.0], [0.45, 0.5, 0.0]]))
    upward = np.tile(T_cam_from_world[:3, 1], (3, 1)).astype(np.float32)
    np.testing.assert_array_equal(sunlit(sun_map, spots.astype(np.float32), upward), [0.0, 1.0, 1.0])


def test_shade_is_albedo_times_light():
    light = Light(np.array([0.0, 1.0, 0.0]), np.full(3, 0.5), np.full(3, 0.25), np.full(3, 0.1))
    albedo = np.array([[0.2, 0.4, 0.6]], dtype=np.float32)
    # A surface that faces the sky and the camera, which looks straight down: no rim, sun and sky in full.
    R_cam_from_world = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    normal, point = np.array([[0.0, 0.0, -1.0]], np.float32), np.array([[0.0, 0.0, 2.0]], np.float32)

    def lit(share: float, openness: float) -> np.ndarray:
        shares = (np.array([share], np.float32), np.array([openness], np.float32))
        return shade(albedo, normal, point, *shares, light, R_cam_from_world)

    np.testing.assert_allclose(lit(1.0, 1.0), albedo * 0.75, rtol=1e-5)
    np.testing.assert_allclose(lit(0.0, 0.5), albedo * 0.125, rtol=1e-5)
