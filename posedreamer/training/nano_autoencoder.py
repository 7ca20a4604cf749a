"""The nano autoencoder's loss, and the latents of a whole data set.

Encoder and decoder are trained together: colours, edges and features of the picture, with more weight on the body and its
head; latents are kept near mean 0 and deviation 1, and a little noise is added to them, so that diffusion can work on them
as they are and small errors of its own do not show. There is no Kullback-Leibler term and no discriminator.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from posedreamer.seeds import generator_for
from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, torch_generator
from posedreamer.training.nano_config import AutoencoderConfig
from posedreamer.training.perceptual import PerceptualDistance

STAGE = "autoencoder"
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
    images: UInt8[np.ndarray, "count h w 3"],
    conditions: UInt8[np.ndarray, "count h w 3"],
    config: AutoencoderConfig,
    seed: int,
    precision: torch.dtype,
    device: str,
) -> LossAt:
    """Absolute error of colours and of their differences between neighbours, distance of features, spread of the latents."""
    distance = PerceptualDistance(device) if config.perceptual_weight > 0 else None

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        rows = batch_at(seed, STAGE, step, config.loop.batch_size, len(images))[part]
        window = _window(images.shape[1], step, config, seed)
        pictures = to_signed(images[(rows, *window)]).to(device, memory_format=torch.channels_last)
        maps = to_condition(conditions[(rows, *window)]).to(device)
        weight = error_weight(maps, config.person_weight, config.head_weight)
        cells = pictures.shape[2] // 2 ** (len(config.encoder_blocks) - 1)
        shape = (config.loop.batch_size, config.latent_channels, cells, cells)
        noise = torch.randn(shape, generator=torch_generator(seed, STAGE, step, "noise"))[part].to(device)
        with autocast(modules, precision):
            latents = modules["encoder"](pictures).float()
            shown = modules["decoder"](latents + config.noise * noise)
            features = distance(shown, pictures) if distance is not None else torch.zeros((), device=device)
        error = shown.float() - pictures
        edges = (error.diff(dim=2).abs() * weight[:, :, 1:]).mean() + (error.diff(dim=3).abs() * weight[..., 1:]).mean()
        colours = (error.abs() * weight).mean() + EDGE_WEIGHT * edges
        return colours + config.perceptual_weight * features + config.spread_weight * spread(latents)

    return loss_at


def spread(latents: Float[Tensor, "batch c cells_h cells_w"]) -> Float[Tensor, ""]:
    """How far the channels are from mean 0 and deviation 1 over batch and cells: mean squares, summed; 0 at best."""
    means, deviations = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    return means.square().mean() + (deviations - 1.0).square().mean()


def _window(size: int, step: int, config: AutoencoderConfig, seed: int) -> tuple[slice, slice]:
    """The part of the pictures that a step sees: one square for the whole batch, or all."""
    crop = config.crop if step < config.loop.steps - config.whole_steps else size
    top, left = generator_for(seed, f"{STAGE}/{step}", "crop").integers(0, size - crop, endpoint=True, size=2)
    return slice(top, top + crop), slice(left, left + crop)


@torch.no_grad()
def encode_all(model: Any, images: UInt8[np.ndarray, "count h w 3"]) -> Float[Tensor, "count c h2 w2"]:
    """Latents of all pictures, float16, on the CPU."""
    device = next(model.parameters()).device
    batches = range(0, len(images), 64)
    return torch.cat([model.encode(to_signed(images[k : k + 64]).to(device)).latents.half().cpu() for k in batches])


@torch.no_grad()
def reconstruct(model: Any, images: UInt8[np.ndarray, "count h w 3"]) -> UInt8[np.ndarray, "count h w 3"]:
    """The pictures, through the latents and back."""
    device = next(model.parameters()).device
    return to_pixels(model.decode(model.encode(to_signed(images).to(device)).latents).sample)


def to_pixels(signed: Float[Tensor, "batch 3 h w"]) -> UInt8[np.ndarray, "batch h w 3"]:
    """The inverse of `to_signed`, clipped and rounded."""
    return ((signed.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
