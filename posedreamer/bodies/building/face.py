"""The 51 inner-face landmarks (iBUG 68 without the contour) of the open body, by the proportions of its mean face.

Points are given in eye distances from the pupil or the tip of the nose and looked up on the face's front, seen along z.
"""

import numpy as np

from posedreamer.bodies.building.anatomy import FLIP
from posedreamer.geometry.skeletons import FACE_LANDMARKS, mirror_name

# Left half and midline: (towards the left, up), in eye distances. Read off the mean face.
FROM_PUPIL = {
    "left_eye_brow1": (0.38, 0.22), "left_eye_brow2": (0.24, 0.30), "left_eye_brow3": (0.04, 0.32),
    "left_eye_brow4": (-0.14, 0.29), "left_eye_brow5": (-0.30, 0.24),
    "left_eye1": (0.22, -0.03), "left_eye2": (0.08, 0.045), "left_eye3": (-0.08, 0.04),
    "left_eye4": (-0.20, -0.06), "left_eye5": (-0.07, -0.105), "left_eye6": (0.09, -0.10),
}  # fmt: skip
FROM_TIP = {
    "nose4": (0.0, 0.0), "nose_middle": (0.0, -0.20), "left_nose_1": (0.08, -0.17), "left_nose_2": (0.20, -0.10),
    "left_mouth_1": (0.39, -0.545), "left_mouth_2": (0.25, -0.45), "left_mouth_3": (0.10, -0.405),
    "mouth_top": (0.0, -0.42), "mouth_bottom": (0.0, -0.71), "left_mouth_4": (0.11, -0.70),
    "left_mouth_5": (0.25, -0.66), "left_lip_1": (0.34, -0.545), "left_lip_2": (0.15, -0.525),
    "lip_top": (0.0, -0.525), "left_lip_3": (0.15, -0.565), "lip_bottom": (0.0, -0.565),
}  # fmt: skip


def face_landmarks(
    mean: np.ndarray, faces: np.ndarray, skin: np.ndarray, pupil: np.ndarray, nose: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Triangle and barycentric coordinates of each landmark, in FACE_LANDMARKS order.

    skin: vertices of the head's skin; pupil, nose: the left eye's and the nose's foremost points, metres.
    """
    span = 2 * pupil[0]
    left = {name: pupil[:2] + span * np.array(offset) for name, offset in FROM_PUPIL.items()}
    left |= {name: nose[:2] + span * np.array(offset) for name, offset in FROM_TIP.items()}
    bridge = np.array([0.0, pupil[1]])
    left |= {f"nose{number}": bridge + (number - 1) / 3 * (nose[:2] - bridge) for number in (1, 2, 3)}
    triangles = mean[faces]
    facing = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])[:, 2] > 0
    on_face = np.isin(faces, skin).all(axis=1) & (triangles[..., 2].min(axis=1) > pupil[2] - 0.04)
    front = np.flatnonzero(facing & on_face)
    found = [
        _locate(left[name] if name in left else left[mirror_name(name)] * FLIP[:2], triangles[front])
        for name in FACE_LANDMARKS
    ]
    return front[np.array([index for index, _ in found])], np.array([coordinates for _, coordinates in found])


def _locate(point: np.ndarray, triangles: np.ndarray) -> tuple[int, np.ndarray]:
    # Barycentrics in the xy plane; of the triangles that hold the point the foremost, else the nearest, clipped.
    a, b, c = (triangles[:, corner, :2] for corner in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    second = ((point[0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (point[1] - a[:, 1])) / area
    third = ((b[:, 0] - a[:, 0]) * (point[1] - a[:, 1]) - (point[0] - a[:, 0]) * (b[:, 1] - a[:, 1])) / area
    coordinates = np.clip(np.stack([1 - second - third, second, third], axis=1), 0, None)
    coordinates /= coordinates.sum(axis=1, keepdims=True)
    place = np.einsum("fk,fkc->fc", coordinates, triangles)
    distance = np.linalg.norm(place[:, :2] - point, axis=1)
    index = int(np.argmin(np.round(distance / 1e-3) - 1e-2 * place[:, 2]))
    return index, coordinates[index]
