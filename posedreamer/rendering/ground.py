"""What a body does to the ground under it: the shadow it casts there, and the dark patch where it touches."""

import cv2
import numpy as np
from jaxtyping import Float, Float32

from posedreamer.rendering.canvas import View
from posedreamer.rendering.shading import SunMap, sun_pixels

CONTACT_CELLS = 96
CONTACT_SIZE = 3.2
CONTACT_HEIGHT = 0.06


def shadow_on_ground(sun_map: SunMap, ground_points_cam: Float[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w"]:
    """Share of the sun that the body takes from each point of the ground, soft at its edges."""
    column, row, depth = sun_pixels(sun_map, ground_points_cam.reshape(-1, 3))
    shape = ground_points_cam.shape[:2]
    shadow = cv2.remap(
        sun_map.coverage,
        np.clip(column, -2, len(sun_map.coverage) + 2).reshape(shape),
        np.clip(row, -2, len(sun_map.coverage) + 2).reshape(shape),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.where(depth.reshape(shape) > 1.0, shadow, np.float32(0.0))


def contact(
    vertices_cam: Float[np.ndarray, "verts 3"],
    view: View,
    T_cam_from_world: Float[np.ndarray, "4 4"],
    foot_world: Float[np.ndarray, "3"],
) -> Float32[np.ndarray, "h w"]:
    """Near 1 where the body touches the ground; its weight falls to 1/e at 6 cm of height. foot_world: as given to `look`."""
    right = np.cross(view.ahead_world, [0.0, 1.0, 0.0])
    axes = np.stack([right, [0.0, 1.0, 0.0], view.ahead_world])
    # Camera frame straight to the frame of view.ground_x and ground_z, whose origin is the foot.
    rotmat = axes @ T_cam_from_world[:3, :3].T
    shift = -rotmat @ T_cam_from_world[:3, 3] - axes @ foot_world
    points = vertices_cam[::3] @ rotmat.T.astype(np.float32) + shift.astype(np.float32)
    index = np.clip((points[:, [2, 0]] / CONTACT_SIZE + 0.5) * CONTACT_CELLS, 0, CONTACT_CELLS - 1).astype(np.intp)
    grid = np.zeros((CONTACT_CELLS, CONTACT_CELLS), dtype=np.float32)
    near = points[:, 1] < 4 * CONTACT_HEIGHT
    weight = np.exp(-np.clip(points[near, 1], 0.0, None) / CONTACT_HEIGHT)
    np.maximum.at(grid, (index[near, 0], index[near, 1]), weight)
    grid = cv2.GaussianBlur(grid, (0, 0), 1.5)
    column = np.clip((view.ground_x / CONTACT_SIZE + 0.5) * CONTACT_CELLS - 0.5, -2, CONTACT_CELLS + 2)
    row = np.clip((view.ground_z / CONTACT_SIZE + 0.5) * CONTACT_CELLS - 0.5, -2, CONTACT_CELLS + 2)
    return cv2.remap(
        grid, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
