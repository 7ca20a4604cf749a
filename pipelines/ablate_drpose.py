"""Fine-tunes a multi-view model in several settings, on the same benchmark subjects from the same noise, and says what each brought.

    python pipelines/ablate_drpose.py --config configs/drpose_nano.yaml --settings configs/drpose_ablation.yaml --out runs/ablation

Each setting is one run of train_drpose.py with overrides of the config. Runs of the line and the benchmark's subjects are shared; finished
settings are not repeated. `ablation.json` and `ablation.md` are written after each.
"""

import json
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
import yaml

from posedreamer.drpose.drpose_config import DrPoseConfig
from posedreamer.drpose.drpose_report import ablation_markdown, summarise
from posedreamer.drpose.drpose_run import (
    choose_step,
    measure_benchmark,
    measure_checkpoints,
    record_config,
    render_benchmark,
    train_drpose,
)
from posedreamer.line import generate
from posedreamer.strict import read_yaml

SHARED = ("runs", "scans")


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the fine-tuning")],
    settings: Annotated[Path, typer.Option(help="YAML file: name of a setting -> list of overrides a.b=value")],
    out: Annotated[Path, typer.Option(help="folder of the ablation")],
    only: Annotated[list[str], typer.Option(help="names of settings; none: all")] = [],  # noqa: B006
    threads: Annotated[int, typer.Option(help="of torch on a CPU")] = 2,
) -> None:
    # config: every setting is read before hours of work
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    out, base = out.absolute(), read_yaml(DrPoseConfig, config)
    wanted = {name: read_yaml(DrPoseConfig, config, overrides) for name, overrides in yaml.safe_load(settings.read_text()).items()}  # fmt: skip
    runs = shared_runs(base, wanted)
    torch.set_num_threads(threads)

    # settings, one after the other
    path = out / "ablation.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    for name, one in wanted.items():
        if name in found or (only and name not in only):
            continue
        for run in sorted({run for run in one.runs if any("{runs}/" + run in part.source for part in one.data)}):
            generate(runs[run].config, str(out / "runs" / run), runs[run].set)
        found[name] = try_setting(one, out, out / name.replace(" ", "_"))

        # report
        path.write_text(json.dumps(found, indent=1) + "\n")
        (out / "ablation.md").write_text(ablation_markdown(found))
    print(ablation_markdown(found))


def shared_runs(base: DrPoseConfig, wanted: Mapping[str, DrPoseConfig]) -> dict[str, Any]:
    """Every setting's runs of the line by name. Settings that differ in the model, the benchmark or a run's meaning are a ValueError."""
    runs: dict[str, Any] = dict(base.runs)
    for name, one in wanted.items():
        if (one.model, one.benchmark, one.body) != (base.model, base.benchmark, base.body):
            raise ValueError(f"ablation: {name} changes the model or the benchmark, which all settings share")
        for run, meaning in one.runs.items():
            if runs.setdefault(run, meaning) != meaning:
                raise ValueError(f"ablation: {name} has another run {run!r}; give it another name")
    return runs


def try_setting(config: DrPoseConfig, out: Path, folder: Path) -> dict[str, Any]:
    """Trains, chooses and measures one setting; what the table tells of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        (out / name).mkdir(exist_ok=True)
        if not (folder / name).exists():
            (folder / name).symlink_to(out / name)
    record_config(config, folder)
    started = time.monotonic()
    train_drpose(config, folder)
    seconds = time.monotonic() - started
    render_benchmark(config, folder)
    borrow_drawings(out, folder)
    curve = measure_checkpoints(config, folder)
    step, last = choose_step(curve), curve[-1].step
    measured = measure_benchmark(config, folder, (0, step))
    return {
        "chosen": step,
        "last": last,
        "seconds": round(seconds),
        "curve": [point._asdict() for point in curve],
        "benchmark": summarise(measured, step),
    }


def borrow_drawings(out: Path, folder: Path) -> None:
    """What the model drew before training is the same in every setting: copied from one that has it."""
    for drawn in sorted(out.glob("*/trials/000000/*/latents.npy")):
        place = folder / drawn.relative_to(drawn.parents[3])
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(drawn, place)


if __name__ == "__main__":
    typer.run(main)
