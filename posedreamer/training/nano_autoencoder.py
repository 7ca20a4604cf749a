"""The nano autoencoder: its loss, the change of basis that is baked into it, and the latents of a whole data set.

Diffusion treats all latent channels alike, so their scales decide what it attends to. Equal scales make unpredictable texture
as loud as the body; natural ones nearly silence it. `bake_basis` turns the channels to principal axes and takes the square
root of the natural scales, in the 1x1 convolutions at the autoencoder's waist, so that `scaling_factor` stays 1.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from posedreamer.seeds import generator_for
from posedreamer.training.nano_config import AutoencoderConfig
from posedreamer.training.nano_loop import LossAt, batch_at, torch_generator
from posedreamer.training.nano_model import fix_posterior

STAGE = "autoencoder"
SCALE_EXPONENT = 0.5  # standard deviations of the baked channels: natural ones, over the largest, to this power
EDGE_WEIGHT = 1.0


def to_signed(images: UInt8[np.ndarray, "batch h w 3"]) -> Float[Tensor, "batch 3 h w"]:
    """Pictures as the autoencoder takes them: [-1, 1], channels first (channels-last in memory)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_condition(maps: UInt8[np.ndarray, "batch h w 3"]) -> Float[Tensor, "batch 3 h w"]:
    """Condition maps as the ControlNet takes them: [0, 1], channels first."""
    return torch.from_numpy(maps).permute(0, 3, 1, 2).float() / 255.0


def body_mask(condition: Float[Tensor, "batch 3 h w"], factor: int = 1) -> Bool[Tensor, "batch 1 cells_h cells_w"]:
    """Where the condition map shows the body; with a factor, cells of that many pixels that it touches."""
    mask = condition.amax(dim=1, keepdim=True) > 0
    return mask if factor == 1 else F.max_pool2d(mask.float(), factor) > 0


def autoencoder_loss(
    model: Any,
    images: UInt8[np.ndarray, "count h w 3"],
    conditions: UInt8[np.ndarray, "count h w 3"],
    config: AutoencoderConfig,
    seed: int,
) -> LossAt:
    """Absolute error of colours and of their differences between neighbours, more on the body, plus the latents' penalty.

    In float32: with so few channels at full resolution bfloat16 is slower (35 against 45 pictures a second on two cores).
    """

    def loss_at(step: int) -> Tensor:
        rows = batch_at(seed, STAGE, step, config.loop.batch_size, len(images))
        window = _window(images.shape[1], step, config, seed)
        pictures = to_signed(images[(rows, *window)])
        weight = 1.0 + config.person_weight * body_mask(to_condition(conditions[(rows, *window)])).float()
        weight = weight / weight.mean()
        posterior = model.encode(pictures).latent_dist
        latents = posterior.sample(torch_generator(seed, STAGE, step, "noise"))
        error = model.decode(latents).sample - pictures
        edges = (error.diff(dim=2).abs() * weight[:, :, 1:]).mean() + (error.diff(dim=3).abs() * weight[..., 1:]).mean()
        return (error.abs() * weight).mean() + EDGE_WEIGHT * edges + config.penalty * posterior.mean.square().mean()

    return loss_at


def _window(size: int, step: int, config: AutoencoderConfig, seed: int) -> tuple[slice, slice]:
    """The part of the pictures that a step sees: one square for the whole batch, or all."""
    crop = config.crop if step < config.loop.steps - config.whole_steps else size
    top, left = generator_for(seed, f"{STAGE}/{step}", "crop").integers(0, size - crop, endpoint=True, size=2)
    return slice(top, top + crop), slice(left, left + crop)


@torch.no_grad()
def encode_all(
    model: Any, images: UInt8[np.ndarray, "count h w 3"], batch_size: int = 64
) -> Float[Tensor, "count c h2 w2"]:
    """Latent means of all pictures, float16."""
    model.eval()
    batches = range(0, len(images), batch_size)
    return torch.cat([model.encode(to_signed(images[k : k + batch_size])).latent_dist.mean.half() for k in batches])


@torch.no_grad()
def bake_basis(model: Any, images: UInt8[np.ndarray, "count h w 3"]) -> Float[np.ndarray, " channels"]:
    """Centres, turns and scales the latent channels in place; decoded pictures stay the same. Returns their deviations."""
    latents = encode_all(model, images).float().permute(1, 0, 2, 3).flatten(1).double()
    mean = latents.mean(dim=1)
    variances, axes = torch.linalg.eigh(torch.cov(latents))
    order = torch.argsort(variances, descending=True)
    deviations, axes = variances[order].sqrt(), axes[:, order]
    wished = (deviations / deviations[0]) ** SCALE_EXPONENT
    into = (wished / deviations)[:, None] * axes.T
    back = axes * (deviations / wished)
    channels = len(mean)
    enter, leave = model.quant_conv, model.post_quant_conv
    noise = float(torch.exp(0.5 * enter.bias[channels]) * (wished / deviations).mean())
    weight, bias = enter.weight[:channels, :, 0, 0].double(), enter.bias[:channels].double()
    enter.weight[:channels, :, 0, 0] = (into @ weight).float()
    enter.bias[:channels] = (into @ (bias - mean)).float()
    weight, bias = leave.weight[:, :, 0, 0].double(), leave.bias.double()
    leave.weight[:, :, 0, 0] = (weight @ back).float()
    leave.bias.copy_((weight @ mean + bias).float())
    fix_posterior(model, noise)
    return wished.numpy()


@torch.no_grad()
def reconstruct(model: nn.Module, images: UInt8[np.ndarray, "count h w 3"]) -> UInt8[np.ndarray, "count h w 3"]:
    """The pictures, through the latents and back."""
    model.eval()
    decoded = model.decode(model.encode(to_signed(images)).latent_dist.mean).sample  # pyright: ignore[reportCallIssue]
    return to_pixels(decoded)


def to_pixels(signed: Float[Tensor, "batch 3 h w"]) -> UInt8[np.ndarray, "batch h w 3"]:
    """The inverse of `to_signed`, clipped and rounded."""
    return ((signed.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
