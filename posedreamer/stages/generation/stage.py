"""Stage 2: prompt and condition map become a picture, whose pose is known because the label came first.

Pending samples are cut into batches in the order given, neighbours of one size together. A picture's noise depends on its
key alone; its last bits may depend on the batch (matrix products of another shape round otherwise), which is why batches
are always cut inside a shard and always alike.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from posedreamer.sample import Picture, Sample, failed, split_key
from posedreamer.seeds import seed_for


class GenerationStage:
    """Draws pictures with a diffusion pipeline; `setup` loads it (seconds for nano, minutes for SDXL).

    model, controlnet, adapters: `nano`, folders or hub ids (diffusers_backend.py). condition: the kind of map it is given.
    guidance: classifier-free, up to 1 switches it off. threads: of torch, in this process; they can change last bits.
    """

    def __init__(
        self,
        *,
        model: str,
        controlnet: str | None,
        condition: str,
        adapters: Sequence[str],
        steps: int,
        guidance: float,
        controlnet_scale: float,
        negative_prompt: str,
        dtype: Literal["float32", "float16", "bfloat16"],
        device: str,
        batch_size: int,
        threads: int,
    ) -> None:
        self.model = model
        self.controlnet = controlnet
        self.condition = condition
        self.adapters = tuple(adapters)
        self.steps = steps
        self.guidance = guidance
        self.controlnet_scale = controlnet_scale
        self.negative_prompt = negative_prompt
        self.dtype = dtype
        self.device = device
        self.batch_size = batch_size
        self.threads = threads

    def setup(self) -> None:
        import torch

        from posedreamer.stages.generation.diffusers_backend import Drawing, load_model

        torch.set_num_threads(self.threads)
        dtype = getattr(torch, self.dtype)
        self.backend = load_model(self.model, self.controlnet, self.condition, self.adapters, dtype, self.device)
        self.drawing = Drawing(self.steps, self.guidance, self.controlnet_scale, self.negative_prompt)

    def check_inputs(self) -> dict[str, str]:
        """Finds the model and its additions before any work; returns name -> identity (revision or sha256 of weights)."""
        from posedreamer.stages.generation.diffusers_backend import resolve

        names = [self.model, *([self.controlnet] if self.controlnet else []), *self.adapters]
        return {f"generator:{name}": resolve(name)[1] for name in names}

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        checked = [self._check(sample) for sample in samples]
        drawn: dict[str, Sample] = {}
        pending = [sample for sample in checked if sample.is_pending]
        for _, group in itertools.groupby(pending, key=_size):
            alike = list(group)
            for first in range(0, len(alike), self.batch_size):
                batch = alike[first : first + self.batch_size]
                drawn |= {sample.key: sample for sample in self._draw(batch)}
        return [drawn.get(sample.key, sample) for sample in checked]

    def _check(self, sample: Sample) -> Sample:
        """The sample, failed when it lacks what is drawn from."""
        if not sample.is_pending:
            return sample
        if sample.label is None or sample.prompt is None or sample.condition is None:
            return failed(sample, "incomplete: label, prompt and condition are needed")
        if sample.condition.kind != self.condition:
            return failed(sample, f"condition_kind: got {sample.condition.kind}, expected {self.condition}")
        height, width = sample.condition.control.shape[:2]
        if (width, height) != (sample.label.width, sample.label.height):
            size = f"{sample.label.width} x {sample.label.height}"
            return failed(sample, f"condition_size: got {width} x {height}, expected the label's {size}")
        return sample

    def _draw(self, batch: list[Sample]) -> list[Sample]:
        from posedreamer.stages.generation.diffusers_backend import draw

        seeds = [seed_for(sample.run_seed, sample.key, "noise") for sample in batch]
        prompts = [sample.prompt.text for sample in batch if sample.prompt is not None]
        maps = np.stack([sample.condition.control for sample in batch if sample.condition is not None])
        images = draw(self.backend, prompts, maps, seeds, self.drawing)
        return [self._add(sample, image, seed) for sample, image, seed in zip(batch, images, seeds, strict=True)]

    def _add(self, sample: Sample, image: np.ndarray, seed: int) -> Sample:
        if not np.isfinite(image).all():
            return failed(sample, f"not_finite: the picture has NaN or infinite values; {self.dtype} may be too narrow")
        rgb = (255.0 * image.clip(0.0, 1.0)).round().astype(np.uint8)
        picture = Picture(rgb, self.backend.identity, seed, split_key(sample.key)[1])
        return replace(sample, image=picture)


def _size(sample: Sample) -> tuple[int, ...]:
    assert sample.condition is not None
    return sample.condition.control.shape
