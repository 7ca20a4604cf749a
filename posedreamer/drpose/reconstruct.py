"""From six views, normals and colours, to a coloured surface: a stand-in on CPU for PSHuman's explicit human carving.

Silhouettes bound the body (visual hull; front and back, left and right see the same outline, so each pair is averaged). Its vertices then
move so that the surface faces where the normal maps say: positions and normals together in one sparse least squares (Nehab et al. 2005),
a few times, because what is seen changes with it. A Poisson surface of the moved vertices (Kazhdan et al. 2006, here on a grid by FFT)
closes what was torn. Colours are taken from the views that see a vertex, others from the nearest that has one.
Everything is in the subject's frame (views.py); its unit is the diagonal of the body's box.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

from posedreamer.drpose.views import VIEWS, rotate_to_view
from posedreamer.geometry.cameras import make_K
from posedreamer.rendering.rasterizer import rasterize, vertex_normals

PAIRS = ((0, 3), (1,), (2, 4), (5,))  # places in VIEWS with the same outline as they are stored
CELLS = 128  # of the grid, along the side of a view
MARGIN = 16  # cells round it, so that nothing wraps round
ROUNDS = 3  # of moving vertices
STAY = 0.05  # weight of where a vertex is, over where its surface faces
NEARBY = 4.0  # cells, of the points that say where the Poisson surface passes
FACING = 0.2  # least cosine towards a view at which its normals and colours count
NEAR = 0.01  # what lies so much behind the nearest surface still counts as seen
WHITE_GAP = 0.37  # distance of a normal map's pixel from white that makes it body: half of the nearest normal's
FAR = 1e3  # a perspective camera at so many diagonals is orthographic to a thousandth


class Surface(NamedTuple):
    """A closed mesh, outward faces; colors: RGB of each vertex."""

    vertices: Float[np.ndarray, "verts 3"]
    faces: Int[np.ndarray, "faces 3"]
    colors: UInt8[np.ndarray, "verts 3"]


class Mesh(NamedTuple):
    """A mesh without colours."""

    vertices: Float[np.ndarray, "verts 3"]
    faces: Int[np.ndarray, "faces 3"]


def reconstruct(normals: UInt8[np.ndarray, "views h w 3"], colors: UInt8[np.ndarray, "views h w 3"]) -> Surface:
    """The surface that views as they are stored show. Views whose outlines have nothing in common are a ValueError."""
    mesh = visual_hull(np.stack([body_mask(one) for one in normals]))
    seen_normals, seen_colors = _as_seen(normals), _as_seen(colors)
    for _ in range(ROUNDS):
        mesh = Mesh(turn_surface(mesh, wanted_normals(mesh, seen_normals)), mesh.faces)
    across = wanted_normals(mesh, seen_normals) * vertex_areas(mesh)[:, None]
    mesh = poisson_surface(mesh.vertices, across)
    return Surface(*mesh, vertex_colors(mesh, seen_colors))


def body_mask(normals: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Where a normal map is no background."""
    return np.linalg.norm(normals / 127.5 - 2.0, axis=-1) > WHITE_GAP


def visual_hull(masks: Bool[np.ndarray, "views h w"]) -> Mesh:
    """The surface of what lies within the outlines of all directions. masks: as stored."""
    axis = (np.arange(CELLS + 1) / CELLS) - 0.5
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    field = np.full(len(points), np.inf)
    for pair in PAIRS:
        outline = np.mean([_signed_distance(masks[place]) for place in pair], axis=0)
        seen = rotate_to_view(torch.from_numpy(points), VIEWS[pair[0]].azimuth).numpy()
        size = outline.shape[0]
        places = [(seen[:, 1] + 0.5) * size - 0.5, (seen[:, 0] + 0.5) * size - 0.5]
        field = np.minimum(field, ndimage.map_coordinates(outline, places, order=1, mode="nearest"))
    return _isosurface(field.reshape((CELLS + 1,) * 3), 0.0, axis[0], 1 / CELLS)


