"""Trains the embedded multi-view model on scans of everyday poses, and the skeleton net on scans of all of them.

    python pipelines/render_scans.py --out runs/everyday --samples 4096 --families everyday,work --seed 1
    python pipelines/render_scans.py --out runs/scans --samples 2048 --seed 2
    python pipelines/train_multiview.py --config configs/train_multiview.yaml --out runs/multiview

Stages: autoencoder, denoiser, skeleton. The model ends in `model/`, the net in `skeleton.safetensors`.
"""

import functools
import json
import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from posedreamer.drpose.multiview_run import NETS, train_denoiser, train_reading_net, train_view_autoencoder
from posedreamer.drpose.multiview_training import TrainMultiViewConfig
from posedreamer.drpose.scan_data import open_scans
from posedreamer.strict import read_yaml

STAGES = {"autoencoder": train_view_autoencoder, "denoiser": train_denoiser}
STAGES |= {stage: functools.partial(train_reading_net, stage) for stage in NETS}
OTHER_REWARDS = {"joints", "pairs"}  # of the ablation; `all` leaves them out


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the training")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    stage: Annotated[
        str, typer.Option(help="autoencoder, denoiser, skeleton, joints, pairs, or all: the first three")
    ] = "all",
    resume: Annotated[bool, typer.Option(help="go on from the checkpoints in the folder")] = False,
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if stage not in (*STAGES, "all"):
        raise typer.BadParameter(f"--stage: expected {', '.join(STAGES)} or all, got {stage!r}")
    settings = read_yaml(TrainMultiViewConfig, config, override)
    torch.set_num_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(settings.model_dump(mode="json"), indent=2) + "\n")

    everyday, scans = (open_scans(folder, split="train") for folder in (settings.everyday, settings.scans))

    for name, train in STAGES.items():
        if stage == name or (stage == "all" and name not in OTHER_REWARDS):
            train(settings, scans if name in NETS else everyday, out, resume)

    print(f"trained {stage}: {out}")


if __name__ == "__main__":
    typer.run(main)
