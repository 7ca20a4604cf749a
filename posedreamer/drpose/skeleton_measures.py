"""How well a skeleton net reads poses off true latents: PSNR and SSIM of its maps, as DrPose tells them (22.48 and 0.93), and pixels.

Maps are nearly all black, so an empty map has a high PSNR already: the figures of black maps, and of the mean of all maps, stand beside.
What counts is where bones are: the distance of their centres (of mass of a channel), and of the joints, which follow from the centres down
the skeleton, for a bone's centre lies half way to its parent.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from skimage.metrics import structural_similarity
from torch import Tensor

from posedreamer.drpose.skeleton import CHANNELS, PARENTS

EMPTY = 1e-6  # mass of a map that shows nothing: its centre is the picture's


class MapMeasures(NamedTuple):
    """Means over subjects, views and channels. psnr: of all channels of a view together, to 1; centre_px, joint_px: of the maps' pixels; nan
    for maps that show nothing.
    """

    psnr: float
    ssim: float
    centre_px: float
    joint_px: float


def measure_maps(
    found: Float[Tensor, "subjects views 23 h w"], wanted: Float[Tensor, "subjects views 23 h w"]
) -> MapMeasures:
    """Of maps between 0 and 1."""
    error = (found - wanted).square().mean(dim=(2, 3, 4)).clamp(min=1e-10)
    pairs = zip(found.flatten(0, 2).numpy(), wanted.flatten(0, 2).numpy(), strict=True)
    ssim = np.mean([float(np.asarray(structural_similarity(mine, true, data_range=1.0))) for mine, true in pairs])
    if float(found.sum()) < EMPTY:
        return MapMeasures(float((-10 * error.log10()).mean()), float(ssim), float("nan"), float("nan"))
    mine, true = bone_centres(found), bone_centres(wanted)
    return MapMeasures(
        psnr=float((-10 * error.log10()).mean()),
        ssim=float(ssim),
        centre_px=float((mine - true).norm(dim=-1).mean()),
        joint_px=float((joints_of_centres(mine) - joints_of_centres(true)).norm(dim=-1).mean()),
    )


def bone_centres(maps: Float[Tensor, "*batch h w"]) -> Float[Tensor, "*batch 2"]:
    """Centres of mass, pixels (u, v) from the corner."""
    mass = maps.sum(dim=(-2, -1))
    rows, columns = (torch.arange(size, dtype=maps.dtype) + 0.5 for size in maps.shape[-2:])
    u, v = (maps.sum(dim=-2) * columns).sum(dim=-1), (maps.sum(dim=-1) * rows).sum(dim=-1)
    middle = torch.tensor([maps.shape[-1] / 2, maps.shape[-2] / 2], dtype=maps.dtype)
    return torch.where(
        (mass > EMPTY)[..., None], torch.stack([u, v], dim=-1) / mass.clamp(min=EMPTY)[..., None], middle
    )


def joints_of_centres(centres: Float[Tensor, "*batch 23 2"]) -> Float[Tensor, "*batch 23 2"]:
    """Joints from the pelvis on: each as far beyond its bone's centre as its parent is before it."""
    joints: list[Tensor] = []
    for channel, parent in enumerate(PARENTS):
        joints.append(centres[..., channel, :] if parent < 0 else 2 * centres[..., channel, :] - joints[parent])
    assert len(joints) == len(CHANNELS)
    return torch.stack(joints, dim=-2)
