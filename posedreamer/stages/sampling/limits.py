"""Anatomical joint limits (`assets/joint_limits.yaml`), and noise that stays inside them."""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from jaxtyping import Float

from posedreamer.geometry.rotations import compose_rotvec, mirror_rotvec, rotvec_to_rotmat
from posedreamer.geometry.skeletons import BODY_JOINTS
from posedreamer.stages.sampling.angles import JOINT_ANGLES, angles_to_rotvec, kind_of, rotvec_to_angles

JOINT_LIMITS = Path(__file__).parents[2] / "assets" / "joint_limits.yaml"
TRIES_A_JOINT = 8


class JointLimits(NamedTuple):
    """ranges: kind -> its three (least, most) angles; shoulder: reference rotation (left), most swing, range of twist.

    jitter: kind -> standard deviation; root_jitter: that of the whole body. Degrees, the reference in radians.
    """

    ranges: dict[str, Float[np.ndarray, "3 2"]]
    shoulder_reference: Float[np.ndarray, "3"]
    shoulder_swing: float
    shoulder_twist: tuple[float, float]
    jitter: dict[str, float]
    root_jitter: float

    def violations(self, body_pose: Float[np.ndarray, "21 3"]) -> list[str]:
        """What leaves the limits, one text a joint and angle; empty for a pose inside them."""
        found = []
        for index, joint in enumerate(BODY_JOINTS[1:]):
            found += [
                f"{joint} {name} {value:.0f} is outside {low:g} .. {high:g}"
                for name, value, low, high in self._measure(joint, body_pose[index])
                if not low - 1e-6 <= value <= high + 1e-6
            ]
        return found

    def add_jitter(
        self, body_pose: Float[np.ndarray, "21 3"], rng: np.random.Generator, scale: float = 1.0
    ) -> Float[np.ndarray, "21 3"]:
        """The pose with Gaussian noise on each joint; a joint that leaves its limits is drawn again, at last left as it was."""
        jittered = np.array(body_pose, dtype=np.float64)
        for index, joint in enumerate(BODY_JOINTS[1:]):
            sigma = np.radians(self.jitter[kind_of(joint)]) * scale
            for noise in rng.normal(0.0, sigma, (TRIES_A_JOINT, 3)):
                candidate = compose_rotvec(jittered[index], noise)
                if all(low <= value <= high for _, value, low, high in self._measure(joint, candidate)):
                    jittered[index] = candidate
                    break
        return jittered

    def _measure(self, joint: str, rotvec: np.ndarray) -> list[tuple[str, float, float, float]]:
        kind = kind_of(joint)
        if kind == "shoulder":
            swing, twist = self._swing_and_twist(mirror_rotvec(rotvec) if joint.startswith("right_") else rotvec)
            return [("swing", swing, 0.0, self.shoulder_swing), ("twist", twist, *self.shoulder_twist)]
        angles = rotvec_to_angles(joint, rotvec)
        names = JOINT_ANGLES[kind].names
        return [(name, angles[i], *self.ranges[kind][i]) for i, name in enumerate(names)]

    def _swing_and_twist(self, rotvec: np.ndarray) -> tuple[float, float]:
        """Degrees: angle of the upper arm (local x) to its direction in the reference, and the turn about it (outwards +)."""
        relative = rotvec_to_rotmat(compose_rotvec(-self.shoulder_reference, rotvec))
        swing = np.degrees(np.arccos(np.clip(relative[0, 0], -1.0, 1.0)))
        # Twist of the swing-twist decomposition: the x part of the quaternion against its real part.
        real, x_part = 1.0 + np.trace(relative), relative[2, 1] - relative[1, 2]
        return swing, -2.0 * np.degrees(np.arctan2(x_part, real))


@functools.cache
def load_joint_limits(path: Path = JOINT_LIMITS) -> JointLimits:
    """The limits of a YAML file; a kind or an angle that is missing or unknown is a ValueError."""
    raw: dict[str, Any] = yaml.safe_load(path.read_text())
    kinds = set(JOINT_ANGLES) - {"pelvis"}
    for part in ("limits", "jitter"):
        if set(raw[part]) != kinds:
            raise ValueError(f"{path}: {part} names {sorted(raw[part])}, expected {sorted(kinds)}")
    shoulder = raw["limits"].pop("shoulder")
    ranges = {}
    for kind, entry in raw["limits"].items():
        if tuple(entry) != JOINT_ANGLES[kind].names:
            raise ValueError(f"{path}: {kind} has {list(entry)}, expected {list(JOINT_ANGLES[kind].names)}")
        ranges[kind] = np.array(list(entry.values()), dtype=np.float64)
    low, high = shoulder["twist"]
    return JointLimits(
        ranges=ranges,
        shoulder_reference=angles_to_rotvec("left_shoulder", np.array(shoulder["reference"], dtype=np.float64)),
        shoulder_swing=float(shoulder["swing"]),
        shoulder_twist=(float(low), float(high)),
        jitter={kind: float(sigma) for kind, sigma in raw["jitter"].items()},
        root_jitter=float(raw["root_jitter"]),
    )
