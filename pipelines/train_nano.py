"""Trains the nano generator in stages: the autoencoder; the reader of latents, where the config has one; then UNet, ControlNet and
text encoder, for drawing in few steps.

    python pipelines/train_nano.py --config configs/train_nano.yaml --out runs/nano [--resume]

To end a run early, resume it with fewer steps: `--set denoiser.loop.steps=8000`; the learning rate then falls in time.
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from posedreamer.stages.sampling.splits import Split
from posedreamer.training.nano_config import load_train_config
from posedreamer.training.nano_data import open_dataset
from posedreamer.training.nano_run import (
    PictureSet,
    record_config,
    train_autoencoder,
    train_denoiser,
    train_reader,
    trained_before,
)
from posedreamer.training.observing import number_attributes

VALIDATED = 256  # pictures


def load_pictures(folder: Path, count: int | None, split: Split = "train") -> PictureSet:
    """The first `count` pictures of a packed data set, or all; one of another split is an error."""
    people = open_dataset(folder, count, split)
    return PictureSet(people.images, people.xyz, people.prompts, number_attributes(people.attributes))


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the training")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    stage: Annotated[str, typer.Option(help="autoencoder, reader, denoiser or all")] = "all",
    resume: Annotated[bool, typer.Option(help="go on from the checkpoints in the folder")] = False,
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if stage not in ("autoencoder", "reader", "denoiser", "all"):
        raise typer.BadParameter(f"--stage: expected autoencoder, reader, denoiser or all, got {stage!r}")
    settings = load_train_config(config, override)
    torch.set_num_threads(settings.threads)
    trained_before(settings)  # a start that is of no use is refused before hours of work
    record_config(settings, out)

    if stage in ("autoencoder", "all"):
        train_autoencoder(settings, load_pictures(settings.data, settings.autoencoder.pictures), out, resume)
    if stage == "reader" or (stage == "all" and settings.reader is not None):
        train_reader(settings, load_pictures(settings.data, None), out, resume)
    if stage in ("denoiser", "all"):
        validation = None
        if settings.validation is not None:
            validation = load_pictures(settings.validation, VALIDATED, "held_out")
        train_denoiser(settings, load_pictures(settings.data, settings.denoiser.pictures), out, resume, validation)

    print(f"trained {stage}: {out}")


if __name__ == "__main__":
    typer.run(main)
