"""Averages the weights of models that were trained on from one ancestor.

    python pipelines/average_models.py --model runs/nano/export --model runs/nano2/export --out runs/averaged

One default: equal shares. `--share` once a model gives others. The folders must hold the same files and shapes.
"""

from pathlib import Path
from typing import Annotated

import typer

from posedreamer.training.averaging import average_models


def main(
    model: Annotated[list[Path], typer.Option(help="folder of a model; at least two")],
    out: Annotated[Path, typer.Option(help="folder of the average")],
    share: Annotated[list[float], typer.Option(help="of each model in turn; together 1")] = [],  # noqa: B006
) -> None:
    average_models(model, share or [1 / len(model)] * len(model), out)
    print(f"averaged {len(model)} models: {out}")


if __name__ == "__main__":
    typer.run(main)
