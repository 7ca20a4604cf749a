"""Direct reward fine-tuning of a multi-view model on photographs of known poses (DrPose): transformers' Trainer over `roll_out`.

An update draws all views of a batch's subjects from noise, asks PoseScore how well the clean latents show the poses, and sends the
gradient back through the sampling by the plan of rollout.py; a second term holds the model to what it was. Noise and plan follow from
the seed and the number of the step, so a run that is resumed sees what an undisturbed one sees.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig as PeftConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from posedreamer.drpose.drpose_config import LoraConfig, RolloutConfig
from posedreamer.drpose.multiview import MultiViewModel, condition_on, draw_timetable, velocity_denoiser, without_face
from posedreamer.drpose.multiview_unet import DOMAINS
from posedreamer.drpose.posed_photos import PosedPhotos
from posedreamer.drpose.reward_forms import Reward
from posedreamer.drpose.rollout import divergence, draw_plan, roll_out
from posedreamer.seeds import generator_for, seed_for

STAGE = "drpose"
WEIGHTS, FACTS = "weights.safetensors", "drpose.json"
ADAPTER = "default"  # peft's name of an adapter that has none


class Rollouts(nn.Module):
    """The trained UNet and what an update does with it, in one forward pass: so data-parallel training sees one call a batch."""

    def __init__(
        self,
        model: MultiViewModel,
        score: Reward,
        rollout: RolloutConfig,
        kl_weight: float,
        adapter: LoraConfig | None,
    ) -> None:
        super().__init__()
        self.unet = model.unet
        self.model, self.score, self.rollout, self.kl_weight = model, score, rollout, kl_weight
        self.timetable = draw_timetable(model.scheduler, rollout.steps)
        self.has_adapter = adapter is not None
        self.frozen: list[Any] = []  # not a module of this one: neither trained nor saved
        if adapter is not None:
            self.unet.requires_grad_(False)
            layers = list(adapter.layers)
            peft = PeftConfig(
                r=adapter.rank, lora_alpha=adapter.alpha, target_modules=layers, init_lora_weights="gaussian"
            )
            self.unet.add_adapter(peft)
        elif kl_weight > 0:
            import copy

            self.frozen = [copy.deepcopy(self.unet).requires_grad_(False).eval()]

    def forward(self, photos: Sequence[Any], joints: Tensor, noise: Tensor, step: int, seed: int) -> dict[str, Tensor]:
        """loss, reward of each subject, and divergence. noise: of the batch's latents; step: which the plan is drawn for."""
        with torch.no_grad():
            conditions = condition_on(self.model, photos)
        rollout, views = self.rollout, self.model.layout.views
        plan = draw_plan(
            rollout.method,
            rollout.steps,
            rollout.trained,
            rollout.early_stop,
            generator_for(seed, f"{STAGE}/{step}", "plan"),
        )

        def denoiser(unet: Any) -> Callable[[Tensor, int], Tensor]:
            return velocity_denoiser(unet, self.model.scheduler, self.timetable, conditions, 1.0, views)

        drawn = roll_out(denoiser(self.unet), noise, self.timetable.signal, plan)
        reward = self.score(without_face(drawn.clean, self.model.layout).to(joints), joints)
        kept = torch.zeros((), device=noise.device)
        if self.kl_weight > 0:
            with self.as_it_was() as unet:
                kept = divergence(drawn.visited, denoiser(unet))
        return {"loss": self.kl_weight * kept - reward.mean(), "reward": reward.detach(), "divergence": kept.detach()}

    @contextlib.contextmanager
    def as_it_was(self) -> Iterator[Any]:
        """The UNet before training."""
        if not self.has_adapter:
            yield self.frozen[0]
            return
        self.unet.disable_adapters()
        try:
            yield self.unet
        finally:
            self.unet.enable_adapters()

    def trained_state(self) -> dict[str, Tensor]:
        """The weights that training changes: of the adapter, or all."""
        return (
            get_peft_model_state_dict(self.unet, adapter_name=ADAPTER) if self.has_adapter else self.unet.state_dict()
        )

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Puts them back."""
        if self.has_adapter:
            set_peft_model_state_dict(self.unet, dict(state), adapter_name=ADAPTER)
        else:
            self.unet.load_state_dict(dict(state))


class PhotoRows(Dataset[dict[str, Any]]):
    """Photographs of one size and their joints, by row."""

    def __init__(self, photos: PosedPhotos, size: int) -> None:
        self.photos, self.size = photos, size

    def __len__(self) -> int:
        return self.photos.people.num_rows

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"photo": self.photos.photo(row, self.size), "joints": torch.from_numpy(self.photos.joints[row])}


def collate_photos(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A batch."""
    return {"photos": [row["photo"] for row in rows], "joints": torch.stack([row["joints"] for row in rows])}


