"""The denoiser's loss: velocity prediction with normally distributed logarithms of the noise level.

For latents of unit variance this is the preconditioning and loss weight of Karras et al. 2022 (EDM, table 1), written in the
variance-preserving form that Stable Diffusion pipelines expect.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, device_of, torch_generator
from posedreamer.training.nano_autoencoder import error_weight, to_condition
from posedreamer.training.nano_config import DenoiserConfig, EmphasisConfig

STAGE = "denoiser"
VALIDATION_BATCH = 32


class LatentSet(NamedTuple):
    """What is trained on: the latents of pictures, the xyz maps of their bodies, the tokens of their prompts and of no prompt."""

    latents: Float[Tensor, "count c h2 w2"]
    conditions: UInt8[np.ndarray, "count h w 3"]
    tokens: Int64[Tensor, "count length"]
    empty: Int64[Tensor, " length"]

    @property
    def factor(self) -> int:
        """Pixels along the side of a latent cell."""
        return self.conditions.shape[1] // self.latents.shape[2]

    def batch(
        self, rows: np.ndarray, device: torch.device
    ) -> tuple[Float[Tensor, "batch c h2 w2"], Float[Tensor, "batch 3 h w"], Int64[Tensor, "batch length"]]:
        """Latents and maps of the rows as the nets take them, on the device, and their tokens."""
        places = torch.from_numpy(rows)
        condition = to_condition(self.conditions[rows])
        return self.latents[places].float().to(device), condition.to(device), self.tokens[places]


def diffusion_loss(
    data: LatentSet,
    alphas_cumprod: Float[Tensor, " steps"],
    config: DenoiserConfig,
    seed: int,
    precision: torch.dtype,
) -> LossAt:
    """The mean of `velocity_error` over a step's batch, with captions dropped."""
    size = config.loop.batch_size

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        # Drawn for the whole batch, so that a picture's noise does not depend on how many threads share the batch.
        emphasis = config.emphasis_at(step)
        times = draw_times(size, alphas_cumprod, emphasis, torch_generator(seed, STAGE, step, "time"))[part]
        dropped = (
            torch.rand(size, generator=torch_generator(seed, STAGE, step, "caption"))[part] < config.caption_dropout
        )
        shape = (size, *data.latents.shape[1:])
        noise = torch.randn(shape, generator=torch_generator(seed, STAGE, step, "noise"))[part]
        rows = batch_at(seed, STAGE, step, size, len(data.latents))[part]
        return velocity_error(modules, data, rows, times, noise, dropped, alphas_cumprod, emphasis, precision).mean()

    return loss_at


@torch.no_grad()
def validation_loss(
    modules: Modules,
    data: LatentSet,
    alphas_cumprod: Float[Tensor, " steps"],
    emphasis: EmphasisConfig,
    precision: torch.dtype,
) -> float:
    """The training's loss on other pictures, all with their prompts, at noise levels that are the same in every run.

    Levels are the quantiles of those trained at, one a picture, and the noise has a seed of its own: so runs of different
    seeds can be compared.
    """
    count = len(data.latents)
    quantiles = (torch.arange(count) + 0.5) / count
    times = nearest_times(emphasis.noise_mean + emphasis.noise_std * torch.special.ndtri(quantiles), alphas_cumprod)
    noise = torch.randn(data.latents.shape, generator=torch_generator(0, STAGE, 0, "validation"))
    errors = []
    for rows in np.array_split(np.arange(count), math.ceil(count / VALIDATION_BATCH)):
        dropped = torch.zeros(len(rows), dtype=torch.bool)
        part = (times[rows], noise[rows], dropped)
        errors.append(velocity_error(modules, data, rows, *part, alphas_cumprod, emphasis, precision))
    return float(torch.cat(errors).mean())


def velocity_error(
    modules: Modules,
    data: LatentSet,
    rows: np.ndarray,
    times: Int64[Tensor, " batch"],
    noise: Float[Tensor, "batch c h2 w2"],
    dropped: Bool[Tensor, " batch"],
    alphas_cumprod: Float[Tensor, " steps"],
    emphasis: EmphasisConfig,
    precision: torch.dtype,
) -> Float[Tensor, " batch"]:
    """Mean square error of each picture's velocity, with more weight on the body and its head. dropped: without their prompts."""
    device = device_of(modules)
    clean, condition, tokens = data.batch(rows, device)
    noise, words = noise.to(device), torch.where(dropped[:, None], data.empty, tokens).to(device)
    signal = alphas_cumprod[times].sqrt()[:, None, None, None].to(device)
    loudness = (1.0 - alphas_cumprod[times]).sqrt()[:, None, None, None].to(device)
    weight = error_weight(condition, emphasis.person_weight, emphasis.head_weight, data.factor)
    with autocast(modules, precision):
        velocity = predict(modules, signal * clean + loudness * noise, times.to(device), words, condition)
    return ((velocity.float() - (signal * noise - loudness * clean)).square() * weight).mean(dim=(1, 2, 3))


def predict(
    modules: Mapping[str, Any],
    noisy: Float[Tensor, "batch c h2 w2"],
    times: Int64[Tensor, " batch"],
    words: Int64[Tensor, "batch length"],
    condition: Float[Tensor, "batch 3 h w"],
    controlnet_scale: float = 1.0,
) -> Tensor:
    """The UNet's output under the ControlNet, as the pipeline computes it."""
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    text = modules["text_encoder"](words).last_hidden_state
    down, middle = modules["controlnet"](
        noisy, times, text, condition, conditioning_scale=controlnet_scale, return_dict=False
    )
    return modules["unet"](
        noisy,
        times,
        encoder_hidden_states=text,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]


def draw_times(
    count: int, alphas_cumprod: Float[Tensor, " steps"], emphasis: EmphasisConfig, generator: torch.Generator
) -> Int64[Tensor, " count"]:
    """Time steps whose noise levels are log-normal, rounded to the scheduler's."""
    return nearest_times(
        emphasis.noise_mean + emphasis.noise_std * torch.randn(count, generator=generator), alphas_cumprod
    )


def nearest_times(wished: Float[Tensor, " count"], alphas_cumprod: Float[Tensor, " steps"]) -> Int64[Tensor, " count"]:
    """The time steps whose logarithms of the noise level are nearest to the wished ones."""
    levels = 0.5 * torch.log((1.0 - alphas_cumprod) / alphas_cumprod)
    after = torch.searchsorted(levels, wished).clamp(1, len(levels) - 1)
    nearer = (levels[after] - wished < wished - levels[after - 1]).long()
    return after - 1 + nearer
