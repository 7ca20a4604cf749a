"""The numpy face of a body model: one record of parameters in, one posed body out; frames as in `geometry/cameras.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32

from posedreamer.bodies.body import BodyModel, forward_kinematics
from posedreamer.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from posedreamer.geometry.skeletons import NUM_BODY_JOINTS
from posedreamer.sample import PARAMETER_SHAPES, BodyParameters


class PosedBody(NamedTuple):
    """Vertices and the 127 output joints, metres, in the parameters' frame; transforms: rest -> posed, without transl."""

    vertices: Float[np.ndarray, "verts 3"]
    joints: Float[np.ndarray, "127 3"]
    transforms: Float[np.ndarray, "55 4 4"]


def pose_body(body: BodyModel, parameters: BodyParameters) -> PosedBody:
    """One posed body, float32."""
    return pose_bodies(body, [parameters])[0]


def pose_bodies(body: BodyModel, parameters: Sequence[BodyParameters]) -> list[PosedBody]:
    """Posed bodies by one batched forward pass, float32, in the order given."""
    if not parameters:
        return []
    batch = {
        name: torch.from_numpy(np.stack([getattr(one, name) for one in parameters]).astype(np.float32))
        for name in PARAMETER_SHAPES
    }
    with torch.no_grad():
        output = body(**batch)
    arrays = (part.contiguous().numpy() for part in output)
    return [PosedBody(*parts) for parts in zip(*arrays, strict=True)]


def body_joints(body: BodyModel, body_pose: Float[np.ndarray, "batch 21 3"]) -> Float32[np.ndarray, "batch 22 3"]:
    """The body's joints in these poses, from the root joint and in its frame, metres; of the mean shape."""
    rotvecs = np.concatenate([np.zeros((len(body_pose), 1, 3)), body_pose], axis=1)
    rotmats = torch.from_numpy(rotvec_to_rotmat(rotvecs).astype(np.float32))
    with torch.no_grad():
        rest = body.joint_template.expand(len(body_pose), -1, -1)
        _, joints = forward_kinematics(body.relaxed_rotmats(rotmats), rest)
    return (joints[:, :NUM_BODY_JOINTS] - joints[:, :1]).numpy()


def rest_parameters() -> BodyParameters:
    """All zeros: the mean shape in the T-pose, hands relaxed."""
    return BodyParameters(**{name: np.zeros(shape, dtype=np.float32) for name, shape in PARAMETER_SHAPES.items()})


def parameters_from_arrays(arrays: Mapping[str, np.ndarray]) -> BodyParameters:
    """Parameters in float32 from arrays by name, others ignored; ValueError names a missing, misshapen or NaN field."""
    checked = {}
    for name, shape in PARAMETER_SHAPES.items():
        if name not in arrays:
            raise ValueError(f"body parameters: {name} is missing, expected shape {shape}; got {sorted(arrays)}")
        array = np.asarray(arrays[name])
        if array.shape != shape:
            raise ValueError(f"body parameters: {name} has shape {array.shape}, expected {shape}")
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(f"body parameters: {name} must be finite numbers, got dtype {array.dtype}: {array}")
        checked[name] = array.astype(np.float32)
    return BodyParameters(**checked)


def transform_parameters(
    body: BodyModel, parameters: BodyParameters, T_a_from_b: Float[np.ndarray, "4 4"]
) -> BodyParameters:
    """Parameters of the same body seen from frame a, given those in frame b: the vertices move by T_a_from_b.

    Only global_orient and transl change. T_a_from_b: rotation and translation (metres); anything else is a ValueError.
    """
    rotmat, shift = np.asarray(T_a_from_b[:3, :3], np.float64), np.asarray(T_a_from_b[:3, 3], np.float64)
    is_rotation = np.allclose(rotmat @ rotmat.T, np.eye(3), atol=1e-5) and np.linalg.det(rotmat) > 0
    if not is_rotation or not np.allclose(T_a_from_b[3], [0, 0, 0, 1]):
        raise ValueError(f"transform_parameters: T_a_from_b must be rigid, got\n{T_a_from_b}")
    with torch.no_grad():
        root = body.rest_root(torch.from_numpy(parameters.betas.astype(np.float32))[None])[0].numpy().astype(np.float64)
    turned = rotmat @ rotvec_to_rotmat(parameters.global_orient)
    # The body turns about its root joint, so the root's own offset has to be carried over to transl.
    transl = rotmat @ (root + parameters.transl) + shift - root
    return replace(
        parameters, global_orient=rotmat_to_rotvec(turned).astype(np.float32), transl=transl.astype(np.float32)
    )
