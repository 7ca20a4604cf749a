"""Joint tables: SMPL-X (55 joints, 127 output joints without the face contour), COCO-17, and their left/right mirror images.

The order is that of the official model's output, so an index means the same here and in every consumer's code.
"""

import numpy as np

FINGERS = ("index", "middle", "pinky", "ring", "thumb")

BODY_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
NUM_BODY_JOINTS = len(BODY_JOINTS)  # SMPL and SMPL-X have them in common, and list them first
HAND_JOINTS = {
    side: tuple(f"{side}_{finger}{knuckle}" for finger in FINGERS for knuckle in (1, 2, 3))
    for side in ("left", "right")
}
SMPLX_JOINTS = (
    *BODY_JOINTS, "jaw", "left_eye_smplhf", "right_eye_smplhf", *HAND_JOINTS["left"], *HAND_JOINTS["right"],
)  # fmt: skip

BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
HAND_PARENTS = {
    side: tuple(
        wrist if knuckle == 0 else first + 3 * finger + knuckle - 1 for finger in range(5) for knuckle in range(3)
    )
    for side, wrist, first in (("left", 20, 25), ("right", 21, 40))
}
SMPLX_PARENTS = (*BODY_PARENTS, 15, 15, 15, *HAND_PARENTS["left"], *HAND_PARENTS["right"])

# Vertices of the official mesh that become output joints 55-75, in output order. The open body holds the same anatomy
# in the same slots.
EXTRA_JOINT_VERTICES = {
    "nose": 9120, "right_eye": 9929, "left_eye": 9448, "right_ear": 616, "left_ear": 6,
    "left_big_toe": 5770, "left_small_toe": 5780, "left_heel": 8846,
    "right_big_toe": 8463, "right_small_toe": 8474, "right_heel": 8635,
    "left_thumb": 5361, "left_index": 4933, "left_middle": 5058, "left_ring": 5169, "left_pinky": 5286,
    "right_thumb": 8079, "right_index": 7669, "right_middle": 7794, "right_ring": 7905, "right_pinky": 8022,
}  # fmt: skip

FACE_LANDMARKS = (
    "right_eye_brow1", "right_eye_brow2", "right_eye_brow3", "right_eye_brow4", "right_eye_brow5",
    "left_eye_brow5", "left_eye_brow4", "left_eye_brow3", "left_eye_brow2", "left_eye_brow1",
    "nose1", "nose2", "nose3", "nose4", "right_nose_2", "right_nose_1", "nose_middle", "left_nose_1", "left_nose_2",
    "right_eye1", "right_eye2", "right_eye3", "right_eye4", "right_eye5", "right_eye6",
    "left_eye4", "left_eye3", "left_eye2", "left_eye1", "left_eye6", "left_eye5",
    "right_mouth_1", "right_mouth_2", "right_mouth_3", "mouth_top", "left_mouth_3", "left_mouth_2", "left_mouth_1",
    "left_mouth_5", "left_mouth_4", "mouth_bottom", "right_mouth_4", "right_mouth_5",
    "right_lip_1", "right_lip_2", "lip_top", "left_lip_2", "left_lip_1", "left_lip_3", "lip_bottom", "right_lip_3",
)  # fmt: skip

OUTPUT_JOINTS = (*SMPLX_JOINTS, *EXTRA_JOINT_VERTICES, *FACE_LANDMARKS)

COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
COCO_FROM_OUTPUT = np.array([OUTPUT_JOINTS.index(name) for name in COCO_KEYPOINTS])
COCO_BONES = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),
    (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
# Per-keypoint standard deviations of the COCO evaluation (kappa = 2 sigma).
COCO_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000.0


def mirror_name(name: str) -> str:
    """The joint on the other side; a joint on the midline is its own mirror."""
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name


def mirror_permutation(names: tuple[str, ...]) -> np.ndarray:
    """Indices p such that array[p] lists the values of the mirrored joints, in the order of `names`."""
    return np.array([names.index(mirror_name(name)) for name in names])
