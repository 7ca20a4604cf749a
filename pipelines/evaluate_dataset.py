"""What data is worth to a mesh-recovery learner: `python pipelines/evaluate_dataset.py --config configs/experiment_nano.yaml --out runs/experiment`.

Makes the runs that the config names, trains one learner a set and seed from the same beginning, measures each on every test, and
writes `table.md` and `table.json`. Killed at any time, the same command goes on. Parts: posedreamer/experiment/.
"""

import json
import logging
import time
from pathlib import Path
from typing import Annotated

import typer

from posedreamer.bodies.catalog import load_body
from posedreamer.experiment.cells import any_learner, make_runs, measure_cell, measure_mean_body, record_config
from posedreamer.experiment.config import ExperimentConfig
from posedreamer.experiment.table import picture_distances, summarise, to_markdown
from posedreamer.strict import read_yaml


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the experiment")],
    out: Annotated[Path, typer.Option(help="folder of the experiment")],
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
) -> None:
    # config
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings, out, started = read_yaml(ExperimentConfig, config, override), out.absolute(), time.monotonic()
    record_config(settings, out)

    # runs of the line, then a learner a set and seed, measured on every test
    make_runs(settings, out)
    measure_mean_body(settings, out)
    for name in settings.sets:
        for seed in settings.seeds:
            measure_cell(settings, name, seed, out)

    # report
    body = load_body(any_learner(settings).body)
    found = summarise(settings, out) | {"pictures": picture_distances(settings, out, body)}
    table = to_markdown(settings, found)
    (out / "table.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "table.md").write_text(table)
    print(table)
    print(f"this call took {(time.monotonic() - started) / 60:.0f} minutes")


if __name__ == "__main__":
    typer.run(main)
