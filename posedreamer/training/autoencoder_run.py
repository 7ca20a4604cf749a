"""An autoencoder from pictures to a file: fitted, trained, resumed, read again. Whose pictures they are is all one."""

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors.torch import load_file, save_file
from torch import nn

from posedreamer.seeds import seed_for
from posedreamer.training import nano_autoencoder as autoencoding
from posedreamer.training.critic import PatchCritic
from posedreamer.training.group_norm import prepared
from posedreamer.training.loop import train
from posedreamer.training.nano_config import AutoencoderConfig
from posedreamer.training.nano_model import build_autoencoder, start_from
from posedreamer.training.nano_preview import save_grid, save_loss_curve

logger = logging.getLogger(__name__)

FITTED = 1024  # pictures whose patches fix the encoder: the first ones, so that more data later changes nothing
FILE = "autoencoder.safetensors"


class Machine(NamedTuple):
    """What a stage is trained on. precision: of the forward passes; threads: that share a batch on the CPU."""

    device: str
    precision: torch.dtype
    threads: int


def train_autoencoder(
    settings: AutoencoderConfig,
    images: UInt8[np.ndarray, "count h w 3"],
    conditions: UInt8[np.ndarray, "count h w 3"],
    seed: int,
    machine: Machine,
    out: Path,
    resume: bool,
    start: Path | None = None,
    columns: int = 8,
) -> None:
    """Fits the encoder (or takes the start's), trains (or resumes) the decoder, and writes `autoencoder.safetensors`.

    conditions: maps that say where the pictures' bodies are. columns: pictures of a preview.
    """
    torch.manual_seed(seed_for(seed, autoencoding.STAGE, "weights"))
    model = cast(Any, build_autoencoder(settings))
    if start is None:
        deviations = autoencoding.patch_transform(model, images[:FITTED], conditions[:FITTED], settings)
        logger.info("autoencoder: latent deviations %s", deviations.round(3))
    else:
        start_from({"vae": model}, start)
    prepared(model, machine.device)
    loss_at = autoencoding.autoencoder_loss(
        model, images, conditions, settings, seed, machine.precision, machine.device
    )
    shown = images[:columns]

    def preview(step: int, averages: Mapping[str, nn.Module]) -> None:
        averaged = copy.deepcopy(model)
        averaged.decoder.load_state_dict(averages["decoder"].state_dict())
        rows = [shown, autoencoding.reconstruct(averaged, shown)]
        save_grid(out / "previews" / f"autoencoder-{step:07d}.png", rows)
        save_file({key: value.contiguous() for key, value in averaged.state_dict().items()}, out / FILE)

    folder, modules = out / autoencoding.STAGE, {"decoder": model.decoder}
    if settings.critic_steps:
        modules["critic"] = prepared(PatchCritic(), machine.device)
    _, losses = train(autoencoding.STAGE, modules, loss_at, settings.loop, folder, preview, resume, machine.threads)
    save_loss_curve(out / "previews" / "autoencoder.png", losses)


def load_autoencoder(settings: AutoencoderConfig, out: Path, device: str, start: Path | None = None) -> Any:
    """The autoencoder of this run, as far as it is trained, or the start's if it is not trained here."""
    path, model = out / FILE, cast(Any, build_autoencoder(settings))
    if path.is_file():
        model.load_state_dict(load_file(path))
    elif start is not None:
        start_from({"vae": model}, start)
    else:
        raise ValueError(f"{path} is missing, and there is no `start`; run the stage `autoencoder` first")
    return model.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
