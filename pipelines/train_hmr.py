"""Trains a mesh-recovery learner on shards: `python pipelines/train_hmr.py --config configs/train_hmr_nano.yaml --out runs/learner`.

Data are runs, folders of tars, globs or URLs: `--set 'data=[runs/demo]'`. Killed at any time, the same command with `--resume` goes on.
The learner's folder, `<out>/learner`, is what `posedreamer.estimators.mesh.Learner` reads.
"""

import json
import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from posedreamer.strict import read_yaml
from posedreamer.training.hmr_config import TrainHmrConfig
from posedreamer.training.hmr_run import train_hmr


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the training")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    resume: Annotated[bool, typer.Option(help="go on from the checkpoint in the folder")] = False,
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
) -> None:
    # config and inputs
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = read_yaml(TrainHmrConfig, config, override)
    torch.set_num_threads(settings.threads)

    # run
    learner = train_hmr(settings, out, resume)

    # report
    errors = out / "errors.json"
    if errors.is_file():
        for step, means in json.loads(errors.read_text()).items():
            print(f"{step}: " + ", ".join(f"{name} {value:.1f}" for name, value in means.items()))
    print(f"learner: {learner}")


if __name__ == "__main__":
    typer.run(main)
