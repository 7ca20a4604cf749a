"""The denoiser: UNet, ControlNet and text encoder, trained to draw the body in one step and to keep it in those that follow.

It is drawn as consistency models are (Song et al. 2023; Luo et al. 2023, LCM; diffusers' LCMScheduler): clean latents are
predicted from pure noise, noise of the next level is laid over them, and so on. It is trained at all levels that LCM's scheduler
chooses from, so it can be drawn with any number of steps. There is no teacher: the targets are true latents.

Condition map and prompt say nearly all of a body. The mean of 24 renders of one body and prompt, in other light, with other
cuts of the clothes, was read by the judge as well as any one of them; one step from pure noise is to predict that mean, and a
denoiser that is trained at all levels alike hardly ever sees pure noise. So many of the pictures are trained there, most of them
as squares on the body, where a second of training teaches most: bodies were read at .87 of the OKS of true renders after an
hour, at .67 after three times as many pictures the usual way (docs/nano_model_card.md).

In the steps that follow, a denoiser that was trained on noised true latents believes what it sees, takes its own soft
predictions for what the picture shows, and keeps them soft: one step made bodies that the judge read at .75 of the OKS of true
renders, four steps made .67 of it. (The gap is known as exposure bias: Ning et al. 2023.) So it learns from latents that it
predicted itself, as Yin et al. 2024 (DMD2, section 4.5) do; the true latents stay the target. On the body, that is. Away from it
a picture of the same prompt may show anything, and a prediction has nothing to do with the true picture, so there only noised
true latents count.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from posedreamer.seeds import generator_for
from posedreamer.training.critic import adversarial_losses
from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, device_of, torch_generator
from posedreamer.training.nano_autoencoder import PatchKernel, body_mask, error_weight, to_condition, to_signed
from posedreamer.training.nano_config import DenoiserConfig
from posedreamer.training.nano_crops import Crops, cut, draw_crops, mirrored
from posedreamer.training.nano_guidance import Teacher, guided_share
from posedreamer.training.nano_reader import under_noise, unsaid

STAGE, CRITIC = "denoiser", "critic"
VALIDATION_BATCH = 32


class PictureTokens(NamedTuple):
    """What is trained on: pictures, the xyz maps of their bodies, the tokens of their prompts and of no prompt, the numbers of their
    attributes' values (`observing.number_attributes`), and how pictures become latents.

    Squares may begin at any pixel, and be mirrored: the same body then falls otherwise into the latents' cells. A cell's
    details are what a net learns last, and this shows it 128 times as many.
    """

    images: UInt8[np.ndarray, "count h w 3"]
    conditions: UInt8[np.ndarray, "count h w 3"]
    tokens: Int64[Tensor, "count length"]
    silence: Int64[Tensor, " length"]
    answers: Int64[Tensor, "count attributes"]
    kernel: PatchKernel

    @property
    def factor(self) -> int:
        """Pixels along the side of a latent cell."""
        return self.kernel.weight.shape[-1]

    def batch(
        self, rows: np.ndarray, crops: Crops, turned: Bool[np.ndarray, " batch"], device: torch.device
    ) -> tuple[Float[Tensor, "batch c h2 w2"], Float[Tensor, "batch 3 h w"], Int64[Tensor, "batch length"]]:
        """Latents and maps of the rows' squares as the nets take them, and their tokens. turned: those that are mirrored."""
        images, maps = cut(self.images, rows, crops), cut(self.conditions, rows, crops)
        images[turned], maps[turned] = mirrored(images[turned], maps[turned])
        latents = self.kernel.encode(to_signed(images).to(device))
        return latents, to_condition(maps).to(device), self.tokens[torch.from_numpy(rows)].to(device)


class Look(NamedTuple):
    """One step of the drawing for each picture: what the denoiser saw, and what it made of it.

    clean: predicted latents. loudness: of the noise in `noisy` (1 is pure noise). own: pictures whose noise was laid over a
    prediction, not over the true latents.
    """

    noisy: Float[Tensor, "batch c h2 w2"]
    clean: Float[Tensor, "batch c h2 w2"]
    loudness: Float[Tensor, "batch 1 1 1"]
    own: Bool[Tensor, "batch 1 1 1"]


class Draws(NamedTuple):
    """What chance decides for each picture of a batch: which of the scheduler's time steps it is trained at (0 is pure noise),
    whether it goes on from its own first prediction there, the noise of the first step and that of its own.
    """

    place: Int64[Tensor, " batch"]
    own: Bool[Tensor, " batch"]
    noise: Float[Tensor, "2 batch c h2 w2"]

    def of(self, part: slice) -> "Draws":
        """Those of a part of the batch."""
        return Draws(self.place[part], self.own[part], self.noise[:, part])

    def to(self, device: torch.device) -> "Draws":
        """The same on a device."""
        return Draws(*(values.to(device) for values in self))


