"""Pose correctives (the posedirs of SMPL, Loper et al. 2015, eq. 9), fitted to a better skinning of the same body.

The target moves the A-posed body straight to the pose with the fine rig and `skinning.skin`: the shoulder blade takes its
share of the arm's turn, upper arm and forearm their share of the twist, the buttock a little of the thigh's turn. Each
joint's nine columns are a ridge regression on poses of that joint alone; right joints are mirror images of left ones.
"""

import logging
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from posedreamer.bodies.building.anatomy import FLIP
from posedreamer.bodies.building.open_body import OpenBody
from posedreamer.bodies.building.rig import SHOULDER_BLADE_SHARE, follow, joint_of_bone, t_pose, t_pose_rotmats
from posedreamer.bodies.building.skinning import rotation_part, skin
from posedreamer.bodies.building.source import Rig
from posedreamer.geometry.skeletons import SMPLX_JOINTS, SMPLX_PARENTS

LOGGER = logging.getLogger(__name__)
# Degrees about x, y, z for the left side: what a body can do, a little more than the pose library asks for.
RANGES = {
    "left_hip": ((-125, 40), (-40, 40), (-20, 60)),
    "left_knee": ((0, 145), (-10, 10), (-5, 5)),
    "left_shoulder": ((-60, 60), (-120, 45), (-95, 100)),
    "left_elbow": ((-60, 60), (-145, 5), (-5, 5)),
    "left_wrist": ((-80, 80), (-35, 35), (-60, 60)),
}
# Share of the joint's own turn taken by bones above it, and of its twist about x by bones below the joint's head.
SHARED_TURN = {"pelvis": ("hip", 0.12), "shoulder01": ("shoulder", SHOULDER_BLADE_SHARE)}
SHARED_TWIST = {"upperarm01": ("shoulder", 0.55), "lowerarm01": ("wrist", 0.25), "lowerarm02": ("wrist", 0.65)}
NUM_POSES = 160
RIDGE = 0.01
# Vertices whose target is never further off than this are left alone.
LEAST_MISS_M = 3e-4


class FineRig(NamedTuple):
    """The mean body in its A-pose with the fine rig, moved so that its T-pose is the open body's, and that T-pose."""

    rig: Rig
    vertices: np.ndarray
    heads: np.ndarray
    t_rotmats: np.ndarray
    t_heads: np.ndarray
    t_vertices: np.ndarray
    joints: np.ndarray


def fit_correctives(
    rig: Rig, vertices: np.ndarray, heads: np.ndarray, body: OpenBody, rng: np.random.Generator
) -> np.ndarray:
    """Correctives (verts, 3, 486), metres for a unit of (R - I), in the T-pose.

    vertices, heads: the mean body of the source in its A-pose.
    """
    fine = fine_rig(rig, vertices, heads, body)
    posedirs = np.zeros((len(body.order), 3, len(SMPLX_JOINTS) - 1, 3, 3))
    for joint, ranges in RANGES.items():
        index = SMPLX_JOINTS.index(joint)
        turns = _draw_turns(ranges, rng)
        columns, before, after = _fit_joint(fine, body, index, turns)
        LOGGER.info("correctives of %s: rms %.1f mm before, %.1f mm after", joint, 1e3 * before, 1e3 * after)
        posedirs[:, :, index - 1] = columns.reshape(-1, 3, 3, 3)
        # Seen in the mirror: vertices flip, and (R - I) becomes M (R - I) M.
        mirrored = posedirs[body.mirror, :, index - 1] * FLIP[None, :, None, None]
        posedirs[:, :, index] = mirrored * np.outer(FLIP, FLIP)
    return posedirs.reshape(len(body.order), 3, -1)


def fine_rig(rig: Rig, vertices: np.ndarray, heads: np.ndarray, body: OpenBody) -> FineRig:
    """The source's mean body prepared as a target."""
    rotmats, t_heads = follow(rig, heads, t_pose_rotmats(rig, heads))
    t_vertices, joints = t_pose(rig, vertices, heads)
    shift = joints[SMPLX_JOINTS.index("left_wrist")] - t_heads[rig.bones.index("wrist.L")]
    small = rig._replace(weights=rig.weights[body.order])
    return FineRig(small, vertices[body.order], heads, rotmats, t_heads + shift, t_vertices[body.order], joints)


