"""Measures a generator on held-out bodies: poses, silhouettes, attributes, distances of sets, copies of the training set.

    python pipelines/render_training_set.py --out runs/held_out --samples 640 --size 256 --split held_out --seed 2
    python pipelines/evaluate_generator.py --data runs/held_out --train runs/people --out runs/evaluation

Three kinds of pictures, the same labels and the same observers: true renders (the ceiling), generated from the same bodies'
maps and prompts, and generated from another body's map (the floor: what a generator that ignores its condition would
score). No pose, clip, shape or pair of colours of the held-out split is seen in training (assets/splits.yaml).

The generator is that of the config. Its settings are chosen on other rows, by tune_generator.py. How silhouettes and
attributes are read from pictures: posedreamer/estimators/observer.py; the measures: posedreamer/training/generator_measures.py.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posedreamer.config import load_config
from posedreamer.estimators.features import FeatureExtractor
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.estimators.observer import Observer
from posedreamer.metrics.distribution import frechet_distance, kernel_distance
from posedreamer.metrics.nearest import nearest
from posedreamer.seeds import generator_for
from posedreamer.stages.generation.stage import GenerationStage
from posedreamer.training.generator_measures import draw_people, measure, summary
from posedreamer.training.nano_data import open_dataset
from posedreamer.training.nano_preview import save_grid

SHOWN = 50  # pictures whose nearest neighbour in the training set is shown


def main() -> None:
    # config: what is measured
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="packed data set of the held-out split")
    parser.add_argument("--train", type=Path, help="packed data set of training, to look for copies")
    parser.add_argument("--config", type=Path, default=Path("configs/nano.yaml"), help="whose generator is measured")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="a.b=value, over the config")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument(
        "--train-count", type=int, default=4096, help="rows of the training set that are looked through"
    )
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.overrides)
    arguments.out.mkdir(parents=True, exist_ok=True)

    # inputs: labels, prompts and true renders of the held-out split
    people = open_dataset(arguments.data, arguments.count, split="held_out")

    # stages: the generator and those who look at its pictures
    stage = GenerationStage(**config.generator.model_dump())
    stage.setup()
    model, drawing = stage.backend, stage.drawing
    judge, observer = KeypointDetector(arguments.threads).setup(), Observer(arguments.threads).setup()
    torch.set_num_threads(arguments.threads)
    features = FeatureExtractor().setup()

    # run
    started, used = time.monotonic(), time.process_time()
    pictures = draw_people(model, drawing, people, config.seed, config.generator.batch_size)
    cost = {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - used}
    np.save(arguments.out / "generated.npy", pictures)
    other = np.roll(np.arange(len(pictures)), len(pictures) // 2)
    made, true, shuffled = (
        measure(shown, people, judge, observer) for shown in (pictures, people.images, pictures[other])
    )
    found = summary(made, true, shuffled, people.tags, generator_for(config.seed, "evaluation", "bootstrap"))
    of_generated, of_true = (features.extract(list(shown)) for shown in (pictures, people.images))
    found["held_out_renders"] = distances(of_generated, of_true)
    if arguments.train is not None:
        trained_on = open_dataset(arguments.train, arguments.train_count, split="train")
        of_train = features.extract(list(trained_on.images))
        found["training_renders"] = distances(of_generated, of_train)
        copies, near = nearest(of_generated, of_train)
        _, near_true = nearest(of_true, of_train)
        found["nearest_in_training"] = {"generated": float(np.median(near)), "true": float(np.median(near_true))}
        rows = [pictures[:SHOWN], np.asarray(trained_on.images)[copies[:SHOWN]]]
        save_grid(arguments.out / "nearest.png", [row[k : k + 10] for k in range(0, SHOWN, 10) for row in rows])

    # report
    settings = config.generator.model_dump(mode="json")
    per_picture = {name: value / len(pictures) for name, value in cost.items()}
    result = {"model": model.identity, "bodies": len(pictures), "settings": settings, "cost": per_picture, **found}
    (arguments.out / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")
    order = np.argsort(np.nan_to_num(made.oks_coco - true.oks_coco))
    for name, chosen in {"first": np.arange(30), "worst": order[:30]}.items():
        rows = [maps[chosen[k : k + 10]] for k in (0, 10, 20) for maps in (people.xyz, pictures, people.images)]
        save_grid(arguments.out / f"{name}.png", rows)
    print(json.dumps({key: value for key, value in result.items() if key != "settings"}, indent=1, default=str))


def distances(of_pictures: np.ndarray, of_others: np.ndarray) -> dict[str, Any]:
    """Set-level distances of features; the Fréchet one on equally many of both."""
    count = min(len(of_pictures), len(of_others))
    return {
        "kid_effnet": kernel_distance(of_pictures, of_others),
        "fd_effnet": frechet_distance(of_pictures[:count], of_others[:count]),
        "count": len(of_others),
    }


if __name__ == "__main__":
    main()
