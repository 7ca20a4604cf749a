"""Fine-tunes a multi-view model with PoseScore on the photographs and poses of shards (DrPose); resumable.

python pipelines/train_drpose.py --config configs/drpose_nano.yaml --out runs/drpose
"""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from posedreamer.drpose.drpose_config import DrPoseConfig
from posedreamer.drpose.drpose_run import train_drpose
from posedreamer.strict import read_yaml


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the fine-tuning")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = read_yaml(DrPoseConfig, config, override)

    weights = train_drpose(settings, out.absolute())

    print(json.dumps({"weights": str(weights)}))


if __name__ == "__main__":
    typer.run(main)
