"""Named poses, read from `assets/poses/*.yaml`: one file a family, angles in degrees as `angles.py` defines them.

    warrior_two:
      title: warrior II, arms stretched to the sides
      sanskrit: Virabhadrasana II
      tags: [standing, lunge]
      root: [0, 0, 0]               # bend, side, turn of the pelvis in the world: 0 stands upright and faces +z
      joints:
        left_hip: [60, 40, 30]      # missing angles at the end are 0
        shoulders: [0, 88]          # a plural is both sides; `spine` is shared by spine1-3, `neck` by neck and head
      hands: flat                   # or {left: fist, right: point}
      contacts: [[left_hand, chest]]   # body parts that touch here, so they may sink in deeper (penetration.py)

Poses say nothing about height: the body is put on the ground when it is drawn.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float

from posedreamer.geometry.skeletons import BODY_JOINTS
from posedreamer.stages.sampling.angles import JOINT_ANGLES, angles_to_rotvec, kind_of
from posedreamer.stages.sampling.hands import Hands, make_hands

POSES = Path(__file__).parents[2] / "assets" / "poses"
PLURALS = {
    "hips": "hip", "knees": "knee", "ankles": "ankle", "feet": "foot",
    "collars": "collar", "shoulders": "shoulder", "elbows": "elbow", "wrists": "wrist",
}  # fmt: skip
SHARED = {"spine": ("spine1", "spine2", "spine3"), "neck": ("neck", "head")}
FIELDS = {"title", "sanskrit", "tags", "root", "joints", "hands", "contacts"}


@dataclass(frozen=True, eq=False)
class NamedPose:
    """One pose. body_pose: radians, parent-relative; global_orient: world frame; hands: counted from flat hands.

    contacts: pairs of body parts that touch here by nature.
    """

    name: str
    family: str
    title: str
    sanskrit: str | None
    tags: tuple[str, ...]
    body_pose: Float[np.ndarray, "21 3"]
    global_orient: Float[np.ndarray, "3"]
    hands: Hands
    contacts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PoseLibrary:
    """All poses by name, in alphabetical order."""

    poses: dict[str, NamedPose]

    @classmethod
    def from_directory(cls, directory: Path = POSES) -> "PoseLibrary":
        """The library of a folder of YAML files; errors name the file, the pose and the field."""
        poses: dict[str, NamedPose] = {}
        files = sorted(directory.glob("*.yaml"))
        if not files:
            raise ValueError(f"pose library {directory}: no .yaml file")
        for path in files:
            for name, entry in yaml.safe_load(path.read_text()).items():
                if name in poses:
                    raise ValueError(f"{path}: pose {name} stands in {poses[name].family}.yaml too")
                poses[name] = parse_pose(name, path.stem, entry, f"{path}: {name}")
        return cls(dict(sorted(poses.items())))

    def families(self) -> tuple[str, ...]:
        """Names of the families, sorted."""
        return tuple(sorted({pose.family for pose in self.poses.values()}))


@functools.cache
def load_library() -> PoseLibrary:
    """The embedded library, read once a process."""
    return PoseLibrary.from_directory()


def parse_pose(name: str, family: str, entry: dict[str, Any], where: str) -> NamedPose:
    """One pose from its YAML mapping; `where` starts the text of an error."""
    unknown = set(entry) - FIELDS
    if unknown or not {"title", "joints"} <= set(entry):
        raise ValueError(f"{where}: got fields {sorted(entry)}, expected title, joints and any of {sorted(FIELDS)}")
    angles = np.zeros((len(BODY_JOINTS), 3))
    written: set[str] = set()
    for key, values in {"pelvis": entry.get("root", [0]), **entry["joints"]}.items():
        padded = _three(values, f"{where}: {key}")
        names = _joints_of(key, where)
        if written & set(names):
            raise ValueError(f"{where}: {key} writes {sorted(written & set(names))} a second time")
        written |= set(names)
        for joint in names:
            angles[BODY_JOINTS.index(joint)] = padded / len(SHARED.get(key, (0,)))
    rotvecs = np.stack([angles_to_rotvec(joint, angles[i]) for i, joint in enumerate(BODY_JOINTS)])
    hands = entry.get("hands", "relaxed")
    left, right = (hands, hands) if isinstance(hands, str) else (hands["left"], hands["right"])
    return NamedPose(
        name=name,
        family=family,
        title=entry["title"],
        sanskrit=entry.get("sanskrit"),
        tags=tuple(entry.get("tags", ())),
        body_pose=rotvecs[1:],
        global_orient=rotvecs[0],
        hands=make_hands(left, right),
        contacts=tuple((a, b) for a, b in entry.get("contacts", ())),
    )


def _joints_of(key: str, where: str) -> tuple[str, ...]:
    if key in PLURALS:
        return (f"left_{PLURALS[key]}", f"right_{PLURALS[key]}")
    if key in SHARED:
        return SHARED[key]
    if key in BODY_JOINTS and kind_of(key) in JOINT_ANGLES:
        return (key,)
    raise ValueError(f"{where}: unknown joint {key}, expected one of {', '.join((*BODY_JOINTS, *PLURALS, *SHARED))}")


def _three(values: list[int | float], where: str) -> np.ndarray:
    if not isinstance(values, list) or not 1 <= len(values) <= 3:
        raise ValueError(f"{where}: got {values}, expected a list of one to three angles in degrees")
    return np.array([*values, *[0.0] * (3 - len(values))], dtype=np.float64)
