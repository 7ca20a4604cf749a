"""Distillation into few steps: progressive (Salimans and Ho 2022), with the guidance baked in (Meng et al. 2023).

From noisy latents the teacher takes `substeps` guided steps of DDIM; the student learns to be there in one, without guidance.
The student's times are those of DDIM's trailing grid, so it is drawn with as many steps as it was trained for.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, device_of, torch_generator
from posedreamer.training.nano_autoencoder import error_weight
from posedreamer.training.nano_config import DistillationConfig
from posedreamer.training.nano_diffusion import LatentSet, predict

STAGE = "student"


class Level(NamedTuple):
    """How much of clean latents (signal) and of noise there is at a time, shaped to multiply a batch."""

    signal: Float[Tensor, "batch 1 1 1"]
    noise: Float[Tensor, "batch 1 1 1"]


def trailing_times(steps: int, num_times: int) -> Int64[Tensor, " steps"]:
    """The times at which a student of so many steps looks, noisiest first: diffusers' `trailing` spacing."""
    return torch.from_numpy(np.round(np.arange(num_times, 0, -num_times / steps)).astype(np.int64) - 1)


def level_at(times: Int64[Tensor, " batch"], alphas_cumprod: Float[Tensor, " times"]) -> Level:
    """The level of each time; -1 is the end, where nothing is noise."""
    alphas = torch.where(times < 0, torch.ones(()), alphas_cumprod[times.clamp(min=0)])[:, None, None, None]
    return Level(alphas.sqrt(), (1.0 - alphas).sqrt())


def ddim_step(noisy: Tensor, velocity: Tensor, here: Level, there: Level) -> Tensor:
    """The latents at `there`, were the velocity right."""
    clean = here.signal * noisy - here.noise * velocity
    return there.signal * clean + there.noise * (here.noise * noisy + here.signal * velocity)


def velocity_between(noisy: Tensor, reached: Tensor, here: Level, there: Level) -> Tensor:
    """The velocity with which one DDIM step leads from `noisy` to `reached` (Salimans and Ho 2022, equation 10)."""
    share = there.noise / here.noise
    clean = (reached - share * noisy) / (there.signal - share * here.signal)
    return (here.signal * noisy - clean) / here.noise


def distillation_loss(
    teacher: Mapping[str, Any],
    data: LatentSet,
    alphas_cumprod: Float[Tensor, " times"],
    config: DistillationConfig,
    seed: int,
    precision: torch.dtype,
) -> LossAt:
    """Mean square error of the student's velocity, with more weight on the body; the teacher's text encoder serves both."""
    size = config.loop.batch_size
    grid = trailing_times(config.steps, len(alphas_cumprod))
    text_encoder = {"text_encoder": teacher["text_encoder"]}

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        device = device_of(modules)
        places = torch.randint(len(grid), (size,), generator=torch_generator(seed, STAGE, step, "time"))[part]
        shape = (size, *data.latents.shape[1:])
        noise = torch.randn(shape, generator=torch_generator(seed, STAGE, step, "noise"))[part].to(device)
        clean, condition, tokens = data.batch(batch_at(seed, STAGE, step, size, len(data.latents))[part], device)
        start, end = grid[places], torch.cat([grid[1:], torch.tensor([-1])])[places]
        words = tokens.to(device)
        here, there = (_to(level_at(times, alphas_cumprod), device) for times in (start, end))
        noisy = here.signal * clean + here.noise * noise
        with torch.no_grad(), autocast(modules, precision):
            reached = guided_steps(
                teacher, noisy, start, end, words, data.empty.to(device), condition, alphas_cumprod, config
            )
        wished = velocity_between(noisy, reached, here, there)
        weight = error_weight(condition, config.person_weight, config.head_weight, data.factor)
        with autocast(modules, precision):
            velocity = predict({**modules, **text_encoder}, noisy, start.to(device), words, condition)
        return ((velocity.float() - wished).square() * weight).mean()

    return loss_at


def guided_steps(
    teacher: Mapping[str, Any],
    noisy: Float[Tensor, "batch c h2 w2"],
    start: Int64[Tensor, " batch"],
    end: Int64[Tensor, " batch"],
    words: Int64[Tensor, "batch length"],
    empty: Int64[Tensor, " length"],
    condition: Float[Tensor, "batch 3 h w"],
    alphas_cumprod: Float[Tensor, " times"],
    config: DistillationConfig,
) -> Tensor:
    """Where the teacher is at `end` after `substeps` steps of DDIM under classifier-free guidance."""
    both = torch.cat([words, empty.expand_as(words)])
    for substep in range(config.substeps):
        times, then = (start + (end - start) * (substep + k) // config.substeps for k in (0, 1))
        here, there = (_to(level_at(at, alphas_cumprod), noisy.device) for at in (times, then))
        asked = predict(
            teacher, noisy.repeat(2, 1, 1, 1), times.repeat(2).to(noisy.device), both, condition.repeat(2, 1, 1, 1),
            config.controlnet_scale,
        )  # fmt: skip
        with_text, without = asked.float().chunk(2)
        noisy = ddim_step(noisy, without + config.guidance * (with_text - without), here, there)
    return noisy


def _to(level: Level, device: torch.device) -> Level:
    return Level(level.signal.to(device), level.noise.to(device))
