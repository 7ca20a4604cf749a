"""Trains the nano generator from scratch: autoencoder, then UNet + ControlNet + text encoder on its latents.

    OMP_WAIT_POLICY=PASSIVE python pipelines/train_nano.py --config configs/train_nano.yaml --out runs/nano [--resume]

To end a run early, resume it with fewer steps: `--set denoiser.loop.steps=8000`; the learning rate then falls in time.
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from posedreamer.training.nano_config import load_train_config
from posedreamer.training.nano_run import PictureSet, train_autoencoder, train_denoiser


def load_pictures(folder: Path) -> PictureSet:
    import json

    import numpy as np

    return PictureSet(
        np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / "xyz.npy", mmap_mode="r", allow_pickle=False),
        json.loads((folder / "prompts.json").read_text()),
    )


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
    settings = load_train_config(config, dict(item.split("=", 1) for item in override))
    torch.set_num_threads(settings.threads)

    pictures = load_pictures(settings.data)

    if stage in ("autoencoder", "all"):
        train_autoencoder(settings, pictures, out, resume)
    if stage in ("denoiser", "all"):
        train_denoiser(settings, pictures, out, resume)

    print(f"trained {stage} on {len(pictures.images)} pictures: {out}")


if __name__ == "__main__":
    typer.run(main)
