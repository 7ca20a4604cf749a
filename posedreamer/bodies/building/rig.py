"""From the fine rig (163 bones, A-pose) to the 55 joints of SMPL-X in their T-pose."""

import numpy as np

from posedreamer.bodies.building.skinning import rotation_between, rotation_part, skin
from posedreamer.bodies.building.source import Rig
from posedreamer.geometry.skeletons import SMPLX_JOINTS

SIDES = (("L", "left", 1.0), ("R", "right", -1.0))
FINGER_NUMBER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
# Where the pelvis joint of every rest body lies, metres: the place it has in the family of SMPL models.
ROOT = np.array([0.0, -0.35, 0.0])
# The shoulder blade's share of the arm's turn; the collar bone stays. The deltoid then hangs when the arm does.
SHOULDER_BLADE_SHARE = 0.5

_HEAD = {"spine1": "spine04", "spine2": "spine03", "spine3": "spine02", "neck": "neck01", "head": "head", "jaw": "jaw"}
for _letter, _side, _ in SIDES:
    _HEAD |= {
        f"{_side}_hip": f"upperleg01.{_letter}", f"{_side}_knee": f"lowerleg01.{_letter}",
        f"{_side}_ankle": f"foot.{_letter}", f"{_side}_foot": f"toe2-1.{_letter}",
        f"{_side}_collar": f"clavicle.{_letter}", f"{_side}_shoulder": f"upperarm01.{_letter}",
        f"{_side}_elbow": f"lowerarm01.{_letter}", f"{_side}_wrist": f"wrist.{_letter}",
        f"{_side}_eye_smplhf": f"eye.{_letter}",
    }  # fmt: skip
    _HEAD |= {
        f"{_side}_{finger}{knuckle}": f"finger{number}-{knuckle}.{_letter}"
        for finger, number in FINGER_NUMBER.items()
        for knuckle in (1, 2, 3)
    }
_MIDLINE = {
    "root": "pelvis", "pelvis": "pelvis", "spine05": "pelvis", "spine04": "spine1", "spine03": "spine2",
    "spine02": "spine3", "spine01": "spine3", "breast": "spine3", "neck01": "neck", "neck02": "neck",
}  # fmt: skip
_SIDED = {
    "clavicle": "collar", "shoulder01": "collar", "upperarm01": "shoulder", "upperarm02": "shoulder",
    "lowerarm01": "elbow", "lowerarm02": "elbow", "wrist": "wrist", "upperleg01": "hip", "upperleg02": "hip",
    "lowerleg01": "knee", "lowerleg02": "knee", "foot": "ankle", "eye": "eye_smplhf",
}  # fmt: skip
_JAW = ("jaw", "special04", "oris01", "oris02", "oris06", "oris07", "tongue")


def joint_of_bone(bone: str) -> str:
    """The SMPL-X joint that carries what the bone carries."""
    name, _, letter = bone.partition(".")
    side = {"L": "left", "R": "right", "": ""}[letter]
    if name in _MIDLINE:
        return _MIDLINE[name]
    if name in _SIDED:
        return f"{side}_{_SIDED[name]}"
    if name.startswith("metacarpal"):
        return f"{side}_wrist"
    if name.startswith("toe"):
        return f"{side}_foot"
    if name.startswith("finger"):
        number, knuckle = name.removeprefix("finger").split("-")
        finger = next(finger for finger, value in FINGER_NUMBER.items() if value == int(number))
        return f"{side}_{finger}{knuckle}"
    return "jaw" if name.startswith(_JAW) else "head"


def joint_weights(rig: Rig) -> np.ndarray:
    """Weights of the 55 joints, (verts, 55): the sums of their bones'."""
    weights = np.zeros((len(rig.weights), len(SMPLX_JOINTS)))
    for index, bone in enumerate(rig.bones):
        weights[:, SMPLX_JOINTS.index(joint_of_bone(bone))] += rig.weights[:, index]
    return weights


def t_pose_rotmats(rig: Rig, heads: np.ndarray) -> dict[str, np.ndarray]:
    """Rotations, A-pose to T-pose, of the bones that start a new direction; their children follow."""
    place = {bone: heads[index] for index, bone in enumerate(rig.bones)}
    turned = {}
    for letter, _, sign in SIDES:
        shoulder, elbow, wrist = (place[f"{bone}.{letter}"] for bone in ("upperarm01", "lowerarm01", "wrist"))
        across = np.array([sign, 0.0, 0.0])
        upper = rotation_between(elbow - shoulder, across)
        lower = rotation_between(upper @ (wrist - elbow), across) @ upper
        hand = rotation_between(lower @ (place[f"finger3-1.{letter}"] - wrist), across) @ lower
        turned |= {
            f"shoulder01.{letter}": rotation_part(upper, SHOULDER_BLADE_SHARE),
            f"upperarm01.{letter}": upper, f"lowerarm01.{letter}": lower, f"wrist.{letter}": hand,
        }  # fmt: skip
    return turned


def t_pose(rig: Rig, vertices: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T-posed vertices and the 55 joints of one body, pelvis at ROOT."""
    rotmats, new_heads = follow(rig, heads, t_pose_rotmats(rig, heads))
    shifts = new_heads - np.einsum("bij,bj->bi", rotmats, heads)
    joints = joints_from_heads(rig, new_heads)
    offset = ROOT - joints[0]
    return skin(vertices, rig.weights, rotmats, shifts) + offset, joints + offset


def follow(rig: Rig, heads: np.ndarray, turned: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """World rotation and head of each bone when some bones take the given world rotations and the rest their parents'."""
    rotmats, new_heads = np.tile(np.eye(3), (len(heads), 1, 1)), heads.copy()
    for index, (bone, parent) in enumerate(zip(rig.bones, rig.parents, strict=True)):
        if parent >= 0:
            new_heads[index] = rotmats[parent] @ (heads[index] - heads[parent]) + new_heads[parent]
            rotmats[index] = rotmats[parent]
        rotmats[index] = turned.get(bone, rotmats[index])
    return rotmats, new_heads


def joints_from_heads(rig: Rig, heads: np.ndarray) -> np.ndarray:
    """The 55 joint centres: bone heads, and a pelvis a quarter of the way from between the hips to spine2."""
    place = {bone: heads[index] for index, bone in enumerate(rig.bones)}
    hips = 0.5 * (place["upperleg01.L"] + place["upperleg01.R"])
    pelvis = hips + np.array([0.0, 0.25, 0.0]) * np.linalg.norm(place["spine03"] - hips)
    return np.array([pelvis, *(place[_HEAD[joint]] for joint in SMPLX_JOINTS[1:])])
