"""Sampling that a gradient can be taken through: DRTune, DRaFT-K and AlignProp are three plans of one loop.

drtune (Wu et al. 2024, as DrPose uses it): `trained` steps, evenly spaced with a random offset; the denoiser's inputs are cut off from the
    gradient, so that it reaches early steps through the solver's linear update alone; sampling ends early, at a random one of the last
    `early_stop` steps, by the prediction of the clean latents there.
draft (Clark et al. 2024, DRaFT-K): the last `trained` steps, inputs not cut off.
alignprop (Prabhudesai et al. 2023): as draft, over a random number of last steps, all of them at most.

Only a trained step's activations are kept, so with `trained` fixed memory does not grow with the number of steps.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Method = Literal["drtune", "draft", "alignprop"]
Denoiser = Callable[
    [Tensor, int], Tensor
]  # (latents, step) -> their velocity: signal x noise - loudness x clean latents


class Plan(NamedTuple):
    """trained: steps (0 is the first, noisiest) whose prediction carries a gradient; last: the step whose clean prediction is the result;
    cuts_inputs: the denoiser's inputs carry none.
    """

    trained: tuple[int, ...]
    last: int
    cuts_inputs: bool


class Rollout(NamedTuple):
    """clean: the sampled latents; visited: input and prediction of each trained step, for what compares them with a frozen net."""

    clean: Float[Tensor, " *latents"]
    visited: list[tuple[int, Float[Tensor, " *latents"], Float[Tensor, " *latents"]]]


def draw_plan(method: Method, steps: int, trained: int, early_stop: int, rng: np.random.Generator) -> Plan:
    """The plan of one update. ValueError when more steps are to be trained than there are, or none would come before the end."""
    if not 1 <= trained <= steps or not 0 <= early_stop < steps:
        raise ValueError(
            f"rollout: got {trained} trained of {steps} steps and early_stop {early_stop}, expected 1 to steps and 0 to steps - 1"
        )
    if method == "draft":
        return Plan(tuple(range(steps - trained, steps)), steps - 1, False)
    if method == "alignprop":
        return Plan(tuple(range(steps - int(rng.integers(1, steps + 1)), steps)), steps - 1, False)
    last = steps - 1 - int(rng.integers(0, early_stop + 1))
    stride = (last + 1) // trained
    if stride == 0:
        raise ValueError(f"rollout: {trained} trained steps do not fit before step {last}; lower early_stop or trained")
    offset = int(rng.integers(0, stride))
    return Plan(tuple(offset + place * stride for place in range(trained)), last, True)


def roll_out(denoiser: Denoiser, noise: Float[Tensor, " *latents"], signal: Sequence[float], plan: Plan) -> Rollout:
    """DDIM without noise of its own, from pure noise to the plan's last step.

    signal: sqrt(alpha_bar) of each step, rising, at first possibly 0; the latents of a step are signal x clean + loudness x noise with
    loudness = sqrt(1 - signal^2). Velocities (Salimans and Ho 2022) tell clean latents and noise at every signal, 0 and 1 among them.
    """
    latents, clean, visited = noise, noise, []
    for step in range(plan.last + 1):
        level, loudness = signal[step], (1.0 - signal[step] ** 2) ** 0.5
        if step in plan.trained:
            given = latents.detach() if plan.cuts_inputs else latents
            predicted = denoiser(given, step)
            visited.append((step, given, predicted))
        else:
            with torch.no_grad():
                predicted = denoiser(latents, step)
        clean, loud = level * latents - loudness * predicted, loudness * latents + level * predicted
        if step < plan.last:
            following = signal[step + 1]
            latents = following * clean + (1.0 - following**2) ** 0.5 * loud
    return Rollout(clean, visited)


def divergence(visited: Sequence[tuple[int, Tensor, Tensor]], frozen: Denoiser) -> Float[Tensor, ""]:
    """DrPose's L_KL: mean squared difference of the trained and the frozen net's predictions at the trained steps, on the same inputs.

    Of velocities: with inputs alike they differ by the noise's difference over the signal, and so weigh no step by its noise.
    What the frozen net says is a constant: no gradient goes through it to the steps before.
    """
    terms = []
    for step, given, predicted in visited:
        with torch.no_grad():
            expected = frozen(given.detach(), step)
        terms.append((predicted - expected).square().mean())
    return torch.stack(terms).mean()
