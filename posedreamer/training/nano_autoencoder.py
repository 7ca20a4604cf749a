"""The nano autoencoder: a fixed patch transform as encoder, and a trained decoder.

The encoder gives the leading principal components of patches, by plain convolutions. (Trained encoders of this size were
worse after an hour than the first 16 components of 8 x 8 patches are from the start; docs/nano_model_card.md.)
Diffusion treats all latent channels alike, so their scales decide what it attends to: equal ones make unpredictable texture
as loud as the body, natural ones nearly silence it. The components keep the square root of their natural scale.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from posedreamer.seeds import generator_for
from posedreamer.training.critic import adversarial_losses
from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, torch_generator
from posedreamer.training.nano_config import AutoencoderConfig
from posedreamer.training.nano_crops import HEAD_FROM, cut, draw_crops
from posedreamer.training.perceptual import PerceptualDistance

STAGE = "autoencoder"
SCALE_EXPONENT = 0.5  # standard deviations of the baked channels: natural ones, over the largest, to this power
EDGE_WEIGHT = 1.0


def to_signed(images: UInt8[np.ndarray, "batch h w 3"]) -> Float[Tensor, "batch 3 h w"]:
    """Pictures as the autoencoder takes them: [-1, 1], channels first (channels-last in memory)."""
    return torch.tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_condition(maps: UInt8[np.ndarray, "batch h w 3"]) -> Float[Tensor, "batch 3 h w"]:
    """Condition maps as the ControlNet takes them: [0, 1], channels first."""
    return torch.tensor(maps).permute(0, 3, 1, 2).float().div_(255.0)


def body_mask(condition: Float[Tensor, "batch 3 h w"]) -> Bool[Tensor, "batch 1 h w"]:
    """Where the condition map shows the body."""
    return condition.amax(dim=1, keepdim=True) > 0


def error_weight(
    condition: Float[Tensor, "batch 3 h w"], person_weight: float, head_weight: float, factor: int = 1
) -> Float[Tensor, "batch 1 cells_h cells_w"]:
    """How much a pixel, or a cell of `factor` pixels, counts in a loss: more where it touches the body, still more its head.

    1 on average.
    """
    cells = condition if factor == 1 else F.max_pool2d(condition, factor)
    body, head = body_mask(cells), cells[:, 1:2] >= HEAD_FROM
    weight = 1.0 + person_weight * body.float() + head_weight * head.float()
    return weight / weight.mean(dim=(1, 2, 3), keepdim=True)


def autoencoder_loss(
    model: Any,
    images: UInt8[np.ndarray, "count h w 3"],
    conditions: UInt8[np.ndarray, "count h w 3"],
    config: AutoencoderConfig,
    seed: int,
    precision: torch.dtype,
    device: str,
) -> LossAt:
    """Of the decoder: absolute error of colours and of their differences between neighbours, and distance of features; in the
    last `critic_steps` also what the critic finds, which learns at the same time.
    """
    distance = PerceptualDistance(device) if config.perceptual_weight > 0 else None

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        rows = batch_at(seed, STAGE, step, config.loop.batch_size, len(images))
        side = config.crop if step < config.loop.steps - config.whole_steps else images.shape[1]
        chance = generator_for(seed, f"{STAGE}/{step}", "crop")
        crops = draw_crops(conditions, rows, side, config.factor, config.head_share, 0.0, chance).of(part)
        rows = rows[part]
        pictures = to_signed(cut(images, rows, crops)).to(device, memory_format=torch.channels_last)
        maps = to_condition(cut(conditions, rows, crops)).to(device)
        weight = error_weight(maps, config.person_weight, config.head_weight)
        with torch.no_grad():
            latents = model.encode(pictures).latents
        shape = (config.loop.batch_size, *latents.shape[1:])
        noise = torch.randn(shape, generator=torch_generator(seed, STAGE, step, "noise"))[part].to(device)
        with autocast(modules, precision):
            shown = modules["decoder"](latents + config.noise * noise)
            features = distance(shown, pictures) if distance is not None else torch.zeros((), device=device)
        error = shown.float() - pictures
        edges = (error.diff(dim=2).abs() * weight[:, :, 1:]).mean() + (error.diff(dim=3).abs() * weight[..., 1:]).mean()
        colours = (error.abs() * weight).mean() + EDGE_WEIGHT * edges
        loss = colours + config.perceptual_weight * features
        if step < config.loop.steps - config.critic_steps:
            return loss
        with autocast(modules, precision):
            disliked, mistaken = adversarial_losses(modules["critic"], shown, pictures)
        return loss + config.critic_weight * disliked + mistaken

    return loss_at


class PatchKernel(NamedTuple):
    """The encoder as one convolution: it is linear and looks at one patch at a time, so one matrix does in seconds what its
    layers do in minutes.
    """

    weight: Float[Tensor, "c 3 factor factor"]
    bias: Float[Tensor, " c"]

    def encode(self, pictures: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch c h2 w2"]:
        """Latents of pictures in [-1, 1]."""
        return F.conv2d(pictures, self.weight, self.bias, stride=self.weight.shape[-1])


@torch.no_grad()
def patch_kernel(model: Any) -> PatchKernel:
    """The encoder's, read off its answers to single values, on its device."""
    device = next(model.parameters()).device
    factor = 2 ** (len(model.config.encoder_block_out_channels) - 1)
    values = 3 * factor**2
    patches = torch.eye(values, device=device).reshape(values, 3, factor, factor)
    zero = model.encode(torch.zeros(1, 3, factor, factor, device=device)).latents.flatten(1)
    weight = (model.encode(patches).latents.flatten(1) - zero).T[..., None, None].reshape(-1, 3, factor, factor)
    return PatchKernel(weight.contiguous(), zero[0])


