"""The record: `Sample` and its parts, the only types that cross a stage.

Everything is frozen. A stage returns a new sample with parts added (`dataclasses.replace`); it never edits one.
Conventions of frames, pixels and rotations: `geometry/cameras.py`. Names of joints: `geometry/skeletons.py`.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8

logger = logging.getLogger(__name__)

_CANDIDATE = re.compile(r"-c(\d+)$")
_PLACE = re.compile(r"-(\d{6})-(\d{4})$")

Status = Literal["pending", "kept", "rejected", "failed"]


@dataclass(frozen=True, eq=False)
class BodyParameters:
    """SMPL-X parameters of one body. Rotation vectors in radians; `global_orient` and `transl` in the frame named by the owner.

    Hand poses are relative to the mean hand (flat_hand_mean=False), as in both papers. transl: metres, added after posing.
    """

    betas: Float[np.ndarray, "10"]
    expression: Float[np.ndarray, "10"]
    global_orient: Float[np.ndarray, "3"]
    body_pose: Float[np.ndarray, "21 3"]
    left_hand_pose: Float[np.ndarray, "15 3"]
    right_hand_pose: Float[np.ndarray, "15 3"]
    jaw_pose: Float[np.ndarray, "3"]
    leye_pose: Float[np.ndarray, "3"]
    reye_pose: Float[np.ndarray, "3"]
    transl: Float[np.ndarray, "3"]


PARAMETER_SHAPES: dict[str, tuple[int, ...]] = {
    "betas": (10,),
    "expression": (10,),
    "global_orient": (3,),
    "body_pose": (21, 3),
    "left_hand_pose": (15, 3),
    "right_hand_pose": (15, 3),
    "jaw_pose": (3,),
    "leye_pose": (3,),
    "reye_pose": (3,),
    "transl": (3,),
}


@dataclass(frozen=True, eq=False)
class Label:
    """What the picture must show: exactly one body, in front of one camera.

    parameters: in the camera frame. Arrays are float32 but K and T_cam_from_world (float64).
    joints_cam: metres; keypoints: pixels of the stored image, so project(joints_cam, K) equals keypoints.
    visible: inside the image, and no surface of another body part more than 2 cm in front of the joint.
    coco_keypoints: x, y, v with v = 2 visible, 1 in the image but hidden, 0 outside.
    bbox: x, y, w, h of the mask, pixels.
    source: where the pose came from ("library", "motion:<file>", "curriculum"); tags: family, pose names, crop kind.
    """

    parameters: BodyParameters
    K: Float[np.ndarray, "3 3"]
    T_cam_from_world: Float[np.ndarray, "4 4"]
    joints_cam: Float[np.ndarray, "127 3"]
    keypoints: Float[np.ndarray, "127 2"]
    visible: Bool[np.ndarray, "127"]
    coco_keypoints: Float[np.ndarray, "17 3"]
    bbox: Float[np.ndarray, "4"]
    width: int
    height: int
    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Prompt:
    """The text given to the generator, and the attributes it was built from (name -> value, such as top_colour -> red)."""

    text: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Condition:
    """Maps drawn from the label. `control` is what the generator is given; its `kind` names it (xyz, openpose, depth ...).

    xyz: colour map of the body surface (rendering/conditions.py); mask: silhouette of the body without clothes;
    depth_mm: millimetres along z, 0 = background. All have the size of the stored image.
    """

    kind: str
    control: UInt8[np.ndarray, "h w 3"]
    xyz: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    depth_mm: np.ndarray  # uint16 (h, w)


@dataclass(frozen=True, eq=False)
class Picture:
    """A generated image and what made it: generator id (repository + revision, or hash), seed, number of the candidate."""

    rgb: UInt8[np.ndarray, "h w 3"]
    generator: str
    seed: int
    candidate: int = 0


@dataclass(frozen=True)
class Verdict:
    """kept, rejected(reason), failed(error) or still pending. Reasons are short snake_case words such as oks_low."""

    status: Status = "pending"
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """One record on its way through the line. `key` has no dot: it is the name of the tar members."""

    key: str
    run_seed: int
    label: Label | None = None
    prompt: Prompt | None = None
    condition: Condition | None = None
    image: Picture | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def is_pending(self) -> bool:
        """False once a verdict is spoken; later stages pass such a sample on untouched."""
        return self.verdict.status == "pending"


def failed(sample: Sample, message: str) -> Sample:
    """The sample with the verdict failed(message), which is logged with its key."""
    logger.warning("sample %s: %s", sample.key, message)
    return replace(sample, verdict=Verdict("failed", message))


def make_key(key_hash: str, round_index: int, shard: int, place: int, candidate: int | None = None) -> str:
    """`3f9c2a17-r00-000012-0007`: hash of the config without filters (8 hex), round, shard, place in the shard; `-c3` for a further candidate."""
    key = f"{key_hash[:8]}-r{round_index:02d}-{shard:06d}-{place:04d}"
    return key if candidate is None else f"{key}-c{candidate}"


def split_key(key: str) -> tuple[str, int]:
    """The key of the label and the number of the candidate: `...-0007-c3` -> (`...-0007`, 3); without a number, 0."""
    match = _CANDIDATE.search(key)
    return (key, 0) if match is None else (key[: match.start()], int(match.group(1)))


def place_of(key: str) -> tuple[int, int]:
    """Shard of a key, and place in the shard; candidates of a label share it. A key of another form is a ValueError."""
    match = _PLACE.search(split_key(key)[0])
    if match is None:
        raise ValueError(f"key {key!r}: expected ...-<shard>-<place>")
    return int(match[1]), int(match[2])
