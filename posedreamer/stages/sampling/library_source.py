"""Poses drawn from the named library: mirrored, mixed with a neighbour, jittered inside the joint limits."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import roma
import torch
from jaxtyping import Float

from posedreamer.geometry.rotations import compose_rotvec, rotvec_to_rotmat
from posedreamer.stages.sampling.library import NamedPose, PoseLibrary
from posedreamer.stages.sampling.limits import JointLimits, load_joint_limits
from posedreamer.stages.sampling.shapes import draw_expression
from posedreamer.stages.sampling.sources import PoseDraw, mirror_draw
from posedreamer.stages.sampling.splits import Split, load_splits

# Poses whose bodies stand more differently than this are not mixed: half way between a seat and a handstand is nothing.
MAX_TILT_BETWEEN = np.radians(50.0)
BASES = 5
# Noise of a pose that was refused is drawn again, milder each time, before another pose is tried: poses in which many parts
# touch would hardly ever be drawn otherwise.
NOISE_SCALES = (1.0, 0.5, 0.25)
JAW_OPEN_SIGMA = np.radians(5.0)
EYE_SIGMA = np.radians(6.0)
FINGER_SIGMA = np.radians(4.0)

Contacts = tuple[tuple[str, str], ...]
Check = Callable[[PoseDraw, Contacts], list[str]]


class LibrarySource:
    """Draws poses of the library. Each draw is a named pose, mirrored half of the time, mixed with another pose of its family
    at the rate `interpolation` (the share of the other at most one half), and jittered.

    hand_mean: the mean hands of the body that is posed (BodyModel buffer `hand_mean`). jitter: scale of the written noise.
    check: what is wrong with a draw (such as `penetration.PenetrationCheck`), given the parts that may touch; a draw that
    is wrong or leaves the joint limits is drawn again, a bounded number of times, then it is a ValueError.
    """

    def __init__(
        self,
        library: PoseLibrary,
        hand_mean: Float[np.ndarray, "2 15 3"],
        *,
        split: Split = "all",
        families: Sequence[str] | None = None,
        mirror: float = 0.5,
        interpolation: float = 0.35,
        jitter: float = 1.0,
        limits: JointLimits | None = None,
        check: Check | None = None,
    ) -> None:
        unknown = set(families or ()) - set(library.families())
        if unknown:
            raise ValueError(f"library source: unknown families {sorted(unknown)}, expected {library.families()}")
        names = load_splits().select_poses(library.poses, split)
        poses = [library.poses[name] for name in names]
        self.poses = [pose for pose in poses if families is None or pose.family in families]
        if not self.poses:
            raise ValueError(f"library source: no pose in split {split!r}, families {families}")
        self.partners = _partners_of(self.poses)
        self.hand_mean = np.asarray(hand_mean, np.float64)
        self.mirror, self.interpolation, self.jitter = mirror, interpolation, jitter
        self.limits = limits or load_joint_limits()
        self.check = check

    def draw(self, rng: np.random.Generator) -> PoseDraw:
        """A pose inside the joint limits that passes the check; ValueError with the last faults when none is found."""
        faults: list[str] = []
        for _ in range(BASES):
            base, contacts = self._draw_base(rng)
            for scale in NOISE_SCALES:
                draw = self._add_noise(base, scale * self.jitter, rng)
                faults = self.limits.violations(draw.body_pose)
                if not faults and self.check is not None:
                    faults = self.check(draw, contacts)
                if not faults:
                    return draw
        tries = BASES * len(NOISE_SCALES)
        raise ValueError(f"pose_impossible: no valid variation in {tries} tries, the last: {'; '.join(faults)}")

    def _draw_base(self, rng: np.random.Generator) -> tuple[PoseDraw, Contacts]:
        """A named pose or one between two, without noise, and the parts that may touch in it."""
        pose = self.poses[int(rng.integers(len(self.poses)))]
        draw, contacts = pose_to_draw(pose, self.hand_mean), pose.contacts
        partners = self.partners[pose.name]
        if partners and rng.random() < self.interpolation:
            other = partners[int(rng.integers(len(partners)))]
            draw = interpolate_draws(draw, pose_to_draw(other, self.hand_mean), float(rng.uniform(0.15, 0.5)))
            contacts = (*contacts, *other.contacts)
        if rng.random() < self.mirror:
            return mirror_draw(draw), tuple((_other_side(a), _other_side(b)) for a, b in contacts)
        return draw, contacts

    def _add_noise(self, draw: PoseDraw, scale: float, rng: np.random.Generator) -> PoseDraw:
        root = rng.normal(0.0, np.radians(self.limits.root_jitter), 3) * scale
        # Fingers bend about one axis: noise about the others would spread them like twigs.
        fingers = rng.normal(0.0, FINGER_SIGMA, (2, 15)) * scale
        curl = np.zeros((2, 15, 3))
        curl[..., 2] = fingers
        gaze = rng.normal(0.0, EYE_SIGMA, 2) * scale
        eyes = np.array([gaze[0], gaze[1], 0.0])
        return replace(
            draw,
            body_pose=self.limits.add_jitter(draw.body_pose, rng, scale),
            global_orient=compose_rotvec(root, draw.global_orient),
            left_hand_pose=draw.left_hand_pose + curl[0],
            right_hand_pose=draw.right_hand_pose + curl[1],
            jaw_pose=np.array([abs(rng.normal(0.0, JAW_OPEN_SIGMA)), 0.0, 0.0]) * scale,
            leye_pose=eyes,
            reye_pose=eyes,
            expression=draw_expression(rng) * scale,
        )


def pose_to_draw(pose: NamedPose, hand_mean: Float[np.ndarray, "2 15 3"]) -> PoseDraw:
    """The named pose exactly as it is written, with a neutral face."""
    return PoseDraw(
        body_pose=pose.body_pose,
        left_hand_pose=pose.hands.left - hand_mean[0],
        right_hand_pose=pose.hands.right - hand_mean[1],
        jaw_pose=np.zeros(3),
        leye_pose=np.zeros(3),
        reye_pose=np.zeros(3),
        expression=np.zeros(10),
        global_orient=pose.global_orient,
        source="library",
        tags=tuple(dict.fromkeys((pose.family, pose.name, *pose.tags))),
    )


def interpolate_draws(a: PoseDraw, b: PoseDraw, share: float) -> PoseDraw:
    """The pose between a (share 0) and b (share 1): spherical interpolation of every joint. Tags of both."""

    def slerp(name: str) -> np.ndarray:
        start, end = (torch.from_numpy(np.array(getattr(one, name), np.float64)) for one in (a, b))
        return roma.rotvec_slerp(start, end, torch.tensor([share], dtype=torch.float64))[0].numpy()

    return replace(
        a,
        body_pose=slerp("body_pose"),
        left_hand_pose=slerp("left_hand_pose"),
        right_hand_pose=slerp("right_hand_pose"),
        global_orient=slerp("global_orient"),
        tags=tuple(dict.fromkeys((*a.tags, *b.tags, "interpolated"))),
    )


def _partners_of(poses: Sequence[NamedPose]) -> dict[str, list[NamedPose]]:
    """For each pose the others of its family whose root stands at most MAX_TILT_BETWEEN away."""
    ups = {pose.name: rotvec_to_rotmat(pose.global_orient)[1] for pose in poses}
    near = np.cos(MAX_TILT_BETWEEN)
    return {
        pose.name: [
            other
            for other in poses
            if other is not pose and other.family == pose.family and ups[pose.name] @ ups[other.name] > near
        ]
        for pose in poses
    }


def _other_side(part: str) -> str:
    sides = {"left": "right", "right": "left"}
    side, _, rest = part.partition("_")
    return f"{sides[side]}_{rest}" if side in sides else part
