"""Aligns a generator with its labels by preference: rounds of candidates, pairs and Diffusion-DPO; one command, resumable.

    python pipelines/align.py --config configs/align_nano.yaml --out runs/align

A round draws several candidates of new labels with the adapter so far, takes the best and the worst of each by the judge of the
line, and trains the adapter on from there. Used by `--set generator.adapters=[runs/align/round-1/adapter]`.
"""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from posedreamer.alignment.config import load_align_config
from posedreamer.alignment.rounds import pairs_of_round, record_config, train_round
from posedreamer.config import load_config
from posedreamer.line import generate
from posedreamer.storage.files import file_exists


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the alignment")],
    out: Annotated[Path, typer.Option(help="folder of the alignment; one round-N in it for each round")],
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # config
    settings = load_align_config(config, override)
    line = load_config(settings.line)

    # inputs
    out = out.absolute()
    record_config(settings, line, out)
    adapter: Path | None = None

    # stages and run
    for round_index in range(settings.rounds):
        folder = out / f"round-{round_index}"
        candidates = folder / "candidates"
        if not file_exists(folder / "adapter" / "posedreamer.json"):
            generate(settings.line, str(candidates), settings.candidate_overrides(round_index, adapter))
            pairs_of_round(settings, candidates)
        adapter = train_round(settings, line, candidates, adapter, folder)

    # report
    print(json.dumps({"adapter": str(adapter), "rounds": settings.rounds}))


if __name__ == "__main__":
    typer.run(main)
