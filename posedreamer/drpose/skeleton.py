"""Skeleton maps: what PoseScore compares, one channel a joint, differentiable in the joints.

23 channels, as in DrPose, which does not say what they are: SMPL's 22 body joints, each with the bone to its parent, and the nose, with the bone
to the head, without which nobody knows where a head looks. The pelvis has no parent and is a dot.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from posedreamer.geometry.skeletons import BODY_JOINTS, BODY_PARENTS, OUTPUT_JOINTS

CHANNELS = (*BODY_JOINTS, "nose")
PARENTS = (*BODY_PARENTS, BODY_JOINTS.index("head"))
FROM_OUTPUT = tuple(OUTPUT_JOINTS.index(name) for name in CHANNELS)
WIDTH = 1 / 32  # of a bone, at half its height, as a share of the picture's side


def draw_skeleton_maps(
    points: Float[Tensor, "*batch 23 2"], size: int, width: float = WIDTH
) -> Float[Tensor, "*batch 23 size size"]:
    """Bones as soft lines: 1 on the bone, one half at `width` / 2 from it, by a Gaussian of the distance.

    points: of CHANNELS, in pixels of a square picture from its corner; those outside draw what reaches in.
    """
    middle = torch.arange(size, dtype=points.dtype, device=points.device) + 0.5
    pixels = torch.stack(torch.meshgrid(middle, middle, indexing="xy"), dim=-1)  # (v, u) -> (u, v)
    ends = points[..., [joint if parent < 0 else parent for joint, parent in enumerate(PARENTS)], :]
    bone = points - ends
    offset = pixels - ends[..., None, None, :]
    along = (offset * bone[..., None, None, :]).sum(dim=-1) / (bone.square().sum(dim=-1)[..., None, None] + 1e-6)
    nearest = ends[..., None, None, :] + along.clamp(0.0, 1.0)[..., None] * bone[..., None, None, :]
    squared = (pixels - nearest).square().sum(dim=-1)
    half = width * size / 2
    return torch.exp(-torch.log(torch.tensor(2.0)) * squared / half**2)
