"""Triangle meshes to pixels: which face each pixel sees, where on it, and how far away.

A pixel belongs to the face that covers its centre. Edges are computed from their two ends in one fixed order, so two faces
that share an edge see exactly opposite values, and a centre exactly on an edge belongs to the face whose top or left edge it
is: every pixel of a surface is drawn once, with no gap and no overlap. Nothing is culled; the nearest face wins, and at equal
depth the one with the lower index. Everything is float64 without reordering, hence the same on every run.

The compiled code is cached beside this file, so the compilation (seconds) is paid once a machine. `no_type_check` keeps the
checks that tests put around every function out of what numba compiles.
"""

from typing import Literal, NamedTuple, no_type_check

import numba
import numpy as np
from jaxtyping import Float, Float32, Int, Int32

from posedreamer.geometry.cameras import project

Backend = Literal["numba", "opengl"]


class Raster(NamedTuple):
    """What each pixel sees. The background has face_id -1, barycentrics 0 and depth 0.

    barycentrics: perspective-correct weights of the face's three corners. depth: metres along the camera's z.
    """

    face_id: Int32[np.ndarray, "h w"]
    barycentrics: Float32[np.ndarray, "h w 3"]
    depth: Float32[np.ndarray, "h w"]


def rasterize(
    vertices_cam: Float[np.ndarray, "verts 3"],
    faces: Int[np.ndarray, "faces 3"],
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    backend: Backend = "numba",
) -> Raster:
    """The mesh seen by the camera K, in an image of width x height pixels.

    vertices_cam: metres; a vertex at or behind the camera is a ValueError, for there is no clipping.
    backend: "opengl" draws the same on a GPU, or by Mesa (`opengl.py`): slower on a CPU, and an independent check.
    """
    if backend == "opengl":
        from posedreamer.rendering.opengl import rasterize_opengl

        return rasterize_opengl(vertices_cam, faces, K, width, height)
    if backend != "numba":
        raise ValueError(f"rasterize: unknown backend {backend!r}, expected numba or opengl")
    pixels = project(vertices_cam, K)
    inverse_depth = 1.0 / vertices_cam[:, 2].astype(np.float64)
    return Raster(*_draw(pixels, inverse_depth, np.ascontiguousarray(faces, dtype=np.int32), width, height))


def interpolate(
    raster: Raster, faces: Int[np.ndarray, "faces 3"], vertex_values: Float[np.ndarray, "verts channels"]
) -> Float32[np.ndarray, "h w channels"]:
    """Values given at the vertices, at each pixel; 0 on the background."""
    values = np.ascontiguousarray(vertex_values, dtype=np.float32)
    return _interpolate(raster.face_id, raster.barycentrics, np.ascontiguousarray(faces, dtype=np.int32), values)


