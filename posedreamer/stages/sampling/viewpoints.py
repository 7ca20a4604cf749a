"""Cameras round a body: elevation, yaw all round, roll, focal length, distance and crop.

Every camera stands outside the body's bounding sphere with room to spare, so no part of the body is ever behind it: crops
come from a longer focal length and a shifted principal point, as if cut out of a larger photo, never from stepping closer.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from posedreamer.geometry.cameras import look_at, make_K, project, transform_points
from posedreamer.geometry.skeletons import OUTPUT_JOINTS

Crop = Literal["full_body", "half_body", "truncated"]
# A full-frame sensor, millimetres: what focal lengths of the config refer to.
SENSOR_WIDTH_MM = 36.0
# Distance of the camera from the centre of the bounding sphere, in its radii, is at least this.
MIN_DISTANCE_RADII = 1.25
UPPER_JOINTS = tuple(
    OUTPUT_JOINTS.index(name)
    for name in ("pelvis", "left_hip", "right_hip", "head", "nose", "left_ear", "right_ear", "neck", "left_shoulder",
                 "right_shoulder", "left_elbow", "right_elbow")
)  # fmt: skip


class Viewpoint(NamedTuple):
    """One camera: intrinsics in pixels of the stored image, pose in the world, and the kind of crop."""

    K: Float[np.ndarray, "3 3"]
    T_cam_from_world: Float[np.ndarray, "4 4"]
    crop: Crop


class ViewpointRanges(NamedTuple):
    """Degrees; focal_mm in millimetres of a full-frame camera whose photo is as wide as the whole body needs.

    margin: free border round what the crop shows, as a share of its size. shares: of full body, half body, truncated.
    """

    elevation_deg: tuple[float, float] = (-15.0, 35.0)
    roll_sigma_deg: float = 4.0
    focal_mm: tuple[float, float] = (28.0, 85.0)
    margin: tuple[float, float] = (0.04, 0.35)
    shares: tuple[float, float, float] = (0.7, 0.2, 0.1)


CROPS: tuple[Crop, Crop, Crop] = ("full_body", "half_body", "truncated")


def draw_camera(
    vertices_world: Float[np.ndarray, "verts 3"],
    joints_world: Float[np.ndarray, "127 3"],
    width: int,
    height: int,
    ranges: ViewpointRanges,
    rng: np.random.Generator,
) -> Viewpoint:
    """A camera that sees the body.

    full_body: all of it is in the image. half_body: head to hips. truncated: a window that cuts it on a side or two, with
    at least a third of the body's box inside.
    """
    elevation = np.radians(rng.uniform(*ranges.elevation_deg))
    yaw = rng.uniform(-np.pi, np.pi)
    roll = np.radians(rng.normal(0.0, ranges.roll_sigma_deg)) if ranges.roll_sigma_deg > 0 else 0.0
    focal_mm = np.exp(rng.uniform(*np.log(ranges.focal_mm)))
    crop: Crop = CROPS[int(rng.choice(3, p=np.array(ranges.shares) / sum(ranges.shares)))]
    centre = (vertices_world.max(0) + vertices_world.min(0)).astype(np.float64) / 2
    radius = float(np.linalg.norm(vertices_world - centre, axis=1).max())
    # Far enough for the whole sphere to be in the photo of a camera with this focal length.
    distance = radius * max(MIN_DISTANCE_RADII, 1.0 / np.sin(np.arctan(SENSOR_WIDTH_MM / 2 / focal_mm)))
    direction = np.array([np.sin(yaw) * np.cos(elevation), np.sin(elevation), np.cos(yaw) * np.cos(elevation)])
    T_cam_from_world = look_at(centre + distance * direction, centre, roll)
    unit_K = make_K(1.0, 0, 0)
    points = project(transform_points(T_cam_from_world, vertices_world), unit_K)
    whole = points.max(0) - points.min(0)
    if crop == "half_body":
        points = project(transform_points(T_cam_from_world, joints_world[list(UPPER_JOINTS)]), unit_K)
    low, high = points.min(0), points.max(0)
    window = high - low
    size = (1.0 + rng.uniform(*ranges.margin)) * window
    if crop == "half_body":
        # Joints lie inside the body: room for skull, shoulders and hands. Folded bodies would become a close-up of a back.
        size = np.maximum(size + 0.35 * window.max(), 0.45 * whole.max())
    middle = (low + high) / 2
    if crop == "truncated":
        size = size * rng.uniform(0.5, 0.8)
    # Square pixels: the window grows along its shorter side to the image's shape.
    scale = min(width / size[0], height / size[1])
    free = np.array([width, height]) / scale - (high - low)
    if crop == "truncated":
        shift = rng.uniform(-0.5, 0.5, 2) * np.abs(free)
    else:
        shift = rng.uniform(-0.5, 0.5, 2) * np.maximum(free, 0.0) * 0.9
    if crop == "half_body":
        shift = shift * 0.4
    K = np.array(
        [
            [scale, 0.0, width / 2 - scale * (middle + shift)[0]],
            [0.0, scale, height / 2 - scale * (middle + shift)[1]],
            [0.0, 0.0, 1.0],
        ]
    )
    return Viewpoint(K, T_cam_from_world, crop)
