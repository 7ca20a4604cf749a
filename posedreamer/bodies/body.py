"""The parametric body: SMPL-X linear blend skinning, batched and differentiable (Pavlakos et al. 2019, eqs. 1-3).

Body frame: y up, +x to the body's left, facing +z, metres. Rotation vectors in radians, each relative to its parent.
Hand poses are relative to the mean hand (flat_hand_mean=False). global_orient turns about the root joint, so the root's
position is transl + rest_root(betas) (plus what the expression moves it, which is nothing in the open body).
Output joints, in `geometry.skeletons.OUTPUT_JOINTS` order: 55 joints, 21 vertices, 51 face landmarks.
"""

import copy
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import roma
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from posedreamer.bodies.layout import NUM_BETAS, BodyArrays, read_body_arrays
from posedreamer.geometry.skeletons import EXTRA_JOINT_VERTICES, SMPLX_PARENTS

# Bodies skinned at once: keeps the blended transforms in the cache.
SKINNING_BLOCK = 4


class BodyOutput(NamedTuple):
    """Posed bodies. transforms: rest -> posed for each joint, without transl."""

    vertices: Float[Tensor, "batch verts 3"]
    joints: Float[Tensor, "batch 127 3"]
    transforms: Float[Tensor, "batch 55 4 4"]


