"""How the observer is trained: renders, half of them changed so that it cannot answer from the place or the renderer's sharpness.

Changes, each drawn for itself: a mirror; the person with a margin set before another picture of the batch; a blur, grain,
brightness and contrast as generated pictures have them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from posedreamer.estimators.observer import POINT_STRIDE, Seen
from posedreamer.geometry.skeletons import COCO_KEYPOINTS, mirror_permutation
from posedreamer.rendering.attributes import VALUES, complete
from posedreamer.strict import Positive, PositiveFloat, Share, Strict
from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, device_of, torch_generator
from posedreamer.training.loop_config import LoopConfig
from posedreamer.training.nano_autoencoder import body_mask, to_condition, to_signed

STAGE = "observer"
SPREAD = 1.0  # cells: standard deviation of the Gaussian around a keypoint
MARGIN = 15  # pixels round the body that go with it to another background: clothes and hair


class ObserverConfig(Strict):
    """moved: share of pictures whose background is another one's. attributes_weight, points_weight: of their losses over the
    silhouette's. start: weights of an observer that training goes on from; none: from scratch.
    """

    seed: int = 0
    start: Path | None = None
    pictures: Positive | None = None
    threads: Positive = 2
    device: str = "cpu"
    precision: str = "bfloat16"
    moved: Share = 0.3
    attributes_weight: PositiveFloat = 0.3
    points_weight: PositiveFloat = 0.1
    loop: LoopConfig


class Renders(NamedTuple):
    """Pictures, the xyz maps of their bodies, the number of each attribute's value (columns as in VALUES), and COCO's keypoints
    (x, y in pixels; v above 0 inside the picture).
    """

    images: UInt8[np.ndarray, "count h w 3"]
    conditions: UInt8[np.ndarray, "count h w 3"]
    answers: Int64[Tensor, "count attributes"]
    keypoints: Float[np.ndarray, "count 17 3"]


def number_attributes(attributes: Sequence[Mapping[str, str]]) -> Int64[Tensor, "count attributes"]:
    """The place of each value in VALUES."""
    rows = [[values.index(complete(row)[name]) for name, values in VALUES.items()] for row in attributes]
    return torch.tensor(rows)


def observer_loss(renders: Renders, config: ObserverConfig, precision: torch.dtype) -> LossAt:
    """Cross-entropy and overlap (Dice) of the silhouette, cross-entropy of the attributes and of the keypoints' cells."""

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        device, size = device_of(modules), config.loop.batch_size
        rows = batch_at(config.seed, STAGE, step, size, len(renders.images))[part]
        draws = torch.rand((size, 8), generator=torch_generator(config.seed, STAGE, step, "change"))[part]
        noise = torch_generator(config.seed, STAGE, step, f"grain-{part.start}")
        pictures = to_signed(renders.images[rows]).contiguous()
        body = body_mask(to_condition(renders.conditions[rows])).float()
        pictures = before_another(pictures, body, draws[:, 0] < config.moved)
        pictures = photographed_worse(pictures, draws[:, 1:6], noise)
        turned = draws[:, 6] < 0.5
        mirrored = turned[:, None, None, None]
        pictures, body = (torch.where(mirrored, maps.flip(3), maps).to(device) for maps in (pictures, body))
        keypoints = mirrored_keypoints(torch.from_numpy(renders.keypoints[rows]), turned, pictures.shape[3]).to(device)
        with autocast(modules, precision):
            seen: Seen = modules["net"](pictures.contiguous(memory_format=torch.channels_last))
        told = [
            F.cross_entropy(answer.float(), renders.answers[rows, k].to(device))
            for k, answer in enumerate(seen.answers)
        ]
        return (
            silhouette_loss(seen.body.float(), body)
            + config.attributes_weight * torch.stack(told).mean()
            + config.points_weight * points_loss(seen.points.float(), keypoints)
        )

    return loss_at