def denoiser_loss(
    data: PictureTokens,
    scheduler: Any,
    config: DenoiserConfig,
    seed: int,
    precision: torch.dtype,
    teacher: Teacher | None = None,
    reader: nn.Module | None = None,
) -> LossAt:
    """The mean of `picture_errors` over a step's batch, what the critic finds, and what the reader does not.

    scheduler: the LCMScheduler that is drawn with. reader: a trained `LatentReader`, fixed.
    """
    size, whole, count = config.loop.batch_size, data.conditions.shape[1], len(data.conditions)
    set_all_times(scheduler)

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        rows = batch_at(seed, STAGE, step, size, count)
        side = config.crop if step < config.loop.steps - config.whole_steps else whole
        chance = generator_for(seed, f"{STAGE}/{step}", "crop")
        crops = draw_crops(data.conditions, rows, side, 1, config.head_share, config.body_share, chance).of(part)
        turned = chance.random(size)[part] < 0.5
        latents, maps, words = data.batch(rows[part], crops, turned, device_of(modules))
        is_silent = (
            torch.rand(size, generator=torch_generator(seed, STAGE, step, "silence"))[part] < config.silent_share
        )
        words = torch.where(is_silent[:, None].to(words.device), data.silence.to(words.device), words)
        seen = (latents, maps, words)
        draws = draw(config, (size, *latents.shape[1:]), len(scheduler.timesteps), seed, step).of(part)
        look, errors = picture_errors(modules, seen, draws, scheduler, config, data.factor, precision, teacher)
        loss, is_spoken = errors.mean(), ~is_silent
        if reader is not None and side == whole and is_spoken.any():
            read = under_noise(look.clean, size, part, seed, step)[is_spoken.to(latents.device)]
            with autocast(modules, precision):
                told = reader(read)
            answers = data.answers[torch.from_numpy(rows[part])][is_spoken].to(latents.device)
            loss = loss + config.reader_weight * unsaid(told, answers).sum() / len(is_spoken)
        is_later = draws.place.to(latents.device) > 0
        if config.critic_weight == 0 or not is_later.any():
            return loss
        with autocast(modules, precision), torch.no_grad():
            text = modules["text_encoder"](words[is_later]).last_hidden_state
        with autocast(modules, precision):
            disliked, mistaken = adversarial_losses(
                modules[CRITIC], look.clean[is_later], latents[is_later], maps[is_later], text
            )
        return loss + config.critic_weight * disliked + mistaken

    return loss_at


@torch.no_grad()
def validation_loss(
    modules: Modules, data: PictureTokens, scheduler: Any, config: DenoiserConfig, precision: torch.dtype
) -> float:
    """The training's loss on other pictures, whole ones, with steps and noise that are the same in every run."""
    count, side, errors = len(data.conditions), data.conditions.shape[1], []
    set_all_times(scheduler)
    cells = side // data.factor
    draws = draw(config, (count, len(data.kernel.bias), cells, cells), len(scheduler.timesteps), 0, -1)
    for first in range(0, count, VALIDATION_BATCH):
        part = slice(first, first + VALIDATION_BATCH)
        rows = np.arange(count)[part]
        corners = np.zeros(len(rows), dtype=np.int64)
        seen = data.batch(rows, Crops(corners, corners, side), np.zeros(len(rows), dtype=bool), device_of(modules))
        errors.append(picture_errors(modules, seen, draws.of(part), scheduler, config, data.factor, precision)[1])
    return float(torch.cat(errors).mean())


def picture_errors(
    modules: Modules,
    seen: tuple[Float[Tensor, "batch c h2 w2"], Float[Tensor, "batch 3 h w"], Int64[Tensor, "batch length"]],
    draws: Draws,
    scheduler: Any,
    config: DenoiserConfig,
    factor: int,
    precision: torch.dtype,
    teacher: Teacher | None = None,
) -> tuple[Look, Float[Tensor, " batch"]]:
    """Each picture's `Look`, and the mean square error of its velocity (`look_error`).

    seen: as `PictureTokens.batch` gives them. scheduler: its time steps are set. teacher: of guided targets; none: true ones.
    """
    clean, condition, words = seen
    with autocast(modules, precision):
        look = look_at(modules, clean, condition, words, draws.to(clean.device), scheduler)
        if teacher is not None:
            time = scheduler.timesteps.to(clean.device)[draws.place.to(clean.device)]
            change = what_words_change(teacher, look.noisy, time, words, condition)
            share = guided_share(condition, factor, draws.place.to(clean.device) == 0, config)
            clean = clean - look.loudness * share * change
    weight = error_weight(condition, config.person_weight, config.head_weight, factor)
    return look, look_error(look, clean, weight, near_body(condition, factor))


