"""How far a picture's head is turned from the label's, from five keypoints: nose, eyes, ears.

The label knows where these points are on its head in space. The turn, scale and shift of that head are sought whose points fall where a
detector saw them (scaled orthography in a camera that looks at the head; Levenberg-Marquardt from several turns). PoseDreamer's
third filter asks an estimator of whole heads (VGGHeads) instead; this one needs no weights of its own.

Limits: it is as good as the keypoints. On true renders of 256 px, heads of 28 pixels, MoveNet's keypoints gave 14 degrees in the median
and 33 at the ninetieth percentile where the face is seen; from behind, where it guesses nose and eyes, 33 and 63.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from posedreamer.geometry.skeletons import COCO_KEYPOINTS, OUTPUT_JOINTS

HEAD_POINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
FROM_COCO = np.array([COCO_KEYPOINTS.index(name) for name in HEAD_POINTS])
FROM_OUTPUT = np.array([OUTPUT_JOINTS.index(name) for name in HEAD_POINTS])
STARTS_DEGREES = (0.0, -70.0, 70.0, 180.0)  # turns about the head's own upright axis, sought from


class HeadTurn(NamedTuple):
    """degrees: from the label's head to the one seen, about one axis (the geodesic distance of both). residual: of the points, root
    mean square, as a share of the head's extent.
    """

    degrees: float
    residual: float


def head_turn(
    keypoints: Float[np.ndarray, "17 2"],
    confidence: Float[np.ndarray, "17"],
    joints_cam: Float[np.ndarray, "127 3"],
    K: Float[np.ndarray, "3 3"],
) -> HeadTurn:
    """The turn of a picture's head. keypoints: COCO's, pixels, with the detector's confidence, which weighs them; joints_cam: of the
    label, metres.
    """
    points = joints_cam[FROM_OUTPUT].astype(np.float64)
    centre = points.mean(axis=0)
    look = _turned_towards(centre)
    head = (points - centre) @ look.T / np.linalg.norm(points - centre, axis=1).max()
    pixels = keypoints[FROM_COCO].astype(np.float64)
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(K.astype(np.float64)).T @ look.T
    seen = rays[:, :2] / np.maximum(rays[:, 2:], 1e-6)
    extent = np.linalg.norm(points - centre, axis=1).max() / np.linalg.norm(centre)
    weights = np.sqrt(np.clip(confidence[FROM_COCO], 1e-3, 1.0).astype(np.float64))
    upright = np.cross(head[3] - head[4], head[0] - head[3:].mean(axis=0))
    upright /= np.linalg.norm(upright)

    def errors(values: Float64[np.ndarray, "6"]) -> Float64[np.ndarray, " ten"]:
        turned = head @ Rotation.from_rotvec(values[:3]).as_matrix().T
        return ((np.exp(values[3]) * turned[:, :2] + values[4:] - seen / extent) * weights[:, None]).ravel()

    middle = (seen / extent).mean(axis=0)
    fits = [
        least_squares(errors, np.concatenate([np.deg2rad(degrees) * upright, [0.0], middle]), method="lm")
        for degrees in STARTS_DEGREES
    ]
    best = min(fits, key=lambda fit: fit.cost)
    angle = float(np.linalg.norm(best.x[:3])) % (2 * np.pi)
    residual = float(np.sqrt(2 * best.cost / (weights**2).sum()))
    return HeadTurn(float(np.rad2deg(min(angle, 2 * np.pi - angle))), residual)


def shows_face(joints_cam: Float[np.ndarray, "127 3"]) -> bool:
    """Whether the label's head faces the camera, profiles included: the nose is nearer than the middle of the ears."""
    nose, _, _, left, right = joints_cam[FROM_OUTPUT].astype(np.float64)
    return bool(np.linalg.norm(nose) < np.linalg.norm((left + right) / 2))


def _turned_towards(point: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """The rotation into the frame of a camera that looks at the point, by the shortest way."""
    goal = point / np.linalg.norm(point)
    axis = np.cross(goal, [0.0, 0.0, 1.0])
    sine = np.linalg.norm(axis)
    angle = np.arctan2(sine, goal[2])
    return Rotation.from_rotvec(axis * (angle / sine if sine > 1e-12 else 0.0)).as_matrix()
