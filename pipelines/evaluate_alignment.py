"""Measures what an adapter brought: the same held-out labels, prompts and noise, without and with it.

    python pipelines/evaluate_alignment.py --data runs/held_out --adapter runs/align/round-1/adapter --out runs/align/evaluation

The judge that the pairs were chosen by is asked, and one that was not: a gain that only the first sees is its own quirk. So are
silhouettes, attributes, distances to true renders and how unlike the pictures of one label are. `--seeds` draws every label
so many times both ways; the other seeds tell the spread of distances, and the best of so many without the adapter: what choosing
without training gives. Hardness of labels falls out: all intervals are of pairs.
"""

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from posedreamer.alignment.gain import best_of, feature_spread, gain_by_family, paired_gain
from posedreamer.config import load_config
from posedreamer.estimators.features import FeatureExtractor
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.estimators.observer import Observer
from posedreamer.metrics.distribution import frechet_distance, kernel_distance
from posedreamer.report.figures import save_histograms
from posedreamer.seeds import generator_for
from posedreamer.stages.generation.stage import GenerationStage
from posedreamer.training.generator_measures import draw_people, family_rows, measure
from posedreamer.training.nano_data import open_dataset
from posedreamer.training.nano_preview import save_grid

JUDGED = ("oks", "oks_coco", "second_oks", "iou", "attributes")  # columns of Measures whose gain is told


def main(
    data: Annotated[Path, typer.Option(help="packed data set of the held-out split (render_training_set.py)")],
    adapter: Annotated[list[str], typer.Option(help="folder of an adapter; several are added up")],
    out: Annotated[Path, typer.Option(help="folder of the evaluation")],
    config: Annotated[Path, typer.Option(help="YAML file of the line whose generator is measured")] = Path("configs/nano.yaml"),
    override: Annotated[list[str], typer.Option("--set", help="a.b=value, over the file")] = [],  # noqa: B006
    count: Annotated[int, typer.Option(help="labels")] = 500,
    seeds: Annotated[int, typer.Option(min=1, help="pictures of each label, without and with the adapter")] = 1,
    threads: Annotated[int, typer.Option()] = 1,
) -> None:  # fmt: skip
    # config and inputs: one generator twice, labels and true renders of the held-out split
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = load_config(config, override)
    generators = {
        "before": settings.generator.model_copy(update={"adapters": ()}),
        "after": settings.generator.model_copy(update={"adapters": tuple(adapter)}),
    }
    people = open_dataset(data, count, split="held_out")
    out.mkdir(parents=True, exist_ok=True)

    # stages: the generators and those who look at their pictures
    judge, observer, features = KeypointDetector(threads).setup(), Observer(threads).setup(), FeatureExtractor().setup()
    true = measure(people.images, people, judge, observer)
    of_true = features.extract(list(people.images))

    # run
    pictures, measured, extracted, identities = {}, {}, {}, {}
    for kind, generator in generators.items():
        stage = GenerationStage(**generator.model_dump())
        stage.setup()
        torch.set_num_threads(threads)
        identities[kind] = stage.backend.identity
        drawn = [
            draw_people(stage.backend, stage.drawing, people, settings.seed + seed, generator.batch_size)
            for seed in range(seeds)
        ]
        pictures[kind] = drawn[0]
        measured[kind] = [measure(shown, people, judge, observer) for shown in drawn]
        extracted[kind] = [features.extract(list(shown)) for shown in drawn]

    # report
    rng = generator_for(settings.seed, "alignment", "bootstrap")
    before, after = measured["before"][0], measured["after"][0]
    found: dict[str, Any] = {"models": identities, "labels": len(people.prompts), "seeds": seeds}
    for name in JUDGED:
        columns = {
            kind: getattr(one, name) for kind, one in {"before": before, "after": after, "ceiling": true}.items()
        }
        found[name] = paired_gain(**columns, rng=rng)
    found["families"] = gain_by_family(before.oks, after.oks, family_rows(people.tags), rng)
    for kind, per_seed in extracted.items():
        found[f"distances_{kind}"] = [
            {"kid_effnet": kernel_distance(rows, of_true), "fd_effnet": frechet_distance(rows, of_true)}
            for rows in per_seed
        ]
        if seeds > 1:
            found[f"feature_spread_{kind}"] = feature_spread(per_seed)
    if seeds > 1:
        chosen = best_of([one.oks for one in measured["before"]])
        found[f"best_of_{seeds}_before"] = paired_gain(before.oks, chosen, true.oks, rng)
    (out / "evaluation.json").write_text(json.dumps(found, indent=1) + "\n")
    save_histograms(out / "oks.png", {"true renders": true.oks, "after": after.oks, "before": before.oks}, "OKS")
    order = np.argsort(np.nan_to_num(before.oks - after.oks))
    for name, rows in {"first": np.arange(4), "most_gained": order[:4], "most_lost": order[::-1][:4]}.items():
        save_grid(out / f"{name}.png", [shown[rows] for shown in (people.xyz, pictures["before"], pictures["after"])])
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    typer.run(main)
