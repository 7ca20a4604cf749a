"""Diffusion-DPO under a ControlNet: transformers' Trainer with the preference loss of losses.py.

Each pair meets one noise and one time, the same for its two pictures and for policy and reference (Wallace et al. 2024; four
predictions, in two forward passes). Noise and times follow from the seed and the number of the step, so a run that is resumed
sees what an undisturbed one sees.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback

from posedreamer.alignment.adapters import as_reference, resume_adapter, save_adapter
from posedreamer.alignment.arguments import AlignmentArguments
from posedreamer.alignment.denoisers import Denoiser
from posedreamer.alignment.losses import beta_at, guarded, pair_errors, preference_loss, preference_margin
from posedreamer.alignment.pair_data import collate_pairs
from posedreamer.seeds import seed_for

STAGE = "alignment"


class DiffusionDPOTrainer(Trainer):
    """Trains the adapter of a denoiser (adapters.py) on encoded pairs; `save_model` writes the adapter.

    facts: what the adapter's posedreamer.json says; `condition_renderer` and `base` are compared where it is loaded.
    """

    args: AlignmentArguments

    def __init__(
        self,
        denoiser: Denoiser,
        args: AlignmentArguments,
        pairs: Dataset[dict[str, Any]],
        facts: Mapping[str, Any],
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        super().__init__(
            model=denoiser, args=args, train_dataset=pairs, data_collator=collate_pairs, callbacks=callbacks
        )
        self.denoiser, self.facts = denoiser, dict(facts)
        self._seen: dict[str, list[float]] = {}
        self._place = (-1, 0)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The mean preference loss of a batch of pairs."""
        latents = torch.cat([inputs["chosen"], inputs["rejected"]])
        noise, times = (part.repeat(2, *[1] * (part.ndim - 1)) for part in self._draw(inputs["chosen"]))
        words = {
            name: part.repeat(2, *[1] * (part.ndim - 1))
            for name, part in self.denoiser.words(inputs["prompts"]).items()
        }
        control = self.denoiser.control(inputs["control"].cpu().numpy())
        given = (
            self.denoiser.noised(latents, noise, times),
            times,
            words,
            control.repeat(2, *[1] * (control.ndim - 1)),
        )
        target = self.denoiser.target(latents, noise, times)

        prediction = model(*given)
        policy, reference = pair_errors(prediction, target), None
        if not self.args.reference_free:
            with torch.no_grad(), as_reference(self.denoiser):
                reference = pair_errors(self.denoiser(*given), target)
        led = guarded(policy, prediction, target, self.args.caution) if self.args.winner_guard else policy
        margin = preference_margin(led, reference)
        level = self.denoiser.noise_level(times).chunk(2)[0].to(margin)
        beta = beta_at(self.args.beta, level, self.args.time_weight)  # type: ignore[arg-type]
        loss = preference_loss(margin, beta, self.args.loss_type[0], self.args.label_smoothing).mean()  # type: ignore[arg-type]
        if not torch.isfinite(loss):
            raise ValueError(f"alignment: step {self.state.global_step}: the loss is {loss.item()}")
        self._note("margin", margin)
        self._note("accuracy", (margin > 0).float())
        for name, side in policy._asdict().items():
            self._note(f"{name}_error", side)
            if reference is not None:
                self._note(f"{name}_error_change", side - getattr(reference, name))
        return (loss, prediction) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With the means, since the last log, of margin, share of pairs told right, and errors of both sides."""
        means = {name: sum(values) / len(values) for name, values in self._seen.items()}
        self._seen = {}
        super().log({**logs, **means}, start_time)

    def _draw(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Noise and times of the pairs of this batch, from the number of the step, of the batch in it and of the process."""
        step = self.state.global_step
        self._place = (step, self._place[1] + 1 if self._place[0] == step else 0)
        key = f"{STAGE}-{step}-{self._place[1]}-{self.args.process_index}"
        rng = torch.Generator().manual_seed(seed_for(self.args.seed, key, "noise"))
        noise = torch.randn(like.shape, generator=rng)
        return noise.to(like), self.denoiser.draw_times(len(like), rng).to(like.device)

    def _note(self, name: str, values: Tensor) -> None:
        self._seen.setdefault(name, []).append(float(values.detach().float().mean()))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if self.args.should_save:
            save_adapter(self.denoiser, Path(output_dir or self.args.output_dir or "."), self.facts)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        resume_adapter(self.denoiser, Path(resume_from_checkpoint))
