"""Checkpoints of a training loop without pickle: tensors in safetensors, scalars in JSON, swapped in as whole folders.

A checkpoint is a folder `checkpoint-<step>`; it is written under another name and renamed when complete, and only then
are older ones removed. Tensors are named `weights.<module>.<name>`, `ema.<module>.<name>`, `optimizer.<optimizer>.<index>.<name>`.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

logger = logging.getLogger(__name__)


class Progress(NamedTuple):
    """Steps done, and the loss of each of them."""

    step: int
    losses: list[float]


def save_checkpoint(
    folder: Path,
    modules: Mapping[str, nn.Module],
    averages: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    progress: Progress,
) -> Path:
    """Writes `folder/checkpoint-<step>` and removes older ones."""
    tensors: dict[str, Tensor] = {"losses": torch.tensor(progress.losses, dtype=torch.float32)}
    for kind, group in (("weights", modules), ("ema", averages)):
        for name, module in group.items():
            tensors |= {f"{kind}.{name}.{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{name}.{index}.{key}": value for key, value in state.items()}
    final = folder / f"checkpoint-{progress.step:07d}"
    draft = folder / f"draft-{progress.step:07d}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, draft / "state.safetensors")
    (draft / "state.json").write_text(json.dumps({"step": progress.step}) + "\n")
    shutil.rmtree(final, ignore_errors=True)
    draft.rename(final)
    for older in sorted(folder.glob("checkpoint-*")):
        if older != final:
            shutil.rmtree(older)
    return final


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in the folder, None when there is none."""
    return max(folder.glob("checkpoint-*"), default=None)


def load_checkpoint(
    checkpoint: Path,
    modules: Mapping[str, nn.Module],
    averages: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
) -> Progress:
    """Restores modules, averages and optimizers in place. Missing or further tensors raise RuntimeError, by torch."""
    tensors = load_file(checkpoint / "state.safetensors")
    for kind, group in (("weights", modules), ("ema", averages)):
        for name, module in group.items():
            module.load_state_dict(_below(tensors, f"{kind}.{name}."))
    for name, optimizer in optimizers.items():
        description, kept = optimizer.state_dict(), _below(tensors, f"optimizer.{name}.")
        slots = sorted({int(key.split(".")[0]) for key in kept})
        description["state"] = {slot: _below(kept, f"{slot}.") for slot in slots}
        optimizer.load_state_dict(description)
    step = json.loads((checkpoint / "state.json").read_text())["step"]
    return Progress(step, tensors["losses"].tolist())


def last_trainer_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of transformers' Trainer; what a killed writer left after it is removed. Its state is written last."""
    from transformers.trainer import TRAINER_STATE_NAME

    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2])):
        if (path / TRAINER_STATE_NAME).is_file():
            return str(path)
        logger.info("removed %s, left by a killed writer", path)
        shutil.rmtree(path)
    return None


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
