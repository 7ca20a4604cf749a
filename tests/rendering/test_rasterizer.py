"""The rasteriser against geometry: every pixel once, perspective, parity with a slow version written another way."""

import numpy as np
import pytest
import trimesh

from posedreamer.geometry.cameras import crop_K, make_K, project, unproject
from posedreamer.rendering.rasterizer import interpolate, rasterize, vertex_normals

SIZE = 32
K = make_K(40.0, SIZE, SIZE)
UNIT_K = np.eye(3)  # pixels = x / z, y / z: places vertices exactly


def grid_mesh(jitter: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A triangulated square over the pixels [2, 30]^2 at depth 1; inner vertices moved by up to `jitter`."""
    count = 15
    axis = np.linspace(2.0, 30.0, count)
    points = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1)
    points[1:-1, 1:-1] += rng.uniform(-jitter, jitter, (count - 2, count - 2, 2))
    corner = np.arange(count * count).reshape(count, count)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    vertices = np.concatenate([points.reshape(-1, 2), np.ones((count * count, 1))], axis=1)
    flipped = rng.random(len(faces)) < 0.5
    faces[flipped] = faces[flipped][:, ::-1]  # the rule must not depend on the way a face turns
    return vertices, faces


@pytest.mark.parametrize("offset", [0.0, 0.5])  # 0.5: edges and vertices run exactly through pixel centres
@pytest.mark.parametrize("jitter", [0.0, 0.6])
def test_each_pixel_of_a_surface_is_drawn_exactly_once(jitter: float, offset: float) -> None:
    vertices, faces = grid_mesh(jitter, np.random.default_rng(1))
    vertices[:, :2] += offset
    times = sum((rasterize(vertices, face[None], UNIT_K, SIZE, SIZE).face_id >= 0).astype(int) for face in faces)
    expected = np.zeros((SIZE, SIZE), dtype=int)
    expected[2:30, 2:30] = 1
    # With the border exactly on centres the top and left edges own them, the bottom and right ones do not.
    np.testing.assert_array_equal(times, expected)


def random_triangles(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    centres = rng.uniform([-0.5, -0.5, 1.5], [0.5, 0.5, 3.0], (count, 1, 3))
    return (centres + rng.uniform(-0.4, 0.4, (count, 3, 3))).reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


def test_equals_a_ray_through_each_pixel() -> None:
    vertices, faces = random_triangles(np.random.default_rng(2), 60)
    raster = rasterize(vertices, faces, K, SIZE, SIZE)
    corners = vertices[faces]
    for row in range(SIZE):
        for column in range(SIZE):
            ray = unproject(np.array([[column + 0.5, row + 0.5]]), np.ones(1), K)[0]
            # Weights of the three corners such that they add up to a point of the ray.
            weights = np.linalg.solve(corners.transpose(0, 2, 1), np.broadcast_to(ray[:, None], (len(faces), 3, 1)))[
                ..., 0
            ]
            depth = np.where((weights > 0).all(axis=1), 1.0 / weights.sum(axis=1), np.inf)
            nearest = depth.argmin()
            if not np.isfinite(depth[nearest]):
                assert raster.face_id[row, column] == -1
                continue
            assert raster.face_id[row, column] == nearest
            np.testing.assert_allclose(raster.depth[row, column], depth[nearest], rtol=1e-6)  # float32
            np.testing.assert_allclose(
                raster.barycentrics[row, column], weights[nearest] / weights[nearest].sum(), atol=1e-6
            )


def test_interpolated_positions_project_to_their_pixels() -> None:
    vertices, faces = random_triangles(np.random.default_rng(3), 40)
    raster = rasterize(vertices, faces, K, SIZE, SIZE)
    positions = interpolate(raster, faces, vertices)
    rows, columns = np.nonzero(raster.face_id >= 0)
    assert len(rows) > 200
    # float32 metres at about 2 m: 1e-7 relative, 40 px focal length.
    np.testing.assert_allclose(project(positions[rows, columns], K), np.stack([columns, rows], axis=1) + 0.5, atol=2e-5)
    np.testing.assert_allclose(positions[..., 2], raster.depth, atol=1e-6)
    assert not positions[raster.face_id < 0].any()


def test_a_tilted_plane_has_the_depth_of_its_equation() -> None:
    vertices = np.array([[x, y, 3.0 + 0.5 * x - 0.3 * y] for x, y in ((-3, -3), (3, -3), (3, 3), (-3, 3))])
    raster = rasterize(vertices, np.array([[0, 1, 2], [0, 2, 3]]), K, SIZE, SIZE)
    rays = unproject(np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1) + 0.5, np.ones((SIZE, SIZE)), K)
    np.testing.assert_allclose(raster.depth, 3.0 / (1.0 - 0.5 * rays[..., 0] + 0.3 * rays[..., 1]), rtol=1e-6)


def test_nearest_wins_and_ties_go_to_the_lower_index() -> None:
    corners = np.array([[-9.0, -9.0], [9.0, -9.0], [0.0, 9.0]])
    far, near = (np.column_stack([corners, np.full(3, depth)]) for depth in (3.0, 2.0))
    order = rasterize(np.concatenate([far, near, near]), np.arange(9).reshape(3, 3), K, SIZE, SIZE)
    assert order.face_id[16, 16] == 1
    assert order.depth[16, 16] == np.float32(2.0)


def test_a_crop_of_the_camera_is_a_crop_of_the_raster() -> None:
    vertices, faces = random_triangles(np.random.default_rng(4), 60)
    whole = rasterize(vertices, faces, K, SIZE, SIZE)
    part = rasterize(vertices, faces, crop_K(K, 5.0, 9.0), 20, 12)
    np.testing.assert_array_equal(part.face_id, whole.face_id[9:21, 5:25])
    np.testing.assert_allclose(part.depth, whole.depth[9:21, 5:25], rtol=1e-6)


def test_vertices_far_outside_the_image_are_no_trouble() -> None:
    vertices = np.array([[-1e9, -1e9, 1.0], [1e9, -1e9, 1.0], [0.0, 1e12, 1.0]])
    raster = rasterize(vertices, np.array([[0, 1, 2]]), UNIT_K, SIZE, SIZE)
    assert (raster.face_id == 0).all() and np.isfinite(raster.barycentrics).all()
    beside = rasterize(vertices + np.array([1e13, 0, 0]), np.array([[0, 1, 2]]), UNIT_K, SIZE, SIZE)
    assert (beside.face_id == -1).all() and not beside.depth.any() and not beside.barycentrics.any()


def test_degenerate_faces_draw_nothing() -> None:
    vertices = np.array([[3.0, 3.0, 1.0], [20.0, 20.0, 1.0], [11.5, 11.5, 1.0]])
    raster = rasterize(vertices, np.array([[0, 1, 2], [0, 0, 1]]), UNIT_K, SIZE, SIZE)
    assert (raster.face_id == -1).all()


def test_refuses_what_it_cannot_draw() -> None:
    vertices, faces = random_triangles(np.random.default_rng(5), 3)
    with pytest.raises(ValueError, match="in front of the camera"):
        rasterize(vertices - (0, 0, 2.0), faces, K, SIZE, SIZE)
    with pytest.raises(ValueError, match="in front of the camera"):
        rasterize(np.where(np.arange(9)[:, None] == 4, np.nan, vertices), faces, K, SIZE, SIZE)


def test_normals_of_a_sphere_are_its_radii() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=3)
    vertices, faces = np.array(sphere.vertices), np.array(sphere.faces)
    normals = vertex_normals(vertices + 5.0, faces)
    np.testing.assert_allclose(normals, vertices, atol=0.02)  # the polyhedron is not quite a sphere
    np.testing.assert_allclose(vertex_normals(vertices + 5.0, faces[:, ::-1]), -normals, atol=1e-6)
    assert not vertex_normals(np.concatenate([vertices, [[9.0, 9, 9]]]), faces)[-1].any()
