"""Surfaces from views of spheres, whose normals and colours are known, and the steps by themselves."""

import io

import numpy as np
import pytest
import torch
import trimesh

from posedreamer.drpose.reconstruct import (
    Mesh,
    body_mask,
    poisson_surface,
    reconstruct,
    to_glb,
    turn_surface,
    visual_hull,
)
from posedreamer.drpose.views import VIEWS, rotate_from_view, rotate_to_view

SIZE, RADIUS = 96, 0.16
CENTRE = np.array([0.2, -0.1, 0.14])


def views_of_a_sphere(centre=CENTRE, radius=RADIUS):
    """Normals and colours as they are stored: red where the subject's x is over the centre's, blue elsewhere."""
    middle = (np.arange(SIZE) + 0.5) / SIZE - 0.5
    x, y = np.meshgrid(middle, middle)
    normals, colors = (np.full((len(VIEWS), SIZE, SIZE, 3), 255, dtype=np.uint8) for _ in range(2))
    for place, view in enumerate(VIEWS):
        seen = rotate_to_view(torch.from_numpy(centre[None]), view.azimuth)[0].numpy()
        squared = radius**2 - (x - seen[0]) ** 2 - (y - seen[1]) ** 2
        inside = squared > 0
        towards = np.stack([x - seen[0], y - seen[1], -np.sqrt(np.maximum(squared, 0))], axis=-1)[inside] / radius
        outward = rotate_from_view(torch.from_numpy(towards), view.azimuth).numpy()
        picture, color = normals[place].copy(), colors[place].copy()
        picture[inside] = np.rint(127.5 * (1 + outward * [1, -1, -1]))
        color[inside] = np.where(outward[:, :1] > 0, [200, 20, 20], [20, 20, 200])
        normals[place] = picture[:, ::-1] if view.is_mirrored else picture
        colors[place] = color[:, ::-1] if view.is_mirrored else color
    return normals, colors


@pytest.fixture(scope="module")
def found():
    return reconstruct(*views_of_a_sphere())


def test_a_sphere_is_found_where_it_is(found):
    """Beside the axis: views that are mirrored and not turned round would put it elsewhere."""
    distance = np.linalg.norm(found.vertices - CENTRE, axis=1)
    assert np.median(np.abs(distance - RADIUS)) < 0.01 * 1.0
    assert np.quantile(distance, 0.99) < 1.25 * RADIUS


def test_the_surface_is_closed_and_faces_outwards(found):
    mesh = trimesh.Trimesh(found.vertices, found.faces)
    assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.15)


def test_colours_lie_on_their_sides(found):
    side = found.vertices[:, 0] - CENTRE[0]
    red, blue = found.colors[side > 0.25 * RADIUS], found.colors[side < -0.25 * RADIUS]
    assert (red[:, 0] > red[:, 2]).mean() > 0.97 and (blue[:, 2] > blue[:, 0]).mean() > 0.97


def test_normals_take_off_what_outlines_leave_on():
    """Six outlines of a sphere bound a prism-like body; normals round it."""
    normals, colors = views_of_a_sphere()
    hull = visual_hull(np.stack([body_mask(one) for one in normals]))
    whole = reconstruct(normals, colors)
    error = [np.abs(np.linalg.norm(one.vertices - CENTRE, axis=1) - RADIUS).mean() for one in (hull, whole)]
    assert error[1] < 0.8 * error[0]


def test_a_bumpy_plane_with_even_normals_becomes_even():
    side = np.arange(20)
    x, y = np.meshgrid(side, side, indexing="ij")
    vertices = np.stack([x, y, np.random.default_rng(0).normal(0, 0.3, x.shape)], axis=-1).reshape(-1, 3) / 20.0
    first = (x[:-1, :-1] * 20 + y[:-1, :-1]).reshape(-1)
    faces = np.concatenate(
        [np.stack([first, first + 20, first + 1], 1), np.stack([first + 1, first + 20, first + 21], 1)]
    )
    moved = turn_surface(Mesh(vertices, faces), np.tile([0.0, 0.0, 1.0], (400, 1)))
    assert moved[:, 2].std() < 0.2 * vertices[:, 2].std()
    np.testing.assert_allclose(moved[:, :2], vertices[:, :2], atol=1e-3)  # nothing pulls along the plane


def test_poisson_closes_the_surface_of_points():
    points = trimesh.creation.icosphere(subdivisions=4, radius=0.3).vertices
    area = 4 * np.pi * 0.3**2 / len(points)
    mesh = poisson_surface(np.asarray(points), np.asarray(points) / 0.3 * area)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 0.3, atol=0.01)
    assert trimesh.Trimesh(*mesh).volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.05)


def test_outlines_that_do_not_meet_are_told():
    masks = np.zeros((len(VIEWS), SIZE, SIZE), dtype=bool)
    masks[:3, :10] = True
    masks[3:, -10:] = True
    with pytest.raises(ValueError, match="outlines do not meet"):
        visual_hull(masks)


def test_a_glb_is_upright_and_in_metres(found):
    scene = trimesh.load(io.BytesIO(to_glb(found, 2.0)), file_type="glb")
    mesh = scene.to_geometry() if isinstance(scene, trimesh.Scene) else scene
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), found.vertices.mean(axis=0) * [2, -2, -2], atol=0.02)
