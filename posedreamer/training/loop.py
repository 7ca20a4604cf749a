"""A resumable, seeded training loop, parallel over pictures.

A small network's operations are too short to be shared by two cores: on a busy machine each waits for the other, hundreds of
times a step. So every thread works on its own part of the batch with its own gradients, on weights that all share: two
threads on half batches made 41 pictures a second where two cores on one batch made 31.

Every step draws its batch, noise and dropout from `seed_for(seed, "<stage>/<step>", purpose)`, so no generator state has to
be kept: a resumed run repeats what an undisturbed one does. (Bit for bit on one machine with one number of threads.)
"""

import copy
import functools
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from posedreamer.seeds import generator_for, seed_for
from posedreamer.training.checkpoint import Progress, latest_checkpoint, load_checkpoint, save_checkpoint
from posedreamer.training.loop_config import LoopConfig
from posedreamer.training.optimizers import Optimizers

logger = logging.getLogger(__name__)

Modules = Mapping[str, nn.Module]
LossAt = Callable[[int, slice, Modules], Tensor]  # step, part of the batch, modules -> mean loss over that part
Preview = Callable[[int, Modules], None]


def train(
    stage: str,
    modules: Modules,
    loss_at: LossAt,
    config: LoopConfig,
    folder: Path,
    preview: Preview,
    resume: bool,
    threads: int,
) -> tuple[Modules, list[float]]:
    """Minimises a loss over the modules' weights. Returns the averaged modules and the loss of each step.

    loss_at: mean loss over a part of a step's batch, by the modules it is given. folder: for checkpoints; without `resume`
    it must hold none. preview: called with step and averages now and then, and at the end.
    """
    torch.set_num_threads(1)
    if config.batch_size % threads:
        raise ValueError(f"train {stage}: a batch of {config.batch_size} cannot be shared by {threads} threads")
    weights = [weight for module in modules.values() for weight in module.parameters()]
    optimizers = Optimizers(modules, config)
    averages = {name: copy.deepcopy(module).requires_grad_(False) for name, module in modules.items()}
    checkpoint = latest_checkpoint(folder)
    if checkpoint is not None and not resume:
        raise ValueError(f"train {stage}: {checkpoint} exists; resume it, or choose another folder")
    progress = load_checkpoint(checkpoint, modules, averages, optimizers.named) if checkpoint else Progress(0, [])
    if progress.step > config.steps:
        raise ValueError(f"train {stage}: {checkpoint} has more steps than the {config.steps} asked for")
    losses, started, first = progress.losses, time.monotonic(), progress.step
    replicas = [modules, *(_replica(modules) for _ in range(threads - 1))]
    with ThreadPoolExecutor(threads) as pool:
        for step in range(first, config.steps):
            share = rate_share(step, config)
            losses.append(_backward(pool, loss_at, step, replicas, config.batch_size))
            if not np.isfinite(losses[-1]):
                raise RuntimeError(f"train {stage}: the loss of step {step} is {losses[-1]}")
            torch.nn.utils.clip_grad_norm_(weights, config.clip_norm)
            torch.set_num_threads(threads)  # here the cores have nothing else to do
            optimizers.step(share)
            torch.set_num_threads(1)
            _average(averages, modules, min(config.ema, (1 + step) / (10 + step)))
            done = step + 1
            if done % 100 == 0:
                rate = (done - first) * config.batch_size / (time.monotonic() - started)
                logger.info("%s step %d loss %.5f, %.1f pictures a second", stage, done, np.mean(losses[-100:]), rate)
            if done % config.preview_every == 0 and done < config.steps:
                preview(done, averages)
            if done % config.checkpoint_every == 0 or done == config.steps:
                save_checkpoint(folder, modules, averages, optimizers.named, Progress(done, losses))
    preview(config.steps, averages)
    return averages, losses


def rate_share(step: int, config: LoopConfig) -> float:
    """Share of the rates at a step: linear warm-up, flat, and linear to (nearly) zero over the last `decay_steps`."""
    return min(1.0, (step + 1) / config.warmup_steps, (config.steps - step) / config.decay_steps)


def batch_at(seed: int, stage: str, step: int, size: int, count: int) -> np.ndarray:
    """Which of `count` pictures step number `step` sees: every picture once an epoch, in an order of its own."""
    first = step * size
    places = np.arange(first, first + size)
    orders = {epoch: _order(seed, stage, int(epoch), count) for epoch in np.unique(places // count)}
    return np.array([orders[place // count][place % count] for place in places])


def device_of(modules: Modules) -> torch.device:
    """Where the modules' weights are; all of them are on one device."""
    return next(weight.device for module in modules.values() for weight in module.parameters())


def autocast(modules: Modules, precision: torch.dtype) -> torch.autocast:
    """Forward passes in this precision, on the modules' device; float32 changes nothing."""
    return torch.autocast(device_of(modules).type, precision, enabled=precision != torch.float32)


def torch_generator(seed: int, stage: str, step: int, purpose: str) -> torch.Generator:
    """A CPU generator of torch for one step and purpose."""
    return torch.Generator().manual_seed(seed_for(seed, f"{stage}/{step}", purpose))


@functools.lru_cache(maxsize=2)  # a permutation of the whole set at every step would be slow
def _order(seed: int, stage: str, epoch: int, count: int) -> np.ndarray:
    return generator_for(seed, f"{stage}/epoch-{epoch}", "order").permutation(count)


def _replica(modules: Modules) -> Modules:
    """The same modules over the same weights, with gradients of their own."""
    copies = {name: copy.deepcopy(module) for name, module in modules.items()}
    for name, module in modules.items():
        for own, shared in zip(copies[name].parameters(), module.parameters(), strict=True):
            own.data = shared.data
    return copies


def _backward(pool: ThreadPoolExecutor, loss_at: LossAt, step: int, replicas: list[Modules], batch_size: int) -> float:
    """Leaves the gradient of the whole batch's mean loss in the first replica; returns that loss."""
    share = batch_size // len(replicas)

    def work(place: int) -> float:
        torch.set_num_threads(1)
        for module in replicas[place].values():
            module.train()
        loss = loss_at(step, slice(place * share, (place + 1) * share), replicas[place]) / len(replicas)
        loss.backward()
        return loss.item()

    total = sum(pool.map(work, range(len(replicas))))
    for replica in replicas[1:]:
        for name, module in replica.items():
            pairs = zip(replicas[0][name].parameters(), module.parameters(), strict=True)
            kept = [
                (mine.grad, other.grad) for mine, other in pairs if mine.grad is not None and other.grad is not None
            ]
            if kept:  # a module may be at rest
                torch._foreach_add_([mine for mine, _ in kept], [other for _, other in kept])
            module.zero_grad()
    return total


@torch.no_grad()
def _average(averages: Modules, modules: Modules, decay: float) -> None:
    for name, module in modules.items():
        torch._foreach_lerp_(list(averages[name].parameters()), list(module.parameters()), 1.0 - decay)