def wanted_normals(mesh: Mesh, normals: UInt8[np.ndarray, "views h w 3"]) -> Float[np.ndarray, "verts 3"]:
    """Outward unit normals: what the maps say of a vertex, by how much they face their view; its own where no view sees it.

    normals: as seen, subject's frame in OpenGL's axes.
    """
    own = _unit(vertex_normals(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)).astype(np.float64))
    found = np.zeros_like(own)
    for place, is_seen, at in _sightings(mesh, own, normals.shape[1]):
        said = (_sampled(normals[place], at) / 127.5 - 1.0) * [1.0, -1.0, -1.0]
        length = np.linalg.norm(said, axis=1)
        facing = -rotate_to_view(torch.from_numpy(said / np.maximum(length, 1e-6)[:, None]), VIEWS[place].azimuth)[
            :, 2
        ].numpy()
        # An edge mixes a normal with white, which has another length.
        weight = np.where(is_seen & (np.abs(length - 1.0) < 0.25), np.clip(facing - FACING, 0.0, None), 0.0)
        found += weight[:, None] * said
    told = np.linalg.norm(found, axis=1) > 1e-3
    return np.where(told[:, None], _unit(found), own)


def turn_surface(mesh: Mesh, normals: Float[np.ndarray, "verts 3"]) -> Float[np.ndarray, "verts 3"]:
    """Vertices moved so that edges stand across their ends' normals, and stay near where they were (Nehab et al. 2005)."""
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    count, rows = len(mesh.vertices), np.arange(len(edges))
    across = normals[edges[:, 0]]
    columns = np.concatenate(
        [3 * edges[:, 1] + axis for axis in range(3)] + [3 * edges[:, 0] + axis for axis in range(3)]
    )
    values = np.concatenate([across[:, axis] for axis in range(3)] + [-across[:, axis] for axis in range(3)])
    design = sparse.csr_matrix((values, (np.tile(rows, 6), columns)), shape=(len(edges), 3 * count))
    system = design.T @ design + STAY * sparse.identity(3 * count)
    place = mesh.vertices.reshape(-1)
    moved, failed = cg(system, STAY * place, x0=place, rtol=1e-5, maxiter=500)
    if failed < 0:
        raise ValueError("reconstruction: the least squares of positions and normals broke down")
    return moved.reshape(-1, 3)


def poisson_surface(points: Float[np.ndarray, "points 3"], across: Float[np.ndarray, "points 3"]) -> Mesh:
    """The surface whose indicator function has `across`, normals as long as their points' areas, as its gradient.

    Its level is that of the points nearby: one for all would lose thin limbs, whose indicator is low.
    """
    side = CELLS + 2 * MARGIN
    places = (points + 0.5) * CELLS + MARGIN  # cell i is centred at i
    field = np.stack([_splat(places, -across[:, axis], side) for axis in range(3)])
    frequency = 2 * np.pi * np.fft.fftfreq(side)
    waves = np.meshgrid(frequency, frequency, 2 * np.pi * np.fft.rfftfreq(side), indexing="ij")
    squared = np.square(waves).sum(axis=0)
    smooth = np.exp(-squared / 2)  # one cell wide
    squared[0, 0, 0] = 1.0
    divergence = sum(1j * wave * np.fft.rfftn(part) for wave, part in zip(waves, field, strict=True))
    inside = np.fft.irfftn(-divergence * smooth / squared, s=(side,) * 3, axes=(0, 1, 2))
    area, value = np.linalg.norm(across, axis=1), ndimage.map_coordinates(inside, places.T, order=1)
    common = float(np.average(value, weights=area))
    above, weight = (
        ndimage.gaussian_filter(_splat(places, part, side), NEARBY) for part in (area * (value - common), area)
    )
    level = common + above / np.maximum(weight, 1e-3 * weight.max())
    return _isosurface(inside - level, 0.0, -0.5 - MARGIN / CELLS, 1 / CELLS)


def vertex_areas(mesh: Mesh) -> Float[np.ndarray, " verts"]:
    """A third of the area of all faces at a vertex."""
    first, second, third = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    area = np.linalg.norm(np.cross(second - first, third - first), axis=1) / 6
    return np.bincount(mesh.faces.reshape(-1), np.repeat(area, 3), minlength=len(mesh.vertices))


