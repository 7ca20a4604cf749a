"""Cameras, and the conventions of the whole project, said once.

World: y up, metres, right-handed; ground at y = 0 where the source knows it.
Camera: x right, y down, z forward (OpenCV). Points in it carry the suffix `_cam`.
Pixels: u right, v down; the origin is the corner of the first pixel, whose centre is (0.5, 0.5). A resize by s therefore
multiplies the first two rows of K by s, and a crop that starts at (x, y) subtracts x and y from the principal point.
Rotations: radians, active, column vectors. A matrix T_a_from_b maps points of frame b to frame a; names cancel in products.
Images: uint8 RGB (h, w, 3). No lens distortion; one camera an image.
"""

import numpy as np
from jaxtyping import Float

MIN_DEPTH = 1e-6


def project(points_cam: Float[np.ndarray, "*batch points 3"], K: Float[np.ndarray, "*#batch 3 3"]) -> np.ndarray:
    """Pinhole projection to pixels, float64.

    points_cam: camera frame, metres. A point at or behind the camera is a ValueError.
    """
    points = np.asarray(points_cam, dtype=np.float64)
    depth = points[..., 2]
    if not np.all(depth > MIN_DEPTH):
        raise ValueError(
            f"project: points must lie in front of the camera, got depth {depth.min():.4f} m, expected > 0"
        )
    homogeneous = points @ np.swapaxes(np.asarray(K, dtype=np.float64), -1, -2)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def unproject(
    pixels: Float[np.ndarray, "*batch points 2"],
    depth: Float[np.ndarray, "*batch points"],
    K: Float[np.ndarray, "*#batch 3 3"],
) -> np.ndarray:
    """Points in the camera frame, metres, at the given depth along z: the inverse of `project`."""
    ones = np.ones((*np.shape(pixels)[:-1], 1))
    rays = np.concatenate([pixels, ones], axis=-1) @ np.swapaxes(np.linalg.inv(K), -1, -2)
    return rays * np.asarray(depth)[..., None]


def make_K(focal_px: float, width: int, height: int) -> np.ndarray:
    """Intrinsics with square pixels and the principal point in the middle of the image."""
    return np.array([[focal_px, 0.0, width / 2], [0.0, focal_px, height / 2], [0.0, 0.0, 1.0]])


def resize_K(K: Float[np.ndarray, "3 3"], scale: float) -> np.ndarray:
    """Intrinsics of the image resized by `scale`."""
    return np.diag([scale, scale, 1.0]) @ K


def crop_K(K: Float[np.ndarray, "3 3"], x: float, y: float) -> np.ndarray:
    """Intrinsics of the crop whose first pixel's corner lies at (x, y) of the old image."""
    return np.array([[1.0, 0.0, -x], [0.0, 1.0, -y], [0.0, 0.0, 1.0]]) @ K


def look_at(eye_world: Float[np.ndarray, "3"], target_world: Float[np.ndarray, "3"], roll: float = 0.0) -> np.ndarray:
    """T_cam_from_world (4, 4) of a camera at `eye_world` looking at `target_world`.

    The world's up is the image's up, turned by `roll` radians about the viewing axis (clockwise in the image when positive).
    Looking straight up or down is a ValueError: up is undefined there.
    """
    forward = np.asarray(target_world, dtype=np.float64) - np.asarray(eye_world, dtype=np.float64)
    distance = np.linalg.norm(forward)
    if distance < 1e-9:
        raise ValueError("look_at: eye and target are the same point")
    forward = forward / distance
    right = np.cross(forward, np.array([0.0, 1.0, 0.0]))
    if np.linalg.norm(right) < 1e-6:
        raise ValueError("look_at: the camera looks straight up or down, so the roll is undefined")
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cosine, sine = np.cos(roll), np.sin(roll)
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]) @ np.stack([right, down, forward])
    T_cam_from_world = np.eye(4)
    T_cam_from_world[:3, :3] = rotation
    T_cam_from_world[:3, 3] = -rotation @ np.asarray(eye_world, dtype=np.float64)
    return T_cam_from_world


def transform_points(T: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "*batch 3"]) -> np.ndarray:
    """Points mapped by a rigid or affine 4 x 4 matrix, float64."""
    return np.asarray(points, dtype=np.float64) @ T[:3, :3].T + T[:3, 3]
