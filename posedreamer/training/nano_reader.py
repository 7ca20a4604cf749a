"""A reader of latents: what a picture shows of its prompt's attributes, and by that a loss which asks predictions to show it.

Away from the body nothing true is left to learn from once the denoiser goes on from its own predictions (nano_denoiser.py), and
the mean of all scenes of a prompt, which one step from pure noise predicts, is a blur: the observer named the scene of half the
generated pictures, and of .96 of true renders. So a small net learns to tell the attributes from true latents, noisy and blurred
ones too; then it is fixed, and the denoiser also learns to draw what it can read (as a reward is backpropagated through the last step
of the drawing: Clark et al. 2024, DRaFT-1; Xu et al. 2023, ImageReward). Without the noise, or
with a little, it was soon pleased by faint textures: it read .98 of the scenes, the observer half of them, as before. It never
sees pixels; the observer that the measuring is done by is another net, of
other training, and tells whether more than this net's taste was learnt.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from posedreamer.estimators.blocks import Block
from posedreamer.rendering.attributes import VALUES
from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, device_of, torch_generator
from posedreamer.training.loop_config import LoopConfig

STAGE = "reader"
WIDTHS = (64, 96, 128)  # channels at the latents' cells, at half and at a quarter of them
NOISE = 2.0  # standard deviation of the noise that latents are read under, at most; theirs is about 1


class LatentReader(nn.Module):
    """Logits of each attribute's values, in the order of VALUES; each attribute attends to the places that tell it."""

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.enter = Block(latent_channels, fine)
        self.middle = Block(fine, middle, 2)
        self.coarse = Block(middle, coarse, 2)
        self.up = Block(coarse + middle, middle)
        self.look = nn.Conv2d(middle, len(VALUES), 1)
        self.heads = nn.ModuleList(nn.Linear(middle, len(values)) for values in VALUES.values())

    def forward(self, latents: Float[Tensor, "batch c h w"]) -> list[Float[Tensor, "batch _values"]]:
        middle = self.middle(self.enter(latents))
        coarse = F.interpolate(self.coarse(middle), scale_factor=2, mode="nearest")
        seen = self.up(torch.cat([coarse, middle], dim=1))
        attention = self.look(seen).flatten(2).softmax(dim=2)
        pooled = torch.einsum("bap,bcp->bac", attention, seen.flatten(2))
        return [head(pooled[:, place]) for place, head in enumerate(self.heads)]


def reader_loss(
    latents_at: Callable[[Int64[np.ndarray, " batch"], Bool[np.ndarray, " batch"]], Float[Tensor, "batch c h w"]],
    answers: Int64[Tensor, "count attributes"],
    config: LoopConfig,
    seed: int,
    precision: torch.dtype,
) -> LossAt:
    """What the reader is trained by: cross-entropy of the attributes of true latents, blurred and under noise of any strength.

    latents_at: of the whole pictures of those rows, the marked ones mirrored. answers: as `observing.number_attributes` gives them.
    """

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        device, size = device_of(modules), config.batch_size
        rows = batch_at(seed, STAGE, step, size, len(answers))[part]
        turned = torch.rand(size, generator=torch_generator(seed, STAGE, step, "turned"))[part] < 0.5
        shown = under_noise(latents_at(rows, turned.numpy()), size, part, seed, step)
        with autocast(modules, precision):
            told = modules[STAGE](shown.to(device))
        return unsaid(told, answers[torch.from_numpy(rows)].to(device)).mean()

    return loss_at


def under_noise(
    latents: Float[Tensor, "batch c h w"], size: int, part: slice, seed: int, step: int
) -> Float[Tensor, "batch c h w"]:
    """Latents with noise of any strength up to NOISE; `latents` are that part of a step's batch of `size`."""
    rng = torch_generator(seed, STAGE, step, "noise")
    loudness, noise = torch.rand((size, 1, 1, 1), generator=rng), torch.randn((size, *latents.shape[1:]), generator=rng)
    return latents + NOISE * (loudness * noise)[part].to(latents)


def unsaid(
    told: Sequence[Float[Tensor, "batch _values"]], answers: Int64[Tensor, "batch attributes"]
) -> Float[Tensor, " batch"]:
    """Cross-entropy of the answers, mean over the attributes: 0 where a picture shows all of its prompt beyond doubt."""
    errors = [F.cross_entropy(logits.float(), answers[:, k], reduction="none") for k, logits in enumerate(told)]
    return torch.stack(errors).mean(dim=0)
