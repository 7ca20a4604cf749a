"""Person crops as pictures of a turned camera.

A camera that turns about its centre towards a person sees the same rays elsewhere: a homography of the picture, whatever is in
it. So labels of a crop follow exactly, from the rotation alone, and the person always stands on the optical axis: a network
that sees such crops need not be told where in the picture they were (Sárándi et al. 2020, MeTRAbs, do so; CLIFF tells it instead).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from posedreamer.geometry.cameras import make_K

MARGIN = 1.25  # side of a crop over the longer side of the person's box: room for clothes, hair and a box that is tight


class CropCamera(NamedTuple):
    """R_crop_from_cam: the turn. K: pixels of the crop; homography: pixels of the picture to those of the crop."""

    R_crop_from_cam: Float[np.ndarray, "3 3"]
    K: Float[np.ndarray, "3 3"]
    homography: Float[np.ndarray, "3 3"]


def look_at_person(
    bbox: Float[np.ndarray, "4"],
    K: Float[np.ndarray, "3 3"],
    size: int,
    *,
    zoom: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    roll: float = 0.0,
) -> CropCamera:
    """The camera of a square crop of `size` pixels whose middle sees the middle of the box.

    bbox: x, y, w, h, pixels of the picture. zoom: above 1 the person is larger. shift: right and down, in sides of the crop, by
    which the middle is off. roll: radians, clockwise in the crop when positive. An empty box is a ValueError.
    """
    x, y, width, height = (float(value) for value in bbox)
    side = MARGIN * max(width, height) / zoom
    if not side > 0:
        raise ValueError(f"look_at_person: got an empty box {bbox}")
    middle = np.array([x + width / 2 + shift[0] * side, y + height / 2 + shift[1] * side, 1.0])
    ray = np.linalg.inv(np.asarray(K, dtype=np.float64)) @ middle
    forward = ray / np.linalg.norm(ray)
    right = np.cross(np.array([0.0, 1.0, 0.0]), forward)
    right /= np.linalg.norm(right)
    cosine, sine = np.cos(roll), np.sin(roll)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    R_crop_from_cam = turn @ np.stack([right, np.cross(forward, right), forward])
    # A point on the ray at depth z is |ray| z away, so that much smaller to a camera that looks at it.
    focal = float(np.sqrt(K[0, 0] * K[1, 1]) * np.linalg.norm(ray)) * size / side
    K_crop = make_K(focal, size, size)
    return CropCamera(R_crop_from_cam, K_crop, K_crop @ R_crop_from_cam @ np.linalg.inv(K))