class DrPoseTrainer(Trainer):
    """Trains `Rollouts`; `save_model` writes the trained weights alone, and facts about them.

    facts: what drpose.json says, the model that the weights belong to among it.
    """

    def __init__(
        self,
        rollouts: Rollouts,
        args: TrainingArguments,
        photos: Dataset[dict[str, Any]],
        latent_shape: tuple[int, int, int],
        facts: Mapping[str, Any],
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        super().__init__(
            model=rollouts, args=args, train_dataset=photos, data_collator=collate_photos, callbacks=callbacks
        )
        self.rollouts, self.latent_shape, self.facts = rollouts, latent_shape, dict(facts)
        self._seen: dict[str, list[float]] = {}
        self._place = (-1, 0)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss of a batch of photographs."""
        step, joints = self.state.global_step, inputs["joints"]
        self._place = (step, self._place[1] + 1 if self._place[0] == step else 0)
        key = f"{STAGE}-{step}-{self._place[1]}-{self.args.process_index}"
        rng = torch.Generator().manual_seed(seed_for(self.args.seed, key, "noise"))
        images = len(joints) * len(DOMAINS) * self.rollouts.model.layout.views
        noise = torch.randn((images, *self.latent_shape), generator=rng).to(joints.device)
        found = model(inputs["photos"], joints, noise, step, self.args.seed)
        if not torch.isfinite(found["loss"]):
            raise ValueError(f"drpose: step {step}: the loss is {found['loss'].item()}")
        for name in ("reward", "divergence"):
            self._seen.setdefault(name, []).append(float(found[name].float().mean()))
        return (found["loss"], found) if return_outputs else found["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With the means, since the last log, of reward and divergence."""
        means = {name: sum(values) / len(values) for name, values in self._seen.items()}
        self._seen = {}
        super().log({**logs, **means}, start_time)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if self.args.should_save:
            save_trained(self.rollouts, Path(output_dir or self.args.output_dir or "."), self.facts)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        self.rollouts.load_trained_state(load_file(Path(resume_from_checkpoint) / WEIGHTS))


def save_trained(rollouts: Rollouts, folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes the trained weights and what is known of them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous().cpu() for name, value in rollouts.trained_state().items()}, folder / WEIGHTS)
    (folder / FACTS).write_text(json.dumps(dict(facts), indent=1, sort_keys=True) + "\n")


def load_trained(model: MultiViewModel, folder: Path) -> MultiViewModel:
    """The model with weights that `save_trained` wrote, merged into it. Weights of another model are a ValueError."""
    facts, state = json.loads((folder / FACTS).read_text()), load_file(folder / WEIGHTS)
    if facts["model"] != model.identity:
        raise ValueError(f"drpose: {folder} was trained on the model {facts['model']}, got {model.identity}")
    unet = cast(Any, model.unet)
    if facts["adapter"] is None:
        unet.load_state_dict(state)
        return model
    adapter = LoraConfig(**facts["adapter"])
    unet.add_adapter(PeftConfig(r=adapter.rank, lora_alpha=adapter.alpha, target_modules=list(adapter.layers)))
    set_peft_model_state_dict(unet, state, adapter_name=ADAPTER)
    unet.fuse_lora()
    unet.unload_lora()
    return model
