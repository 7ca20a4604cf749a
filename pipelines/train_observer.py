"""Trains the observer on renders: `python pipelines/train_observer.py --data runs/people --out runs/observer [--resume]`.

    python pipelines/render_training_set.py --out runs/people --samples 16384 --size 256 --split train --seed 1

Writes `observer.safetensors` (averaged weights, float16) into the folder now and then and at the end.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import load_file, save_file
from torch import nn

from posedreamer.estimators.observer import ObserverNet
from posedreamer.seeds import seed_for
from posedreamer.strict import read_yaml
from posedreamer.training.group_norm import prepared
from posedreamer.training.loop import train
from posedreamer.training.nano_data import open_dataset
from posedreamer.training.nano_preview import save_loss_curve
from posedreamer.training.observing import STAGE, ObserverConfig, Renders, number_attributes, observer_loss


def main(
    data: Annotated[Path, typer.Option(help="folder of a packed data set")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    config: Annotated[Path, typer.Option(help="YAML file of the training")] = Path("configs/train_observer.yaml"),
    resume: Annotated[bool, typer.Option(help="go on from the checkpoint in the folder")] = False,
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = read_yaml(ObserverConfig, config, override)

    people = open_dataset(data, settings.pictures)
    renders = Renders(people.images, people.xyz, number_attributes(people.attributes), people.coco_keypoints)

    torch.manual_seed(seed_for(settings.seed, STAGE, "weights"))
    net = ObserverNet()
    if settings.start is not None:
        net.load_state_dict({name: value.float() for name, value in load_file(settings.start).items()})
    net = prepared(net, settings.device)
    loss_at = observer_loss(renders, settings, getattr(torch, settings.precision))

    def save(step: int, averages: Mapping[str, nn.Module]) -> None:
        state = {key: value.half().contiguous().cpu() for key, value in averages["net"].state_dict().items()}
        save_file(state, out / "observer.safetensors")

    _, losses = train(STAGE, {"net": net}, loss_at, settings.loop, out / STAGE, save, resume, settings.threads)
    save_loss_curve(out / "observer.png", losses)
    (out / "config.json").write_text(json.dumps(settings.model_dump(mode="json"), indent=2) + "\n")
    print(f"trained {STAGE} on {len(renders.images)} pictures: {out / 'observer.safetensors'}")


if __name__ == "__main__":
    typer.run(main)
