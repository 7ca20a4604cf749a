"""Light on a dressed body: sun with soft shadows, hemisphere ambient, darkened crevices. Everything is linear light.

Per pixel, on the foreground only. Shadows come from the mesh rasterised as the sun sees it; crevices are darkened where a
surface lies behind what surrounds it in the image (depth darkening, after Luft, Colditz and Deussen 2006).
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from posedreamer.rendering.rasterizer import Raster, rasterize

# The sun stands this far away (metres), so that its rays are as good as parallel over a body.
SUN_DISTANCE = 60.0
SUN_MAP_SIZE = 160
SHADOW_BIAS = 0.012
NORMAL_OFFSET = 0.025
# Light wraps a little round the edge of the lit side, as on skin and cloth: soft forms without a hard terminator.
WRAP = 0.25


class Light(NamedTuple):
    """towards_sun: unit vector in the world. sun, sky, ground: linear RGB arriving from there; 1 shows an albedo as it is."""

    towards_sun: Float[np.ndarray, "3"]
    sun: Float[np.ndarray, "3"]
    sky: Float[np.ndarray, "3"]
    ground: Float[np.ndarray, "3"]


class SunMap(NamedTuple):
    """The body as the sun sees it: what lies behind it in its own frame is in shadow."""

    T_sun_from_cam: Float[np.ndarray, "4 4"]
    K: Float[np.ndarray, "3 3"]
    depth: Float32[np.ndarray, "h w"]
    coverage: Float32[np.ndarray, "h w"]


def draw_sun_map(
    vertices_cam: Float[np.ndarray, "verts 3"],
    faces: Int[np.ndarray, "faces 3"],
    towards_sun_cam: Float[np.ndarray, "3"],
) -> SunMap:
    """The mesh seen from the sun. coverage: the silhouette, blurred, for the shadow on the ground."""
    low, high = vertices_cam.min(axis=0), vertices_cam.max(axis=0)
    centre, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    forward = -np.asarray(towards_sun_cam, dtype=np.float64)
    right = np.cross(forward, [0.0, 0.0, 1.0] if abs(forward[2]) < 0.9 else [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    T_sun_from_cam = np.eye(4)
    T_sun_from_cam[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    T_sun_from_cam[:3, 3] = [0.0, 0.0, SUN_DISTANCE] - T_sun_from_cam[:3, :3] @ centre
    focal = SUN_MAP_SIZE / 2 * SUN_DISTANCE / (radius * 1.15)
    K = np.array([[focal, 0.0, SUN_MAP_SIZE / 2], [0.0, focal, SUN_MAP_SIZE / 2], [0.0, 0.0, 1.0]])
    rotmat, shift = T_sun_from_cam[:3, :3].astype(np.float32), T_sun_from_cam[:3, 3].astype(np.float32)
    raster = rasterize(vertices_cam @ rotmat.T + shift, faces, K, SUN_MAP_SIZE, SUN_MAP_SIZE)
    coverage = cv2.GaussianBlur((raster.face_id >= 0).astype(np.float32), (0, 0), 2.2)
    depth = np.where(raster.face_id >= 0, raster.depth, np.float32(1e6))
    return SunMap(T_sun_from_cam, K, depth, coverage)


def sun_pixels(sun_map: SunMap, points_cam: Float[np.ndarray, "points 3"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, row (as array indices, float32) and depth of points in the sun's picture."""
    rotmat, shift = sun_map.T_sun_from_cam[:3, :3].astype(np.float32), sun_map.T_sun_from_cam[:3, 3].astype(np.float32)
    points = points_cam.astype(np.float32) @ rotmat.T + shift
    scale = np.float32(sun_map.K[0, 0]) / points[:, 2]
    half = np.float32(SUN_MAP_SIZE / 2 - 0.5)
    return points[:, 0] * scale + half, points[:, 1] * scale + half, points[:, 2]