@torch.no_grad()
def patch_transform(
    model: Any,
    images: UInt8[np.ndarray, "count h w 3"],
    conditions: UInt8[np.ndarray, "count h w 3"],
    config: AutoencoderConfig,
) -> Float[np.ndarray, " channels"]:
    """Sets the encoder to the principal components of the pictures' patches; returns the latents' deviations.

    Patches count as pixels do in the loss: more on the body. Latents are centred; deviations are the natural ones, over the
    largest, to the power of SCALE_EXPONENT.
    """
    layers = list(model.encoder.layers)
    channels, downs = layers[-1].out_channels, layers[1:-1]
    patches, weight = (to_signed(images) + 1.0) / 2.0, to_condition(conditions)
    weight = error_weight(weight, config.person_weight, config.head_weight, config.factor).flatten().double()
    for _ in downs:
        patches = F.pixel_unshuffle(patches, 2)  # the order of channels that the convolutions below make, too
    patches = patches.permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = (weight[:, None] * patches).sum(dim=0) / weight.sum()
    variances, axes = torch.linalg.eigh(torch.cov(patches.T, aweights=weight, correction=0))
    deviations, axes = variances.flip(0)[:channels].sqrt(), axes.flip(1)[:, :channels]
    # An eigenvector's sign is arbitrary: the largest entry is made positive.
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    wished = (deviations / deviations[0]) ** SCALE_EXPONENT
    rows = ((wished / deviations)[:, None] * axes.T).float()
    for layer in layers:
        layer.weight.zero_()
    for colour in range(3):
        layers[0].weight[colour, colour, 1, 1] = 1.0
    for depth, layer in enumerate(downs[:-1]):
        add_space_to_depth(layer, 3 * 4**depth, 1.0)
    taps = rows.reshape(channels, -1, 2, 2)
    downs[-1].weight[:channels, : taps.shape[1], 1:, 1:] = taps
    layers[-1].weight[range(channels), range(channels), 1, 1] = 1.0
    layers[0].bias.zero_()
    layers[-1].bias.copy_(-(rows.double() @ mean).float())
    return wished.numpy()


def add_space_to_depth(layer: Any, channels: int, gain: float) -> None:
    """Adds to a convolution of stride 2 and padding 1: each pixel of a square in a channel of its own, as `pixel_unshuffle` orders them.

    channels: so many of its inputs. What its outputs do not reach is left out.
    """
    for channel, (y, x) in itertools.product(range(channels), np.ndindex(2, 2)):
        if (place := 4 * channel + 2 * y + x) < layer.out_channels:
            layer.weight[place, channel, 1 + y, 1 + x] += gain  # taps 1 and 2 of a kernel meet the square itself


@torch.no_grad()
def reconstruct(model: Any, images: UInt8[np.ndarray, "count h w 3"]) -> UInt8[np.ndarray, "count h w 3"]:
    """The pictures, through the latents and back."""
    device = next(model.parameters()).device
    return to_pixels(model.decode(model.encode(to_signed(images).to(device)).latents).sample)


def to_pixels(signed: Float[Tensor, "batch 3 h w"]) -> UInt8[np.ndarray, "batch h w 3"]:
    """The inverse of `to_signed`, clipped and rounded."""
    return ((signed.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