def set_all_times(scheduler: Any) -> None:
    """Gives the scheduler all time steps that it may draw with."""
    scheduler.set_timesteps(scheduler.config.original_inference_steps)


def draw(config: DenoiserConfig, shape: tuple[int, ...], times: int, seed: int, step: int) -> Draws:
    """For the whole batch of a step. shape: of its latents; times: number of time steps."""
    size = shape[0]
    shares = torch.tensor([config.first_share] + [(1.0 - config.first_share) / (times - 1)] * (times - 1))
    place = torch.multinomial(shares, size, replacement=True, generator=torch_generator(seed, STAGE, step, "place"))
    own = torch.rand(size, generator=torch_generator(seed, STAGE, step, "own")) < config.own_share
    noise = torch.randn((2, *shape), generator=torch_generator(seed, STAGE, step, "noise"))
    return Draws(place, own & (place > 0), noise)


def look_at(
    modules: Modules,
    clean: Float[Tensor, "batch c h2 w2"],
    condition: Float[Tensor, "batch 3 h w"],
    words: Int64[Tensor, "batch length"],
    draws: Draws,
    scheduler: Any,
) -> Look:
    """Each picture at its step of the drawing. No gradient goes from what is seen to where that comes from.

    clean: true latents. scheduler: its time steps are set.
    """
    device = clean.device
    alphas = scheduler.alphas_cumprod.to(device)
    times = scheduler.timesteps.to(device)
    base, own = clean, draws.own
    if own.any():
        first = times[:1].expand(int(own.sum()))
        with torch.no_grad():
            velocity = predict(modules, draws.noise[0, own], first, words[own], condition[own])
        base = clean.clone()
        base[own] = alphas[first[0]].sqrt() * draws.noise[0, own] - (1.0 - alphas[first[0]]).sqrt() * velocity.float()
    time = times[draws.place]
    signal, loudness = (level.sqrt()[:, None, None, None] for level in (alphas[time], 1.0 - alphas[time]))
    is_first = (draws.place == 0)[:, None, None, None]
    noisy = torch.where(is_first, draws.noise[0], signal * base + loudness * draws.noise[1])
    velocity = predict(modules, noisy, time, words, condition)
    return Look(noisy, signal * noisy - loudness * velocity.float(), loudness, own[:, None, None, None])


@torch.no_grad()
def what_words_change(
    teacher: Teacher,
    noisy: Float[Tensor, "batch c h2 w2"],
    times: Int64[Tensor, " batch"],
    words: Int64[Tensor, "batch length"],
    condition: Float[Tensor, "batch 3 h w"],
) -> Float[Tensor, "batch c h2 w2"]:
    """The teacher's velocity with the words less that without."""
    silent = teacher.silence.to(words.device).expand_as(words)
    told, plain = (predict(teacher.modules, noisy, times, said, condition).float() for said in (words, silent))
    return told - plain


def predict(
    modules: Mapping[str, Any],
    noisy: Float[Tensor, "batch c h2 w2"],
    times: Int64[Tensor, " batch"],
    words: Int64[Tensor, "batch length"],
    condition: Float[Tensor, "batch 3 h w"],
) -> Tensor:
    """The UNet's output, a velocity, under the ControlNet, as the pipeline computes it."""
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    text = modules["text_encoder"](words).last_hidden_state
    down, middle = modules["controlnet"](noisy, times, text, condition, return_dict=False)
    return modules["unet"](
        noisy,
        times,
        encoder_hidden_states=text,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]


def look_error(
    look: Look,
    clean: Float[Tensor, "batch c h2 w2"],
    weight: Float[Tensor, "batch 1 h2 w2"],
    near: Bool[Tensor, "batch 1 h2 w2"],
) -> Float[Tensor, " batch"]:
    """The error of each look's velocity, that of its clean latents over `loudness`; of own latents near the body only."""
    error = ((look.clean - clean) / look.loudness).square()
    return (error * torch.where(look.own, weight * near, weight)).mean(dim=(1, 2, 3))


def near_body(condition: Float[Tensor, "batch 3 h w"], factor: int) -> Bool[Tensor, "batch 1 cells_h cells_w"]:
    """Cells that touch the body, and their neighbours: clothes and hair are wider than it."""
    touched = F.max_pool2d(body_mask(condition).float(), factor)
    return F.max_pool2d(touched, 3, stride=1, padding=1) > 0
