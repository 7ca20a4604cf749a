"""Which body part each face belongs to, and which keypoints can be seen.

A part is the set of faces that one of the 55 joints moves most (largest skinning weight, mean of the three corners).

A keypoint is visible if its pixel lies in the image and nothing hides it there. What hides it is read at the one pixel that
holds it; a pixel of the background (a thin limb between pixel centres) hides nothing.

- Inner keypoints, the skeleton's joints, lie some centimetres under the skin. They are hidden if the surface at their pixel
  lies more than 2 cm in front and belongs to another part. Their own part never hides them. Adjoining parts (the parent's,
  the children's, and the upper spine's for the shoulders) enclose a joint too, so these hide it only from 20 cm on: on
  the open body the skin over a hip or shoulder is at most 16 cm in front of the joint, and the far side of the same torso at
  least 24 cm.
- Surface keypoints (nose, eyes, ears, toes, heels, finger tips, face landmarks) and the eyeballs' centres are hidden by
  whatever lies more than 2 cm in front, their own part included: the far ear is hidden by the head.
"""

import functools

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32

from posedreamer.bodies.body import BodyModel
from posedreamer.geometry.skeletons import OUTPUT_JOINTS, SMPLX_JOINTS, SMPLX_PARENTS
from posedreamer.rendering.rasterizer import Raster

HIDING_DISTANCE = 0.02  # metres
ENCLOSING_DISTANCE = 0.20  # metres
ENCLOSED = (("left_shoulder", "spine3"), ("right_shoulder", "spine3"))
SURFACE_JOINTS = ("left_eye_smplhf", "right_eye_smplhf")


@functools.lru_cache(maxsize=8)
def face_parts(body: BodyModel) -> Int32[np.ndarray, " faces"]:
    """The part, an index into SMPLX_JOINTS, that each face belongs to."""
    weights = body.weights.detach().cpu().numpy()
    parts = weights[body.faces].sum(axis=1).argmax(axis=1).astype(np.int32)
    parts.setflags(write=False)
    return parts


def part_map(body: BodyModel, raster: Raster) -> Int32[np.ndarray, "h w"]:
    """The part at each pixel, an index into SMPLX_JOINTS; -1 on the background."""
    parts = np.full(raster.face_id.shape, -1, dtype=np.int32)
    covered = raster.face_id >= 0
    parts[covered] = face_parts(body)[raster.face_id[covered]]
    return parts


def visible_keypoints(
    body: BodyModel,
    raster: Raster,
    joints_cam: Float[np.ndarray, "127 3"],
    keypoints: Float[np.ndarray, "127 2"],
) -> Bool[np.ndarray, "127"]:
    """True for each keypoint that is in the image and not hidden, by the rule of this module."""
    inside, columns, rows = pixels_of(keypoints, raster)
    face_id = raster.face_id[rows, columns]
    distance_in_front = joints_cam[:, 2] - raster.depth[rows, columns]
    allowed = _allowed_distances()[np.arange(len(joints_cam)), face_parts(body)[face_id]]
    return inside & ((face_id < 0) | (distance_in_front <= allowed))


def pixels_of(keypoints: Float[np.ndarray, "points 2"], raster: Raster) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each keypoint is in the image, and the column and row of its pixel (of the nearest one if it is not)."""
    height, width = raster.face_id.shape
    inside = np.all((keypoints >= 0) & (keypoints < (width, height)), axis=1)
    clipped = np.floor(np.clip(keypoints, 0, (width - 1, height - 1))).astype(np.int64)
    return inside, clipped[:, 0], clipped[:, 1]


@functools.cache
def _allowed_distances() -> Float32[np.ndarray, "127 55"]:
    """How far in front of each keypoint (row) the surface of each part may lie without hiding it, metres."""
    allowed = np.full((len(OUTPUT_JOINTS), len(SMPLX_JOINTS)), HIDING_DISTANCE, dtype=np.float32)
    adjoining = [(joint, parent) for joint, parent in enumerate(SMPLX_PARENTS) if parent >= 0]
    adjoining += [(SMPLX_JOINTS.index(joint), SMPLX_JOINTS.index(part)) for joint, part in ENCLOSED]
    for joint, part in adjoining:
        allowed[joint, part] = ENCLOSING_DISTANCE
        if SMPLX_PARENTS[joint] == part:
            allowed[part, joint] = ENCLOSING_DISTANCE
    own = np.arange(len(SMPLX_JOINTS))
    allowed[own, own] = np.inf
    allowed[[SMPLX_JOINTS.index(name) for name in SURFACE_JOINTS]] = HIDING_DISTANCE
    return allowed
