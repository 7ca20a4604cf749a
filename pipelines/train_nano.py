"""Trains the nano generator in stages: autoencoder, then UNet + ControlNet + text encoder on its latents.

    python pipelines/train_nano.py --config configs/train_nano.yaml --out runs/nano [--resume]

To end a run early, resume it with fewer steps: `--set denoiser.loop.steps=8000`; the learning rate then falls in time.
"""

import json
import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from posedreamer.training.nano_config import load_train_config
from posedreamer.training.nano_data import CHUNK_SIZE
from posedreamer.training.nano_run import (
    PictureSet,
    record_config,
    train_autoencoder,
    train_denoiser,
    trained_before,
)


def load_pictures(folder: Path, count: int | None) -> PictureSet:
    """The first `count` pictures of a packed data set (pipelines/render_training_set.py), or all; chunks that miss are a ValueError."""
    if not (folder / "dataset.json").is_file():
        raise ValueError(f"train_nano: no data set in {folder}; render it first")
    there = json.loads((folder / "dataset.json").read_text())["count"]
    count = there if count is None else count
    if count > there:
        raise ValueError(f"train_nano: {folder} has {there} pictures, expected at least {count}")
    marks = [folder / "chunks" / f"{chunk:05d}.json" for chunk in range(-(-count // CHUNK_SIZE))]
    missing = [mark.stem for mark in marks if not mark.is_file()]
    if missing:
        raise ValueError(f"train_nano: {folder} lacks the chunks {', '.join(missing[:8])}; render them first")
    images, maps = (np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("images", "xyz"))
    prompts = [text for mark in marks for text in json.loads(mark.read_text())["prompts"]]
    return PictureSet(images[:count], maps[:count], prompts[:count])


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the training")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    stage: Annotated[str, typer.Option(help="autoencoder, denoiser or all")] = "all",
    resume: Annotated[bool, typer.Option(help="go on from the checkpoints in the folder")] = False,
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if stage not in ("autoencoder", "denoiser", "all"):
        raise typer.BadParameter(f"--stage: expected autoencoder, denoiser or all, got {stage!r}")
    settings = load_train_config(config, override)
    torch.set_num_threads(settings.threads)
    trained_before(settings)  # a start that is of no use is refused before hours of work
    record_config(settings, out)

    if stage in ("autoencoder", "all"):
        train_autoencoder(settings, load_pictures(settings.data, settings.autoencoder.pictures), out, resume)
    if stage in ("denoiser", "all"):
        train_denoiser(settings, load_pictures(settings.data, None), out, resume)

    print(f"trained {stage}: {out}")


if __name__ == "__main__":
    typer.run(main)