class BodyModel(torch.nn.Module):
    """One body model as float32 buffers. The cost (reading, folding the regressor) is paid when it is made.

    faces: vertex indices, counter-clockwise from outside. sha256: of the file, what labels name their body by.
    """

    weights: Tensor
    template: Tensor
    directions: Tensor
    joint_template: Tensor
    joint_directions: Tensor

    def __init__(self, arrays: BodyArrays, *, name: str, sha256: str, gender: str) -> None:
        super().__init__()
        self.name, self.sha256, self.gender = name, sha256, gender
        self.faces = arrays.faces
        self.num_vertices = len(arrays.v_template)
        # Columns of the pose feature that move no vertex are left out: in a sparse model most of the work.
        columns = np.flatnonzero(np.any(arrays.posedirs != 0, axis=(0, 1)))
        directions = np.concatenate([arrays.shapedirs, arrays.posedirs[..., columns]], axis=-1)
        regressor = arrays.joint_regressor.astype(np.float64)
        landmark_vertices = arrays.faces[arrays.landmark_faces]
        buffers = {
            "weights": arrays.weights,
            # Coordinates before vertices, so that skinning runs along contiguous vertices.
            "template": arrays.v_template.T.reshape(-1),
            "directions": directions.transpose(2, 1, 0).reshape(directions.shape[-1], -1),
            "pose_columns": columns.astype(np.int64),
            "joint_template": (regressor @ arrays.v_template).astype(np.float32),
            "joint_directions": np.einsum("jv,vcs->jcs", regressor, arrays.shapedirs, optimize=True).astype(np.float32),
            "hand_mean": np.stack([arrays.left_hand_mean, arrays.right_hand_mean]).reshape(2, 15, 3),
            "extra_vertices": np.array(list(EXTRA_JOINT_VERTICES.values()), dtype=np.int64),
            "landmark_vertices": landmark_vertices.astype(np.int64),
            "landmark_barycentrics": arrays.landmark_barycentrics,
        }
        for key, array in buffers.items():
            self.register_buffer(key, torch.from_numpy(np.ascontiguousarray(array)))

    @classmethod
    def from_file(cls, path: Path) -> "BodyModel":
        """The model of an .npz (official layout) or .safetensors file; named after the file.

        Gender by the official naming rule: the last word of the stem (SMPLX_FEMALE); neutral when it says none.
        """
        arrays = read_body_arrays(path)
        last_word = path.stem.lower().split("_")[-1]
        gender = last_word if last_word in ("male", "female") else "neutral"
        return cls(arrays, name=path.stem, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), gender=gender)

    def rest_root(self, betas: Float[Tensor, "batch 10"]) -> Float[Tensor, "batch 3"]:
        """Position of the root joint in the T-pose at transl 0, metres."""
        return self.joint_template[0] + betas @ self.joint_directions[0, :, :NUM_BETAS].T

    def forward(
        self,
        *,
        betas: Float[Tensor, "batch 10"],
        expression: Float[Tensor, "batch 10"],
        global_orient: Float[Tensor, "batch 3"],
        body_pose: Float[Tensor, "batch 21 3"],
        left_hand_pose: Float[Tensor, "batch 15 3"],
        right_hand_pose: Float[Tensor, "batch 15 3"],
        jaw_pose: Float[Tensor, "batch 3"],
        leye_pose: Float[Tensor, "batch 3"],
        reye_pose: Float[Tensor, "batch 3"],
        transl: Float[Tensor, "batch 3"],
    ) -> BodyOutput:
        """Posed vertices and joints, metres, in the frame of global_orient and transl."""
        hand_mean: Tensor = self.get_buffer("hand_mean")
        rotvecs = torch.cat(
            [
                global_orient[:, None], body_pose, jaw_pose[:, None], leye_pose[:, None], reye_pose[:, None],
                left_hand_pose + hand_mean[0], right_hand_pose + hand_mean[1],
            ],
            dim=1,
        )  # fmt: skip
        return self.pose(roma.rotvec_to_rotmat(rotvecs), torch.cat([betas, expression], dim=1), transl)

    def relaxed_rotmats(self, rotmats: Float[Tensor, "batch 22 3 3"]) -> Float[Tensor, "batch 55 3 3"]:
        """Rotations of all joints for `pose` from those of the body: the mean hands, a closed mouth, eyes ahead."""
        hands = roma.rotvec_to_rotmat(self.get_buffer("hand_mean").flatten(0, 1))
        others = torch.cat([torch.eye(3, dtype=hands.dtype, device=hands.device).expand(3, 3, 3), hands])
        return torch.cat([rotmats, others.to(rotmats).expand(len(rotmats), -1, -1, -1)], dim=1)

    def pose(
        self,
        rotmats: Float[Tensor, "batch 55 3 3"],
        shape: Float[Tensor, "batch 20"],
        transl: Float[Tensor, "batch 3"],
    ) -> BodyOutput:
        """As `forward`, from parent-relative rotation matrices, in which the mean hands are contained. shape: betas, expression."""
        joints_rest = self.joint_template + torch.einsum("bs,jcs->bjc", shape, self.joint_directions)
        transforms, joints = forward_kinematics(rotmats, joints_rest)
        pose = (rotmats[:, 1:] - torch.eye(3, dtype=rotmats.dtype, device=rotmats.device)).flatten(1)
        feature = torch.cat([shape, pose[:, self.get_buffer("pose_columns")]], dim=1)
        # One product for all blend shapes (it streams the directions once), then skinning in blocks that fit the cache.
        rest = torch.addmm(self.template, feature, self.directions).view(len(feature), 3, self.num_vertices)
        blocks = [slice(start, start + SKINNING_BLOCK) for start in range(0, len(feature), SKINNING_BLOCK)]
        vertices = torch.cat([self._skin(rest[block], transforms[block], transl[block]) for block in blocks])
        corners = vertices[:, self.get_buffer("landmark_vertices")]
        landmarks = torch.einsum("blkc,lk->blc", corners, self.get_buffer("landmark_barycentrics"))
        extra = vertices[:, self.get_buffer("extra_vertices")]
        return BodyOutput(vertices, torch.cat([joints + transl[:, None], extra, landmarks], dim=1), transforms)

    def thinned(self, vertices: Int64[np.ndarray, " chosen"]) -> "BodyModel":
        """The same body with fewer vertices: the chosen ones first, then those that output joints are made of; no faces.

        Joints are the same. For losses, where all vertices would cost more than the network.
        """
        needed = [self.get_buffer("extra_vertices"), self.get_buffer("landmark_vertices").flatten()]
        kept = torch.cat([torch.from_numpy(vertices), *needed])
        thin = copy.deepcopy(self)
        thin.faces, thin.num_vertices = np.zeros((0, 3), dtype=self.faces.dtype), len(kept)
        thin.weights = self.weights[kept]
        thin.template = self.template.view(3, -1)[:, kept].reshape(-1)
        thin.directions = self.directions.view(len(self.directions), 3, -1)[:, :, kept].flatten(1)
        places = torch.arange(len(vertices), len(kept))
        thin.register_buffer("extra_vertices", places[: len(needed[0])])
        thin.register_buffer("landmark_vertices", places[len(needed[0]) :].view(-1, 3))
        return thin

    def _skin(
        self,
        rest: Float[Tensor, "block 3 verts"],
        transforms: Float[Tensor, "block 55 4 4"],
        transl: Float[Tensor, "block 3"],
    ) -> Float[Tensor, "block verts 3"]:
        rows = transforms[:, :, :3].permute(0, 2, 3, 1).reshape(-1, transforms.shape[1])
        blended = (rows @ self.weights.T).view(len(rest), 3, 4, self.num_vertices)
        posed = blended[:, :, 3] + transl[..., None]
        for axis in range(3):
            posed = torch.addcmul(posed, blended[:, :, axis], rest[:, axis, None])
        return posed.transpose(1, 2)


def forward_kinematics(
    rotmats: Float[Tensor, "batch 55 3 3"], joints_rest: Float[Tensor, "batch 55 3"]
) -> tuple[Float[Tensor, "batch 55 4 4"], Float[Tensor, "batch 55 3"]]:
    """Rest -> posed transform of each joint, and the posed joints, from parent-relative rotations."""
    world_rotmats, world_joints = [rotmats[:, 0]], [joints_rest[:, 0]]
    for joint, parent in enumerate(SMPLX_PARENTS[1:], start=1):
        offset = joints_rest[:, joint] - joints_rest[:, parent]
        world_rotmats.append(world_rotmats[parent] @ rotmats[:, joint])
        world_joints.append(world_joints[parent] + (world_rotmats[parent] @ offset[..., None])[..., 0])
    turned, posed = torch.stack(world_rotmats, dim=1), torch.stack(world_joints, dim=1)
    shift = posed - (turned @ joints_rest[..., None])[..., 0]
    bottom = turned.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(turned), len(SMPLX_PARENTS), 1, 4)
    return torch.cat([torch.cat([turned, shift[..., None]], dim=-1), bottom], dim=-2), posed
