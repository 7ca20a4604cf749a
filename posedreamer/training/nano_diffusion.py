"""The denoiser's loss: velocity prediction with normally distributed logarithms of the noise level.

For latents of unit variance this is the preconditioning and loss weight of Karras et al. 2022 (EDM, table 1), written in the
variance-preserving form that Stable Diffusion pipelines expect.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, device_of, torch_generator
from posedreamer.training.nano_autoencoder import error_weight, to_condition
from posedreamer.training.nano_config import DenoiserConfig, EmphasisConfig

STAGE = "denoiser"


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
    """Mean square error of the velocity, with more weight on the body and its head."""
    size = config.loop.batch_size

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        # Drawn for the whole batch, so that a picture's noise does not depend on how many threads share the batch.
        device, emphasis = device_of(modules), config.emphasis_at(step)
        times = draw_times(size, alphas_cumprod, emphasis, torch_generator(seed, STAGE, step, "time"))[part]
        dropped = (
            torch.rand(size, generator=torch_generator(seed, STAGE, step, "caption"))[part] < config.caption_dropout
        )
        shape = (size, *data.latents.shape[1:])
        noise = torch.randn(shape, generator=torch_generator(seed, STAGE, step, "noise"))[part].to(device)
        clean, condition, tokens = data.batch(batch_at(seed, STAGE, step, size, len(data.latents))[part], device)
        words = torch.where(dropped[:, None], data.empty, tokens).to(device)
        signal = alphas_cumprod[times].sqrt()[:, None, None, None].to(device)
        loudness = (1.0 - alphas_cumprod[times]).sqrt()[:, None, None, None].to(device)
        weight = error_weight(condition, emphasis.person_weight, emphasis.head_weight, data.factor)
        with autocast(modules, precision):
            velocity = predict(modules, signal * clean + loudness * noise, times.to(device), words, condition)
        return ((velocity.float() - (signal * noise - loudness * clean)).square() * weight).mean()

    return loss_at


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
    levels = 0.5 * torch.log((1.0 - alphas_cumprod) / alphas_cumprod)
    wished = emphasis.noise_mean + emphasis.noise_std * torch.randn(count, generator=generator)
    after = torch.searchsorted(levels, wished).clamp(1, len(levels) - 1)
    nearer = (levels[after] - wished < wished - levels[after - 1]).long()
    return after - 1 + nearer
