"""Fine-tunes a multi-view model with PoseScore on the photographs and poses of shards (DrPose), and measures what that did.

    python pipelines/train_drpose.py --config configs/drpose_nano.yaml --out runs/drpose

Killed at any time, the same command goes on. Ends with `weights/`, `report.md` and `report.html`.
"""

import json
import logging
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from posedreamer.drpose.drpose_config import DrPoseConfig
from posedreamer.drpose.drpose_report import (
    draw_curve,
    reconstruct_subjects,
    save_picture,
    summarise,
    to_markdown,
    worst_sheet,
    write_page,
)
from posedreamer.drpose.drpose_run import (
    choose_step,
    keep_step,
    measure_benchmark,
    measure_checkpoints,
    measure_diversity,
    record_config,
    render_benchmark,
    train_drpose,
)
from posedreamer.line import generate
from posedreamer.strict import read_yaml


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the fine-tuning")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    threads: Annotated[int, typer.Option(help="of torch on a CPU")] = 2,
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
) -> None:
    # config
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings, out, started = read_yaml(DrPoseConfig, config, override), out.absolute(), time.monotonic()
    record_config(settings, out)

    # shards: what the line makes for this training
    for name, run in settings.runs.items():
        generate(run.config, str(out / "runs" / name), run.set)

    # training, then the checkpoint that the independent judge likes best
    torch.set_num_threads(threads)
    train_drpose(settings, out)
    render_benchmark(settings, out)
    curve = measure_checkpoints(settings, out)
    step = choose_step(curve)
    keep_step(out, step)

    # benchmark: other subjects in other poses, before and after
    measured = measure_benchmark(settings, out, (0, step))
    surfaces, acrobat = reconstruct_subjects(settings, out, step)

    # report
    summary, figures = summarise(measured, step), out / "figures"
    table = to_markdown(summary, surfaces, measure_diversity(settings, out), step)
    draw_curve(curve, step, figures / "curve.png")
    save_picture(figures / "worst.png", worst_sheet(settings, out, step, measured["acrobatic"][str(step)], "acrobatic"))
    (out / "report.json").write_text(json.dumps(summary, indent=1) + "\n")
    (out / "report.md").write_text(table)
    page = write_page(
        out, table, {"Along training": figures / "curve.png", "The worst subjects": figures / "worst.png"}, acrobat
    )
    print(table)
    print(f"chose step {step}; this call took {(time.monotonic() - started) / 60:.0f} minutes: {page}")


if __name__ == "__main__":
    typer.run(main)
