"""The OpenPose drawing of a label, made by controlnet_aux, whose lines and colours the openpose ControlNets were trained on.

Rule. A keypoint outside the image is dropped, and its lines with it. Joints of the neck, trunk and limbs are drawn whether
visible or hidden: a detector guesses those too, and a missing limb would ask the generator for an amputee. Nose, eyes and ears
are drawn only where visible, for their absence is how OpenPose says which way a head faces. A hand is drawn if its wrist and
at least half of its other points are in the image, hidden or not. The face is drawn if the nose and an eye are visible: as
many of its 51 landmarks (no contour: the body models have none) and of the two pupils as are visible.
"""

import functools
import importlib
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from posedreamer.geometry.skeletons import FACE_LANDMARKS, OUTPUT_JOINTS

# OpenPose's order. Its neck is the middle of the shoulders, which COCO-trained detectors were taught.
BODY_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
HEAD_POINTS = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
HAND_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
HAND_21 = {
    side: (
        f"{side}_wrist",
        *(f"{side}_{finger}{joint}" for finger in HAND_FINGERS for joint in ("1", "2", "3", "")),
    )
    for side in ("left", "right")
}
FACE = (*FACE_LANDMARKS, "right_eye", "left_eye")
OPENPOSE_RULE: dict[str, object] = {
    "drawing": "controlnet_aux 0.0.10 open_pose",
    "body": "18, neck between the shoulders, hidden drawn, nose eyes ears only if visible",
    "hands": "21, if the wrist and half of the rest are in the image",
    "face": "51 landmarks and 2 pupils, visible ones, if the nose and an eye are visible",
}
PACKAGE_ALIAS = "_posedreamer_controlnet_open_pose"


def draw_openpose(
    keypoints: Float[np.ndarray, "127 2"], visible: Bool[np.ndarray, "127"], width: int, height: int
) -> UInt8[np.ndarray, "height width 3"]:
    """The drawing on black, by the rule of this module. keypoints: pixels; width and height of their image."""
    util = _open_pose_util()
    inside = np.all((keypoints >= 0) & (keypoints < (width, height)), axis=1)

    def to_points(names: tuple[str, ...], shown: np.ndarray, missing: Any) -> list[Any]:
        indices = [OUTPUT_JOINTS.index(name) for name in names]
        return [
            util.Keypoint(float(keypoints[i, 0] / width), float(keypoints[i, 1] / height)) if shown[i] else missing
            for i in indices
        ]

    # The hand and face drawers know no None; they leave out what has a negative coordinate.
    nowhere = util.Keypoint(-1.0, -1.0)
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    shown = np.where([name in HEAD_POINTS for name in OUTPUT_JOINTS], visible, inside)
    body = to_points(tuple("pelvis" if name == "neck" else name for name in BODY_18), shown, None)
    shoulders = keypoints[[OUTPUT_JOINTS.index("left_shoulder"), OUTPUT_JOINTS.index("right_shoulder")]]
    neck = shoulders.mean(axis=0) / (width, height)
    body[BODY_18.index("neck")] = util.Keypoint(*map(float, neck)) if ((neck >= 0) & (neck < 1)).all() else None
    canvas = util.draw_bodypose(canvas, body)
    for names in HAND_21.values():
        in_image = inside[[OUTPUT_JOINTS.index(name) for name in names]]
        if in_image[0] and in_image[1:].mean() >= 0.5:
            canvas = util.draw_handpose(canvas, to_points(names, inside, nowhere))
    nose, right_eye, left_eye = (visible[OUTPUT_JOINTS.index(name)] for name in ("nose", "right_eye", "left_eye"))
    if nose and (right_eye or left_eye):
        canvas = util.draw_facepose(canvas, to_points(FACE, visible, nowhere))
    return canvas


@functools.cache
def _open_pose_util() -> ModuleType:
    """controlnet_aux.open_pose.util, imported without controlnet_aux itself.

    The package imports all of its detectors, thousands of modules and several seconds, for three drawing functions. Under a
    package name of our own that has only the folder as its path, the module loads with its two neighbours alone.
    """
    spec = importlib.util.find_spec("controlnet_aux")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "draw_openpose needs controlnet_aux (pip install controlnet-aux==0.0.10), which is not installed"
        )
    package = ModuleType(PACKAGE_ALIAS)
    package.__path__ = [f"{folder}/open_pose" for folder in spec.submodule_search_locations]
    sys.modules[PACKAGE_ALIAS] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its own: scipy.ndimage.filters
        return importlib.import_module(f"{PACKAGE_ALIAS}.util")