def sunlit(
    sun_map: SunMap, points_cam: Float[np.ndarray, "points 3"], normals_cam: Float[np.ndarray, "points 3"]
) -> Float32[np.ndarray, " points"]:
    """Share of the sun that reaches surface points, 0 in shadow: a mean over nine places around each.

    Points are looked up a little outside their surface, so that no surface shadows itself where light grazes it.
    """
    column, row, depth = sun_pixels(sun_map, points_cam + np.float32(NORMAL_OFFSET) * normals_cam)
    share = np.zeros(len(points_cam), dtype=np.float32)
    for dx in (-1.5, 0.0, 1.5):
        for dy in (-1.5, 0.0, 1.5):
            x = np.clip(np.rint(column + dx), 0, SUN_MAP_SIZE - 1).astype(np.intp)
            y = np.clip(np.rint(row + dy), 0, SUN_MAP_SIZE - 1).astype(np.intp)
            share += sun_map.depth[y, x] > depth - SHADOW_BIAS
    return share / 9


def crevices(raster: Raster, mask: Bool[np.ndarray, "h w"], focal: float) -> Float32[np.ndarray, "h w"]:
    """1 in the open, down to 0.55 where the surface lies behind its neighbourhood (5 cm around): under an arm, at a fold."""
    weight = mask.astype(np.float32)
    middle = float(np.median(raster.depth[mask])) if mask.any() else 1.0
    sigma = float(np.clip(focal * 0.05 / middle, 1.0, 24.0))
    # So wide a blur is as good at half the size, and four times quicker.
    size, half = mask.shape[::-1], (mask.shape[1] // 2, mask.shape[0] // 2)
    small = [cv2.resize(image, half, interpolation=cv2.INTER_AREA) for image in (raster.depth, weight)]
    wide, near = (cv2.GaussianBlur(image, (0, 0), sigma / 2) for image in small)
    blurred = cv2.resize(wide / np.maximum(near, 1e-3), size, interpolation=cv2.INTER_LINEAR)
    return 1.0 - 0.45 * np.clip((raster.depth - blurred) / 0.12, 0.0, 1.0) * weight


def shade(
    albedo: Float[np.ndarray, "points 3"],
    normals_cam: Float[np.ndarray, "points 3"],
    points_cam: Float[np.ndarray, "points 3"],
    sun_share: Float[np.ndarray, " points"],
    openness: Float[np.ndarray, " points"],
    light: Light,
    R_cam_from_world: Float[np.ndarray, "3 3"],
) -> Float32[np.ndarray, "points 3"]:
    """Linear RGB that surface points send to the camera. Surfaces are two-sided: normals are turned to the camera."""
    view = -points_cam / np.linalg.norm(points_cam, axis=1, keepdims=True)
    normals = normals_cam / np.maximum(np.linalg.norm(normals_cam, axis=1, keepdims=True), 1e-6)
    facing = (normals * view).sum(axis=1)
    normals = np.where(facing[:, None] < 0, -normals, normals)
    towards_sun = (R_cam_from_world @ light.towards_sun).astype(np.float32)
    up = R_cam_from_world[:, 1].astype(np.float32)
    direct = np.clip((normals @ towards_sun + WRAP) / (1 + WRAP), 0.0, None) * sun_share
    towards_sky = 0.5 + 0.5 * (normals @ up)
    ambient = light.ground + towards_sky[:, None] * (light.sky - light.ground)
    rim = 0.12 * np.clip(1.0 - np.abs(facing), 0.0, 1.0) ** 3
    reflected = albedo * (direct[:, None] * light.sun + openness[:, None] * ambient)
    return (reflected + (rim * openness)[:, None] * light.sky * (0.25 + albedo)).astype(np.float32)


def linear_to_srgb(linear: Float[np.ndarray, "*any"]) -> UInt8[np.ndarray, "*any"]:
    """Display values 0-255 of linear light; what is brighter than 0.8 is rolled off softly and reaches 255 at 1.6."""
    over = np.clip(linear - 0.8, 0.0, 0.8)
    rolled = np.minimum(linear, 0.8) + 0.2 * (1.0 - (1.0 - over / 0.8) ** 2)
    index = np.clip(rolled * (len(_SRGB) - 1), 0, len(_SRGB) - 1)
    return _SRGB[np.rint(index).astype(np.intp)]


def _srgb_table() -> UInt8[np.ndarray, " levels"]:
    x = np.arange(8192) / 8191.0
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * srgb).astype(np.uint8)


_SRGB = _srgb_table()
