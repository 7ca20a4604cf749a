"""The student of few steps: the denoiser, trained on its own way from noise to latents.

It is drawn as consistency models are (Luo et al. 2023, LCM; diffusers' LCMScheduler): clean latents are predicted in one step,
noise of the next level is laid over them, and so on.

A denoiser that was trained on noised true latents believes what it sees there. Drawn, it sees its own predictions, whose faces
and hands are still soft, takes them for what the picture shows, and keeps them soft: one step from pure noise made bodies that
the judge read at .75 of the OKS of true renders, four steps made .67 of it. (The gap is known as exposure bias: Ning et al.
2023.) So the student learns from latents that it predicted itself, as Yin et al. 2024 (DMD2, section 4.5) do; the true latents
stay the target. On the body, that is: condition map and prompt say nearly all of it. Away from the body a picture of the same
prompt may show anything, and a prediction has nothing to do with the true picture, so there only noised true latents count.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, device_of, torch_generator
from posedreamer.training.nano_autoencoder import body_mask, error_weight
from posedreamer.training.nano_config import StudentConfig
from posedreamer.training.nano_diffusion import LatentSet, predict

STAGE = "student"


class Look(NamedTuple):
    """One step of a walk: what the student saw, what it made of it, and whose predictions those latents came from.

    clean: predicted latents. loudness: of the noise in `noisy` (1 is pure noise). own: pictures whose noise was laid over the
    student's prediction, not over the true latents.
    """

    noisy: Float[Tensor, "batch c h2 w2"]
    clean: Float[Tensor, "batch c h2 w2"]
    loudness: Float[Tensor, " batch 1 1 1"]
    own: Bool[Tensor, "batch 1 1 1"]


def student_loss(
    data: LatentSet,
    text_encoder: nn.Module,
    scheduler: Any,
    config: StudentConfig,
    seed: int,
    precision: torch.dtype,
) -> LossAt:
    """Mean square error of the velocities along the walk of each picture of the batch (`walk`, `look_error`).

    scheduler: the LCMScheduler that the student is drawn with. text_encoder: the denoiser's, which stays as it is; the modules
    trained are UNet and ControlNet.
    """
    size = config.loop.batch_size
    scheduler.set_timesteps(config.steps)
    times, alphas_cumprod = scheduler.timesteps, scheduler.alphas_cumprod

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        device = device_of(modules)
        shape = (config.steps, size, *data.latents.shape[1:])
        noise = torch.randn(shape, generator=torch_generator(seed, STAGE, step, "noise"))[:, part].to(device)
        draws = torch.rand(config.steps, size, generator=torch_generator(seed, STAGE, step, "own"))[:, part]
        clean, condition, words = data.batch(batch_at(seed, STAGE, step, size, len(data.latents))[part], device)
        own = (draws < config.own_share).to(device)
        with autocast(modules, precision):
            every = {**modules, "text_encoder": text_encoder}
            looks = walk(every, clean, condition, words.to(device), noise, own, times, alphas_cumprod)
        weight = error_weight(condition, config.person_weight, config.head_weight, data.factor)
        near = near_body(condition, data.factor)
        return torch.stack([look_error(look, clean, weight, near) for look in looks]).mean()

    return loss_at


def walk(
    modules: Modules,
    clean: Float[Tensor, "batch c h2 w2"],
    condition: Float[Tensor, "batch 3 h w"],
    words: Int64[Tensor, "batch length"],
    noise: Float[Tensor, "steps batch c h2 w2"],
    own: Bool[Tensor, "steps batch"],
    times: Int64[Tensor, " steps"],
    alphas_cumprod: Float[Tensor, " times"],
) -> list[Look]:
    """The student's steps from pure noise to latents, without a gradient from one to the one before.

    clean: true latents. own: which pictures of a step go on from what the step before predicted; the others go on from `clean`.
    """
    looks: list[Look] = []
    base, is_own = clean, torch.zeros_like(own[0])[:, None, None, None]
    for place, time in enumerate(times.tolist()):
        signal, loudness = alphas_cumprod[time].sqrt(), (1.0 - alphas_cumprod[time]).sqrt()
        if looks:
            is_own = own[place][:, None, None, None]
            base = torch.where(is_own, looks[-1].clean.detach(), clean)
        noisy = signal * base + loudness * noise[place]
        velocity = predict(modules, noisy, torch.full((len(clean),), time, device=clean.device), words, condition)
        found = signal * noisy - loudness * velocity.float()
        looks.append(Look(noisy, found, loudness.to(clean.device).expand(len(clean))[:, None, None, None], is_own))
    return looks


def look_error(
    look: Look,
    clean: Float[Tensor, "batch c h2 w2"],
    weight: Float[Tensor, "batch 1 h2 w2"],
    near: Bool[Tensor, "batch 1 h2 w2"],
) -> Tensor:
    """The error of the look's velocity, that of its clean latents over `loudness`; of own latents near the body only."""
    error = ((look.clean - clean) / look.loudness).square()
    return (error * torch.where(look.own, weight * near, weight)).mean()


def near_body(condition: Float[Tensor, "batch 3 h w"], factor: int) -> Bool[Tensor, "batch 1 cells_h cells_w"]:
    """Cells that touch the body, and their neighbours: clothes and hair are wider than it."""
    touched = F.max_pool2d(body_mask(condition).float(), factor)
    return F.max_pool2d(touched, 3, stride=1, padding=1) > 0