def silhouette_loss(logits: Float[Tensor, "batch 1 h w"], body: Float[Tensor, "batch 1 h w"]) -> Float[Tensor, ""]:
    """Cross-entropy of pixels plus 1 - Dice of each picture's silhouette."""
    shown = logits.sigmoid()
    both, sum_ = (shown * body).sum(dim=(1, 2, 3)), (shown + body).sum(dim=(1, 2, 3))
    dice = 1.0 - (2.0 * both + 1.0) / (sum_ + 1.0)
    return F.binary_cross_entropy_with_logits(logits, body) + dice.mean()


def points_loss(points: Float[Tensor, "batch 17 h4 w4"], keypoints: Float[Tensor, "batch 17 3"]) -> Float[Tensor, ""]:
    """Cross-entropy of each keypoint's cell with a Gaussian around where it is; what lies outside the picture is not asked for."""
    height, width = points.shape[2:]
    cells = keypoints[..., :2] / POINT_STRIDE
    rows = torch.arange(height, device=points.device) + 0.5
    columns = torch.arange(width, device=points.device) + 0.5
    across = (-((columns - cells[..., 0:1]) ** 2) / (2 * SPREAD**2)).exp()
    down = (-((rows - cells[..., 1:2]) ** 2) / (2 * SPREAD**2)).exp()
    wanted = (down[..., :, None] * across[..., None, :]).flatten(2)
    inside = (keypoints[..., 2] > 0).float()
    wanted = wanted / wanted.sum(dim=2, keepdim=True).clamp(min=1e-6)
    errors = -(wanted * points.flatten(2).log_softmax(dim=2)).sum(dim=2)
    return (errors * inside).sum() / inside.sum().clamp(min=1.0)


def mirrored_keypoints(
    keypoints: Float[Tensor, "batch 17 3"], turned: Bool[Tensor, " batch"], width: int
) -> Float[Tensor, "batch 17 3"]:
    """The keypoints of the chosen pictures in a mirror: left and right change places and names."""
    there = keypoints[:, torch.from_numpy(mirror_permutation(COCO_KEYPOINTS))]
    there = torch.cat([width - there[..., :1], there[..., 1:]], dim=2)
    return torch.where(turned[:, None, None], there, keypoints)


def before_another(
    pictures: Float[Tensor, "batch 3 h w"], body: Float[Tensor, "batch 1 h w"], chosen: Tensor
) -> Float[Tensor, "batch 3 h w"]:
    """The chosen pictures' people, with a margin, before the next picture of the batch, whose own person is painted out.

    A person is painted out by the picture's mirror image where that shows none, else by its mean colour.
    """
    across = F.max_pool2d(body, (1, 2 * MARGIN + 1), 1, (0, MARGIN))
    near = F.max_pool2d(across, (2 * MARGIN + 1, 1), 1, (MARGIN, 0))
    mirror, mirror_near = pictures.flip(3), near.flip(3)
    mean = (pictures * (1 - near)).sum(dim=(2, 3), keepdim=True) / (1 - near).sum(dim=(2, 3), keepdim=True).clamp(min=1)
    empty = torch.where(near > 0, torch.where(mirror_near > 0, mean.expand_as(pictures), mirror), pictures)
    moved = torch.where(near > 0, pictures, empty.roll(1, dims=0))
    return torch.where(chosen[:, None, None, None], moved, pictures)


def photographed_worse(
    pictures: Float[Tensor, "batch 3 h w"], draws: Float[Tensor, "batch 5"], noise: torch.Generator
) -> Float[Tensor, "batch 3 h w"]:
    """Blurred, grainy, brighter or darker, more or less contrasting: each by its own draw in [0, 1)."""
    blur, grain, light, contrast, is_changed = (draws[:, k, None, None, None] for k in range(5))
    soft = F.avg_pool2d(F.pad(pictures, (2, 2, 2, 2), mode="replicate"), 5, 1)
    changed = torch.lerp(pictures, soft, blur)
    changed = changed + 0.08 * grain * torch.randn(pictures.shape, generator=noise)
    changed = (changed * (0.9 + 0.2 * contrast) + 0.12 * (light - 0.5)).clamp(-1, 1)
    return torch.where(is_changed < 0.6, changed, pictures)
