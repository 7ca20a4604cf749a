"""How well each check tells right pictures from wrong ones: faults planted into the samples of a run.

    posedreamer generate --config configs/rendered.yaml --out runs/rendered --set samples=100000 --set rounds.max_shards=8
    python pipelines/calibrate_filters.py --run runs/rendered --out runs/calibration

The run's pictures should be right by themselves, so rendered ones, kept and rejected alike. Every picture is asked as it is and
with each fault (stages/filtering/faults.py), by the checks of the config. Told are: the share of right pictures that each check passes,
the share of each fault that it catches, and for each fault the limit that would let at most `--accept` of it pass.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from posedreamer.bodies.catalog import load_body
from posedreamer.config import load_config
from posedreamer.line import filtering_stage, mining_stage
from posedreamer.report.calibration import RIGHT, Scores, summarise, to_markdown
from posedreamer.report.thresholds import score_thresholds
from posedreamer.sample import Verdict
from posedreamer.seeds import generator_for
from posedreamer.stages.filtering.faults import FAULTS
from posedreamer.storage.locate import find_tars
from posedreamer.storage.shard import read_shard


def main(
    run: Annotated[str, typer.Option(help="run whose pictures show their labels")],
    out: Annotated[Path, typer.Option(help="folder for calibration.json and calibration.md")],
    config: Annotated[Path, typer.Option(help="whose checks and limits are asked")] = Path("configs/nano.yaml"),
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
    count: Annotated[int, typer.Option(help="samples")] = 100,
    accept: Annotated[float, typer.Option(help="share of a fault that may pass")] = 0.05,
) -> None:
    # config and inputs: samples, kept and rejected, as they were made
    settings = load_config(config, override)
    body, thresholds = load_body(settings.body), score_thresholds({"config": settings.identity()})
    tars = find_tars(f"{run}/{{shards,rejects}}")
    samples = sorted((s for tar in tars for s in read_shard(tar)), key=lambda s: s.key)[:count]
    samples = [replace(sample, scores={}, verdict=Verdict()) for sample in samples]

    # stages: the judge, and the checks
    mining, filtering = mining_stage(settings), filtering_stage(settings)
    mining.setup()
    filtering.setup()

    # run
    asked: dict[str, Scores] = {RIGHT: [dict(s.scores) for s in filtering(mining(samples))]}
    for name, plant in FAULTS.items():
        planted = []
        for place, sample in enumerate(samples):
            found = plant(sample, samples[place - 1], body, generator_for(0, f"{sample.key}/{name}", "fault"))
            planted += [] if found is None else [found]
        asked[name] = [dict(s.scores) for s in filtering(mining(planted))]
        print(f"{name}: {len(planted)} of {len(samples)}", flush=True)

    # report
    found = summarise(asked, settings.filters.order, thresholds, accept)
    out.mkdir(parents=True, exist_ok=True)
    (out / "calibration.json").write_text(json.dumps(found | {"scores": asked}, indent=1) + "\n")
    (out / "calibration.md").write_text(to_markdown(found, settings.filters.order))
    print(to_markdown(found, settings.filters.order))


if __name__ == "__main__":
    typer.run(main)