def vertex_colors(mesh: Mesh, colors: UInt8[np.ndarray, "views h w 3"]) -> UInt8[np.ndarray, "verts 3"]:
    """Colours of vertices from the views that face them; of those that none sees, from the nearest seen one. colors: as seen."""
    own = _unit(vertex_normals(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)).astype(np.float64))
    total, weights = np.zeros((len(own), 3)), np.zeros(len(own))
    for place, is_seen, at in _sightings(mesh, own, colors.shape[1]):
        facing = -rotate_to_view(torch.from_numpy(own), VIEWS[place].azimuth)[:, 2].numpy()
        picture = colors[place]
        inner = cv2.erode((picture < 250).any(axis=-1).astype(np.uint8), np.ones((3, 3), np.uint8))
        weight = np.where(is_seen, np.clip(facing, 0.0, None) ** 4 * (_sampled(inner[..., None], at)[:, 0] > 0.99), 0.0)
        total += weight[:, None] * _sampled(picture, at)
        weights += weight
    told = weights > 1e-3
    if not told.any():
        return np.full((len(own), 3), 128, dtype=np.uint8)
    _, nearest = KDTree(mesh.vertices[told]).query(mesh.vertices)
    shown = total[told] / weights[told, None]
    return np.rint(np.clip(shown[nearest], 0, 255)).astype(np.uint8)


def to_glb(surface: Surface, diagonal: float) -> bytes:
    """A GLB file, metres, y up, seen from the front. diagonal: metres of the frame's unit."""
    import trimesh

    vertices = surface.vertices * [1.0, -1.0, -1.0] * diagonal
    mesh = trimesh.Trimesh(vertices, surface.faces, vertex_colors=surface.colors, process=False)
    content = mesh.export(file_type="glb")
    assert isinstance(content, bytes)
    return content


def _splat(
    places: Float[np.ndarray, "points 3"], values: Float[np.ndarray, " points"], side: int
) -> Float[np.ndarray, "side side side"]:
    """Values shared among the eight cells round each place."""
    low = np.floor(places).astype(int)
    rest, field = places - low, np.zeros((side,) * 3)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, rest, 1.0 - rest), axis=1)
        np.add.at(field, tuple(np.clip(low + corner, 0, side - 1).T), weight * values)
    return field


def _as_seen(pictures: UInt8[np.ndarray, "views h w 3"]) -> UInt8[np.ndarray, "views h w 3"]:
    return np.stack([one[:, ::-1] if view.is_mirrored else one for view, one in zip(VIEWS, pictures, strict=True)])


def _sightings(
    mesh: Mesh, normals: Float[np.ndarray, "verts 3"], size: int
) -> list[tuple[int, Bool[np.ndarray, " verts"], Float[np.ndarray, "2 verts"]]]:
    """Of each view: its place, which vertices it sees from the front, and where: row and column in its picture."""
    found, side = [], 2 * size
    for place, view in enumerate(VIEWS):
        points = rotate_to_view(torch.from_numpy(mesh.vertices.astype(np.float64)), view.azimuth).numpy()
        facing = -rotate_to_view(torch.from_numpy(normals), view.azimuth)[:, 2].numpy()
        far = points + np.array([0.0, 0.0, FAR])
        raster = rasterize(far, mesh.faces, make_K(FAR * side, side, side), side, side)
        depth = np.where(raster.face_id >= 0, raster.depth - FAR, np.inf)
        u, v = (points[:, 0] + 0.5) * side, (points[:, 1] + 0.5) * side
        rows, columns = (np.clip(value.astype(int), 0, side - 1) for value in (v, u))
        is_seen = (points[:, 2] <= depth[rows, columns] + NEAR) & (facing > 0)
        found.append((place, is_seen, np.stack([v, u]) * size / side - 0.5))
    return found


def _sampled(picture: np.ndarray, at: Float[np.ndarray, "2 verts"]) -> Float[np.ndarray, "verts channels"]:
    channels = [
        ndimage.map_coordinates(picture[..., k].astype(np.float64), at, order=1, mode="nearest")
        for k in range(picture.shape[2])
    ]
    return np.stack(channels, axis=1)


def _signed_distance(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Pixels to the outline, positive inside."""
    if not mask.any():
        return np.full(mask.shape, -float(mask.shape[0]))
    inside, outside = (np.asarray(ndimage.distance_transform_edt(part)) for part in (mask, ~mask))
    return inside - outside


def _isosurface(field: Float[np.ndarray, "a b c"], level: float, origin: float, step: float) -> Mesh:
    """Outward faces round what is above the level."""
    if not field.min() < level < field.max():
        raise ValueError("reconstruction: the views have no common body: their outlines do not meet")
    vertices, faces, *_ = marching_cubes(field, level, gradient_direction="ascent")
    return Mesh(vertices.astype(np.float64) * step + origin, faces.astype(np.int64))


def _unit(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