def pose_target(fine: FineRig, joint: int, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target vertices with one joint turned, and the joints' world rotations and shifts, rest -> posed."""
    world = np.tile(np.eye(3), (len(SMPLX_JOINTS), 1, 1))
    posed = fine.joints.copy()
    local = np.tile(np.eye(3), (len(SMPLX_JOINTS), 1, 1))
    local[joint] = turn
    for index, parent in enumerate(SMPLX_PARENTS):
        if parent >= 0:
            posed[index] = posed[parent] + world[parent] @ (fine.joints[index] - fine.joints[parent])
            world[index] = world[parent] @ local[index]
    shifts = posed - np.einsum("jab,jb->ja", world, fine.joints)
    rotmats, bone_shifts = np.empty_like(fine.t_rotmats), np.empty_like(fine.heads)
    for bone, name in enumerate(fine.rig.bones):
        owner = SMPLX_JOINTS.index(joint_of_bone(name))
        stem, _, letter = name.partition(".")
        side = {"L": "left", "R": "right", "": ""}[letter]
        from_rest = world[owner]
        if stem in SHARED_TURN:
            other, share = SHARED_TURN[stem]
            turned = local[SMPLX_JOINTS.index(f"{side}_{other}")]
            if stem == "shoulder01":
                # The arm's whole way from the A-pose counts, of which the T-pose is a part.
                arm = fine.t_rotmats[fine.rig.bones.index(f"upperarm01.{letter}")]
                from_rest = world[owner] @ rotation_part(turned @ arm, share) @ fine.t_rotmats[bone].T
            else:
                from_rest = world[owner] @ rotation_part(turned, share)
        if stem in SHARED_TWIST:
            other, share = SHARED_TWIST[stem]
            twist = _twist_about_x(local[SMPLX_JOINTS.index(f"{side}_{other}")])
            # The shoulder's own bone gives some of the twist back; the forearm's bones take some of the hand's.
            angle = -(1 - share) * twist if other == "shoulder" else share * twist
            from_rest = from_rest @ Rotation.from_euler("x", angle).as_matrix()
        rotmats[bone] = from_rest @ fine.t_rotmats[bone]
        head = world[owner] @ fine.t_heads[bone] + shifts[owner]
        bone_shifts[bone] = head - rotmats[bone] @ fine.heads[bone]
    return skin(fine.vertices, fine.rig.weights, rotmats, bone_shifts), world, shifts


def _fit_joint(fine: FineRig, body: OpenBody, joint: int, turns: np.ndarray) -> tuple[np.ndarray, float, float]:
    # Least squares in the pose, per vertex: |M (t + P f) - target|^2, M the blended rotation, f the nine features.
    weights = body.weights.astype(np.float64)
    blends, misses = [], []
    for turn in turns:
        target, world, shifts = pose_target(fine, joint, turn)
        blend = (weights @ world.reshape(-1, 9)).reshape(-1, 3, 3)
        blends.append(blend)
        misses.append(target - (np.einsum("vab,vb->va", blend, fine.t_vertices) + weights @ shifts))
    moved = np.flatnonzero(np.linalg.norm(misses, axis=-1).max(axis=0) > LEAST_MISS_M)
    blend, miss = np.array(blends)[:, moved], np.array(misses)[:, moved]
    features = (turns - np.eye(3)).reshape(-1, 9)
    gram = np.einsum("nvba,nvbc->vnac", blend, blend)
    squares = features[:, :, None] * features[:, None, :]
    normal = np.einsum("vnac,nij->vaicj", gram, squares, optimize=True).reshape(-1, 27, 27)
    right = np.einsum("nvba,nvb,ni->vai", blend, miss, features, optimize=True).reshape(-1, 27, 1)
    solved = np.linalg.solve(normal + RIDGE * len(turns) * np.eye(27), right).reshape(-1, 3, 9)
    columns = np.zeros((len(weights), 3, 9))
    columns[moved] = solved
    left = miss - np.einsum("nvab,vbi,ni->nva", blend, solved, features, optimize=True)
    return columns, _rms(miss), _rms(left)


def _rms(miss: np.ndarray) -> float:
    return float(np.sqrt((miss**2).sum(axis=-1).mean()))


def _draw_turns(ranges: tuple[tuple[int, int], ...], rng: np.random.Generator) -> np.ndarray:
    # Half the poses turn about one axis mainly, as most poses do.
    low, high = np.array(ranges, dtype=float).T
    angles = rng.uniform(low, high, (NUM_POSES, 3))
    main = rng.integers(0, 3, NUM_POSES // 2)
    damp = np.full((NUM_POSES // 2, 3), 0.15)
    damp[np.arange(len(main)), main] = 1.0
    angles[: NUM_POSES // 2] *= damp
    return Rotation.from_rotvec(np.radians(angles)).as_matrix()


def _twist_about_x(rotmat: np.ndarray) -> float:
    x, _, _, w = Rotation.from_matrix(rotmat).as_quat()
    return 2.0 * np.arctan2(x * np.sign(w) if w else x, abs(w))