def vertex_normals(
    vertices: Float[np.ndarray, "verts 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float32[np.ndarray, "verts 3"]:
    """Unit normals in the vertices' frame, outward for counter-clockwise faces: the face normals' mean, weighted by area.

    A vertex without a face, or whose faces cancel, has normal 0.
    """
    return _vertex_normals(
        np.ascontiguousarray(vertices, dtype=np.float64), np.ascontiguousarray(faces, dtype=np.int32)
    )


@numba.njit(cache=True, inline="always")
@no_type_check
def _edge(px, py, qx, qy, u, v):
    """Twice the signed area of p, q, (u, v). Exactly opposite for q, p: both are computed from the same end."""
    if py < qy or (py == qy and px < qx):
        return (qx - px) * (v - py) - (qy - py) * (u - px)
    return -((px - qx) * (v - qy) - (py - qy) * (u - qx))


@numba.njit(cache=True, inline="always")
@no_type_check
def _owns(px, py, qx, qy):
    """True if the edge p -> q, inside at positive `_edge` values, is a left edge (goes up) or a top edge (goes right)."""
    return qy < py or (qy == py and qx > px)


@numba.njit(cache=True, nogil=True)
@no_type_check
def _draw(pixels, inverse_depth, faces, width, height):
    face_id = np.full((height, width), -1, np.int32)
    nearest = np.zeros((height, width))  # 1 / depth: linear over the image, larger is nearer
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
        # Pixels whose centre lies in the bounding box, cut to the image while still float: far vertices overflow an int.
        x_start = int(np.ceil(min(max(min(ax, bx, cx), 0.0), float(width)) - 0.5))
        y_start = int(np.ceil(min(max(min(ay, by, cy), 0.0), float(height)) - 0.5))
        x_stop = int(np.floor(min(max(ax, bx, cx), float(width)) - 0.5)) + 1
        y_stop = int(np.floor(min(max(ay, by, cy), float(height)) - 0.5)) + 1
        if x_start >= x_stop or y_start >= y_stop:  # most triangles of a body miss every centre
            continue
        if (bx - ax) * (cy - ay) < (by - ay) * (cx - ax):
            b, c = c, b
            bx, by, cx, cy = cx, cy, bx, by
        owns_a, owns_b, owns_c = _owns(bx, by, cx, cy), _owns(cx, cy, ax, ay), _owns(ax, ay, bx, by)
        za, zb, zc = inverse_depth[a], inverse_depth[b], inverse_depth[c]
        for y in range(y_start, y_stop):
            v = y + 0.5
            for x in range(x_start, x_stop):
                u = x + 0.5
                ea = _edge(bx, by, cx, cy, u, v)
                if ea < 0.0 or (ea == 0.0 and not owns_a):
                    continue
                eb = _edge(cx, cy, ax, ay, u, v)
                if eb < 0.0 or (eb == 0.0 and not owns_b):
                    continue
                ec = _edge(ax, ay, bx, by, u, v)
                if ec < 0.0 or (ec == 0.0 and not owns_c):
                    continue
                inverse = (ea * za + eb * zb + ec * zc) / (ea + eb + ec)
                if inverse > nearest[y, x]:
                    nearest[y, x] = inverse
                    face_id[y, x] = face
    barycentrics = np.zeros((height, width, 3), np.float32)
    depth = np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            face = face_id[y, x]
            if face < 0:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            u, v = x + 0.5, y + 0.5
            wa = _edge(pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1], u, v) * inverse_depth[a]
            wb = _edge(pixels[c, 0], pixels[c, 1], pixels[a, 0], pixels[a, 1], u, v) * inverse_depth[b]
            wc = _edge(pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], u, v) * inverse_depth[c]
            total = wa + wb + wc
            barycentrics[y, x, 0] = wa / total
            barycentrics[y, x, 1] = wb / total
            barycentrics[y, x, 2] = wc / total
            depth[y, x] = 1.0 / nearest[y, x]
    return face_id, barycentrics, depth


@numba.njit(cache=True, nogil=True)
@no_type_check
def _interpolate(face_id, barycentrics, faces, values):
    height, width = face_id.shape
    channels = values.shape[1]
    image = np.zeros((height, width, channels), np.float32)
    for y in range(height):
        for x in range(width):
            face = face_id[y, x]
            if face < 0:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            w0, w1, w2 = barycentrics[y, x, 0], barycentrics[y, x, 1], barycentrics[y, x, 2]
            for k in range(channels):
                image[y, x, k] = w0 * values[a, k] + w1 * values[b, k] + w2 * values[c, k]
    return image


@numba.njit(cache=True, nogil=True)
@no_type_check
def _vertex_normals(vertices, faces):
    normals = np.zeros(vertices.shape)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        px, py, pz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        qx, qy, qz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
        for corner in range(3):
            vertex = faces[face, corner]
            normals[vertex, 0] += nx
            normals[vertex, 1] += ny
            normals[vertex, 2] += nz
    unit = np.zeros(vertices.shape, np.float32)
    for vertex in range(vertices.shape[0]):
        length = np.sqrt(normals[vertex, 0] ** 2 + normals[vertex, 1] ** 2 + normals[vertex, 2] ** 2)
        if length > 0.0:
            for k in range(3):
                unit[vertex, k] = normals[vertex, k] / length
    return unit
