"""Anatomical joint angles in degrees, the way poses and joint limits are written, and the rotation vectors they stand for.

Every angle is counted from hanging limbs and is the same number on both sides of the body, so equal numbers left and right are
a symmetric pose. The zero of the arms is "hanging, palms to the thighs, elbows bend forwards"; SMPL-X's own rest pose (the
T-pose) is a shoulder abduction of 90. Angles of one joint act from the inside out, in the order of its entry in `JOINT_ANGLES`:
the first turns about an axis of the parent, the next about the axis that has been turned already.

hip, shoulder   flexion (limb forwards and up), abduction (away from the midline), rotation (outwards, about the limb)
knee            flexion (heel to seat), bow (shin outwards), rotation (toes outwards)
ankle           flexion (toes up; pointed toes are negative), inversion (sole inwards), rotation (toes outwards)
foot            the ball of the foot: extension (toes up), spread, roll
pelvis, spine1-3, neck, head   bend (forwards), side (to the left), turn (to the left)
collar          elevation (shrug), protraction (forwards), roll
elbow           flexion, pronation (about the forearm), carry
wrist           flexion (towards the palm), deviation (towards the thumb), pronation
"""

from typing import NamedTuple

import numpy as np
import roma
import torch
from jaxtyping import Float

from posedreamer.geometry.rotations import compose_rotvec, mirror_rotvec
from posedreamer.geometry.skeletons import BODY_JOINTS


class AngleAxes(NamedTuple):
    """Names of a joint's three angles, their axes (intrinsic Euler convention), and their signs on the left side."""

    names: tuple[str, str, str]
    convention: str
    signs: tuple[int, int, int]


_LIMB = ("flexion", "abduction", "rotation")
_TRUNK = AngleAxes(("bend", "side", "turn"), "XZY", (1, -1, 1))
JOINT_ANGLES: dict[str, AngleAxes] = {
    "pelvis": _TRUNK,
    "hip": AngleAxes(_LIMB, "XZY", (-1, 1, 1)),
    "knee": AngleAxes(("flexion", "bow", "rotation"), "XZY", (1, 1, 1)),
    "ankle": AngleAxes(("flexion", "inversion", "rotation"), "XZY", (-1, -1, 1)),
    "foot": AngleAxes(("extension", "spread", "roll"), "XZY", (-1, 1, 1)),
    "spine1": _TRUNK,
    "spine2": _TRUNK,
    "spine3": _TRUNK,
    "neck": _TRUNK,
    "head": _TRUNK,
    "collar": AngleAxes(("elevation", "protraction", "roll"), "ZYX", (1, -1, 1)),
    "shoulder": AngleAxes(_LIMB, "XZY", (-1, 1, 1)),
    "elbow": AngleAxes(("flexion", "pronation", "carry"), "YXZ", (-1, 1, 1)),
    "wrist": AngleAxes(("flexion", "deviation", "pronation"), "ZYX", (-1, -1, 1)),
}
# From the T-pose to the hanging left arm.
HANG = np.array([0.0, 0.0, -np.pi / 2])


def kind_of(joint: str) -> str:
    """`left_knee` -> `knee`; a joint of the midline is its own kind."""
    return joint.removeprefix("left_").removeprefix("right_")


def angles_to_rotvec(joint: str, angles_deg: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """The parent-relative rotation vector (radians) of a body joint, by its name in `BODY_JOINTS`."""
    axes = JOINT_ANGLES[kind_of(joint)]
    signed = torch.from_numpy(np.asarray(angles_deg, np.float64) * np.array(axes.signs))
    rotvec = roma.euler_to_rotvec(axes.convention, list(signed), degrees=True).numpy()
    if kind_of(joint) == "shoulder":
        rotvec = compose_rotvec(rotvec, HANG)
    return mirror_rotvec(rotvec) if joint.startswith("right_") else rotvec


def rotvec_to_angles(joint: str, rotvec: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Degrees, the inverse of `angles_to_rotvec`: the second angle within +-90, the others within +-180."""
    axes = JOINT_ANGLES[kind_of(joint)]
    rotvec = np.asarray(rotvec, np.float64)
    if joint.startswith("right_"):
        rotvec = mirror_rotvec(rotvec)
    if kind_of(joint) == "shoulder":
        rotvec = compose_rotvec(rotvec, np.broadcast_to(-HANG, rotvec.shape))
    euler = roma.rotvec_to_euler(axes.convention, torch.from_numpy(np.ascontiguousarray(rotvec)), degrees=True)
    return torch.stack(list(euler), dim=-1).numpy() * np.array(axes.signs)


def pose_to_angles(body_pose: Float[np.ndarray, "21 3"]) -> Float[np.ndarray, "21 3"]:
    """Degrees of all joints of a body pose, in the order of the pose."""
    return np.stack([rotvec_to_angles(joint, body_pose[i]) for i, joint in enumerate(BODY_JOINTS[1:])])
