"""How a generator's pictures depend on its settings: steps, guidance, weight of the ControlNet, one at a time.

    python pipelines/tune_generator.py --data runs/held_out --first 500 --count 64 --out runs/tuning

Measured on held-out rows that evaluate_generator.py does not use, with the same seeds throughout, so that differences are those of
the settings. Time and processor time a picture are those of the whole pipeline, text encoder and autoencoder included.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from posedreamer.config import load_config
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.estimators.observer import Observer
from posedreamer.stages.generation.stage import GenerationStage
from posedreamer.training.generator_measures import draw_people, measure
from posedreamer.training.nano_data import open_dataset, some_rows

GRID = {
    "steps": (1, 2, 3, 4, 6, 8, 12, 16),
    "guidance": (1.0, 1.5, 2.0, 3.0, 4.0),
    "controlnet_scale": (0.6, 0.8, 1.0, 1.2, 1.4, 1.6),
}


def main() -> None:
    # config: what is varied
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="packed data set of the held-out split")
    parser.add_argument("--config", type=Path, default=Path("configs/nano.yaml"), help="whose generator is measured")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="a.b=value, over the config")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=500)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--vary", choices=tuple(GRID), action="append", help="only this, may be repeated")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.overrides)
    arguments.out.mkdir(parents=True, exist_ok=True)

    # inputs and stages
    people = some_rows(
        open_dataset(arguments.data, arguments.first + arguments.count, split="held_out"),
        slice(arguments.first, arguments.first + arguments.count),
    )
    stage = GenerationStage(**config.generator.model_dump())
    stage.setup()
    model, drawing = stage.backend, stage.drawing
    judge, observer = KeypointDetector(arguments.threads).setup(), Observer(arguments.threads).setup()
    torch.set_num_threads(arguments.threads)
    ceiling = measure(people.images, people, judge, observer)

    # run: the settings as they are, and each of the grid's values for itself
    rows = []
    for name in arguments.vary or GRID:
        for value in sorted({*GRID[name], getattr(drawing, name)}):
            started, used = time.monotonic(), time.process_time()
            changed = drawing._replace(**{name: value})
            pictures = draw_people(model, changed, people, config.seed, config.generator.batch_size)
            cost = [(time.monotonic() - started) / len(pictures), (time.process_time() - used) / len(pictures)]
            found = measure(pictures, people, judge, observer)
            ratio = float(np.nanmean(found.oks_coco) / np.nanmean(ceiling.oks_coco))
            row = {
                "varied": name, "value": value, "is_default": value == getattr(drawing, name), "oks_coco_ratio": ratio,
                "mask_iou": float(np.nanmean(found.iou)), "attributes": float(np.nanmean(found.attributes)),
                "seconds": cost[0], "cpu_seconds": cost[1],
            }  # fmt: skip
            rows.append(row)
            print(json.dumps(row), flush=True)

    # report
    (arguments.out / "tuning.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{arguments.out / 'tuning.json'}: {len(rows)} settings on {arguments.count} bodies")


if __name__ == "__main__":
    main()
