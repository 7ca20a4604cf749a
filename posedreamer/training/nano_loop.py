"""A resumable, seeded training loop.

Every step draws its batch, noise and dropout from `seed_for(seed, "<stage>/<step>", purpose)`, so no generator state has to
be kept: a resumed run repeats what an undisturbed one does. (Bit for bit on one machine with one number of threads.)
"""

import copy
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from posedreamer.seeds import generator_for, seed_for
from posedreamer.training.nano_checkpoint import Progress, latest_checkpoint, load_checkpoint, save_checkpoint
from posedreamer.training.nano_config import LoopConfig

logger = logging.getLogger(__name__)

LossAt = Callable[[int], Tensor]
Preview = Callable[[int, Mapping[str, nn.Module]], None]


def train(
    stage: str,
    modules: Mapping[str, nn.Module],
    loss_at: LossAt,
    config: LoopConfig,
    folder: Path,
    preview: Preview,
    resume: bool,
) -> tuple[Mapping[str, nn.Module], list[float]]:
    """Minimises `loss_at(step)` over the modules' weights. Returns the averaged modules and the loss of each step.

    folder: for checkpoints; without `resume` it must hold none. preview: called with step and averages now and then.
    """
    optimizer = torch.optim.AdamW(
        [weight for module in modules.values() for weight in module.parameters()],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.99),
    )
    averages = {name: copy.deepcopy(module).requires_grad_(False) for name, module in modules.items()}
    checkpoint = latest_checkpoint(folder)
    if checkpoint is not None and not resume:
        raise ValueError(f"train {stage}: {checkpoint} exists; resume it, or choose another folder")
    progress = load_checkpoint(checkpoint, modules, averages, optimizer) if checkpoint else Progress(0, [])
    losses, started, first = progress.losses, time.monotonic(), progress.step
    for module in modules.values():
        module.train()
    for step in range(first, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        loss = loss_at(step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], config.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        _average(averages, modules, min(config.ema, (1 + step) / (10 + step)))
        losses.append(loss.item())
        if not np.isfinite(losses[-1]):
            raise RuntimeError(f"train {stage}: the loss of step {step} is {losses[-1]}")
        done = step + 1
        if done % 100 == 0:
            rate = (done - first) * config.batch_size / (time.monotonic() - started)
            logger.info("%s step %d loss %.5f, %.1f pictures a second", stage, done, np.mean(losses[-100:]), rate)
        if done % config.preview_every == 0 or done == config.steps:
            preview(done, averages)
        if done % config.checkpoint_every == 0 or done == config.steps:
            save_checkpoint(folder, modules, averages, optimizer, Progress(done, losses))
    return averages, losses


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, flat, and linear to (nearly) zero over the last `decay_steps`."""
    rise = (step + 1) / config.warmup_steps
    fall = (config.steps - step) / config.decay_steps
    return config.learning_rate * min(1.0, rise, fall)


def batch_at(seed: int, stage: str, step: int, size: int, count: int) -> np.ndarray:
    """Which of `count` pictures step number `step` sees: every picture once an epoch, in an order of its own."""
    first = step * size
    places = np.arange(first, first + size)
    orders = {epoch: _order(seed, stage, int(epoch), count) for epoch in np.unique(places // count)}
    return np.array([orders[place // count][place % count] for place in places])


def torch_generator(seed: int, stage: str, step: int, purpose: str) -> torch.Generator:
    """A CPU generator of torch for one step and purpose."""
    return torch.Generator().manual_seed(seed_for(seed, f"{stage}/{step}", purpose))


_ORDERS: dict[tuple[int, str, int, int], np.ndarray] = {}  # the two latest epochs: a permutation a step is slow


def _order(seed: int, stage: str, epoch: int, count: int) -> np.ndarray:
    key = (seed, stage, epoch, count)
    if key not in _ORDERS:
        while len(_ORDERS) > 1:
            _ORDERS.pop(next(iter(_ORDERS)))
        _ORDERS[key] = generator_for(seed, f"{stage}/epoch-{epoch}", "order").permutation(count)
    return _ORDERS[key]


@torch.no_grad()
def _average(averages: Mapping[str, nn.Module], modules: Mapping[str, nn.Module], decay: float) -> None:
    for name, module in modules.items():
        torch._foreach_lerp_(list(averages[name].parameters()), list(module.parameters()), 1.0 - decay)
