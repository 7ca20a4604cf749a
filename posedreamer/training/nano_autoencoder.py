"""The nano autoencoder: a fixed patch transform as encoder, a small trained decoder, and the latents of a whole data set.

The encoder gives the leading principal components of 4 x 4 patches, by plain convolutions. (A trained encoder with
normalisation, AutoencoderKL, was still without colours after 8,000 pictures, and at full resolution it is what costs most.)
Diffusion treats all latent channels alike, so their scales decide what it attends to: equal ones make unpredictable texture
as loud as the body, natural ones nearly silence it. The components keep the square root of their natural scale.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from posedreamer.seeds import generator_for
from posedreamer.training.nano_config import AutoencoderConfig
from posedreamer.training.nano_loop import LossAt, Modules, batch_at, torch_generator

STAGE = "autoencoder"
SCALE_EXPONENT = 0.5  # standard deviations of the baked channels: natural ones, over the largest, to this power
EDGE_WEIGHT = 1.0
HEAD_FROM = 0.86  # green of the xyz map, which runs from the soles to the crown of the canonical body: from the chin up


def to_signed(images: UInt8[np.ndarray, "batch h w 3"]) -> Float[Tensor, "batch 3 h w"]:
    """Pictures as the autoencoder takes them: [-1, 1], channels first (channels-last in memory)."""
    return torch.tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_condition(maps: UInt8[np.ndarray, "batch h w 3"]) -> Float[Tensor, "batch 3 h w"]:
    """Condition maps as the ControlNet takes them: [0, 1], channels first."""
    return torch.tensor(maps).permute(0, 3, 1, 2).float() / 255.0


def body_mask(condition: Float[Tensor, "batch 3 h w"], factor: int = 1) -> Bool[Tensor, "batch 1 cells_h cells_w"]:
    """Where the condition map shows the body; with a factor, cells of that many pixels that it touches."""
    mask = condition.amax(dim=1, keepdim=True) > 0
    return mask if factor == 1 else F.max_pool2d(mask.float(), factor) > 0


def error_weight(
    condition: Float[Tensor, "batch 3 h w"], person_weight: float, head_weight: float, factor: int = 1
) -> Float[Tensor, "batch 1 cells_h cells_w"]:
    """How much a pixel (or cell, see `body_mask`) counts in a loss: more on the body, still more on its head; 1 on average."""
    head = condition * (condition[:, 1:2] >= HEAD_FROM)
    weight = 1.0 + person_weight * body_mask(condition, factor).float() + head_weight * body_mask(head, factor).float()
    return weight / weight.mean(dim=(1, 2, 3), keepdim=True)


def autoencoder_loss(
    model: Any,
    images: UInt8[np.ndarray, "count h w 3"],
    conditions: UInt8[np.ndarray, "count h w 3"],
    config: AutoencoderConfig,
    seed: int,
) -> LossAt:
    """Absolute error of the decoder's colours and of their differences between neighbours, more on the body. float32."""

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        rows = batch_at(seed, STAGE, step, config.loop.batch_size, len(images))[part]
        window = _window(images.shape[1], step, config, seed)
        pictures = to_signed(images[(rows, *window)])
        weight = error_weight(to_condition(conditions[(rows, *window)]), config.person_weight, config.head_weight)
        with torch.no_grad():
            latents = model.encode(pictures).latents
        shape = (config.loop.batch_size, *latents.shape[1:])
        noise = torch.randn(shape, generator=torch_generator(seed, STAGE, step, "noise"))[part]
        error = modules["decoder"](latents + config.noise * noise) - pictures
        edges = (error.diff(dim=2).abs() * weight[:, :, 1:]).mean() + (error.diff(dim=3).abs() * weight[..., 1:]).mean()
        return (error.abs() * weight).mean() + EDGE_WEIGHT * edges

    return loss_at


def _window(size: int, step: int, config: AutoencoderConfig, seed: int) -> tuple[slice, slice]:
    """The part of the pictures that a step sees: one square for the whole batch, or all."""
    crop = config.crop if step < config.loop.steps - config.whole_steps else size
    top, left = generator_for(seed, f"{STAGE}/{step}", "crop").integers(0, size - crop, endpoint=True, size=2)
    return slice(top, top + crop), slice(left, left + crop)


@torch.no_grad()
def encode_all(model: Any, images: UInt8[np.ndarray, "count h w 3"]) -> Float[Tensor, "count c h2 w2"]:
    """Latents of all pictures, float16."""
    batches = range(0, len(images), 64)
    return torch.cat([model.encode(to_signed(images[k : k + 64])).latents.half() for k in batches])


@torch.no_grad()
def patch_transform(model: Any, images: UInt8[np.ndarray, "count h w 3"]) -> Float[np.ndarray, " channels"]:
    """Sets the encoder to the principal components of the pictures' 4 x 4 patches; returns the latents' deviations.

    Latents are centred; deviations are the natural ones, over the largest, to the power of SCALE_EXPONENT.
    """
    layers = model.encoder.layers
    channels = layers[-1].out_channels
    colours = (to_signed(images) + 1.0) / 2.0
    patches = F.pixel_unshuffle(colours, 4).permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = patches.mean(dim=0)
    variances, axes = torch.linalg.eigh(torch.cov(patches.T))
    deviations, axes = variances.flip(0)[:channels].sqrt(), axes.flip(1)[:, :channels]
    # An eigenvector's sign is arbitrary: the largest entry is made positive.
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    wished = (deviations / deviations[0]) ** SCALE_EXPONENT
    rows = ((wished / deviations)[:, None] * axes.T).float()  # channels x (colour, y, x of the 4 x 4 patch)
    for layer in layers:
        layer.weight.zero_()
    for colour in range(3):
        layers[0].weight[colour, colour, 1, 1] = 1.0
        for y, x in np.ndindex(2, 2):  # with stride 2 and padding 1, taps 1 and 2 of the kernel meet the square itself
            layers[1].weight[4 * colour + 2 * y + x, colour, 1 + y, 1 + x] = 1.0
    layers[0].bias.zero_()
    patch = rows.reshape(
        channels, 3, 2, 2, 2, 2
    )  # channel, colour, upper/lower pair, y in it, left/right pair, x in it
    for pair_y, pair_x in np.ndindex(2, 2):
        taps = patch[:, :, pair_y, :, pair_x, :].reshape(channels, 12)
        layers[2].weight[:channels, :, 1 + pair_y, 1 + pair_x] = taps
    layers[3].weight[range(channels), range(channels), 1, 1] = 1.0
    layers[3].bias.copy_(-(rows.double() @ mean).float())
    return wished.numpy()


@torch.no_grad()
def reconstruct(model: Any, images: UInt8[np.ndarray, "count h w 3"]) -> UInt8[np.ndarray, "count h w 3"]:
    """The pictures, through the latents and back."""
    return to_pixels(model.decode(model.encode(to_signed(images)).latents).sample)


def to_pixels(signed: Float[Tensor, "batch 3 h w"]) -> UInt8[np.ndarray, "batch h w 3"]:
    """The inverse of `to_signed`, clipped and rounded."""
    return ((signed.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
