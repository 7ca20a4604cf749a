"""Measures how well a generator shows the poses asked for: the judge's OKS of its pictures against that of true renders.

    python pipelines/render_training_set.py --out runs/held_out --samples 256 --split held_out --seed 2
    python pipelines/evaluate_generator.py --data runs/held_out --out runs/evaluation

Three kinds of pictures, one judge, the same labels: true renders, generated from the same bodies' maps and prompts, and
generated from another body's map (what a generator that ignores its condition would score). The ratio is the second over
the first. No body, pose, shape or prompt rule of the held-out split is seen in training (assets/splits.yaml).

The generator is that of the config. To try other settings: `--set generator.controlnet_scale=1.3 --first 200 --count 56`, on
bodies that the measured number does not come from.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from posedreamer.config import load_config
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.metrics.oks import oks, oks_coco
from posedreamer.seeds import seed_for
from posedreamer.stages.generation.diffusers_backend import Drawing, Model, draw, load_model
from posedreamer.training.nano_preview import save_grid


def score(detector: KeypointDetector, images: np.ndarray, keypoints: np.ndarray, areas: np.ndarray) -> dict[str, float]:
    """Mean oks (visible joints) and oks_coco (all joints in the picture) over the rows that have such joints."""
    found = [detector.detect(image).keypoints for image in images]
    rows = list(zip(found, keypoints, areas, strict=True))
    measures = {"oks": oks, "oks_coco": oks_coco}
    return {
        name: float(
            np.nanmean(np.array([measure(at, expected, float(area)) for at, expected, area in rows], dtype=float))
        )
        for name, measure in measures.items()
    }


def generate(model: Model, prompts: list[str], maps: np.ndarray, drawing: Drawing, seed: int, batch: int) -> np.ndarray:
    """Pictures of all rows, uint8."""
    drawn = []
    for first in range(0, len(maps), batch):
        rows = range(first, min(first + batch, len(maps)))
        seeds = [seed_for(seed, f"held_out-{row}", "noise") for row in rows]
        drawn.append(draw(model, [prompts[row] for row in rows], maps[rows.start : rows.stop], seeds, drawing))
    return (255.0 * np.concatenate(drawn)).round().astype(np.uint8)


def main() -> None:
    # config: what is measured
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="packed data set of the held-out split")
    parser.add_argument("--config", type=Path, default=Path("configs/nano.yaml"), help="whose generator is measured")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="a.b=value, over the config")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="row of the data set to begin with")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    config = load_config(settings.config, settings.overrides)
    generator = config.generator
    if generator.condition != "xyz":
        raise ValueError(f"evaluate: the data set holds xyz maps, the generator wants {generator.condition}")

    # inputs: labels and true renders, whose split is checked
    facts = json.loads((settings.data / "dataset.json").read_text())
    rows = slice(settings.first, settings.first + settings.count)
    if facts["split"] != "held_out" or facts["count"] < rows.stop:
        raise ValueError(f"evaluate: expected {rows.stop} rows of the held-out split in {settings.data}, got {facts}")
    images, maps, keypoints, areas = (
        np.load(settings.data / f"{name}.npy", allow_pickle=False)[rows]
        for name in ("images", "xyz", "coco_keypoints", "mask_area")
    )
    prompts = json.loads((settings.data / "prompts.json").read_text())[rows]

    # stages: the generator and the judge
    dtype = getattr(torch, generator.dtype)
    model = load_model(
        generator.model, generator.controlnet, generator.condition, generator.adapters, dtype, generator.device
    )
    detector = KeypointDetector(settings.threads).setup()
    drawing = Drawing(generator.steps, generator.guidance, generator.controlnet_scale, generator.negative_prompt)

    # run
    start = time.monotonic()
    generated = generate(model, prompts, maps, drawing, config.seed, generator.batch_size)
    seconds = (time.monotonic() - start) / len(maps)
    true = score(detector, images, keypoints, areas)
    made = score(detector, generated, keypoints, areas)
    other = np.roll(np.arange(len(maps)), len(maps) // 2)
    shuffled = score(detector, generated[other], keypoints, areas)

    # report
    result = {
        "model": model.identity,
        "bodies": len(maps),
        "settings": generator.model_dump(mode="json"),
        "seconds_a_picture": seconds,
        "true": true,
        "generated": made,
        "shuffled": shuffled,
        "ratio": {name: made[name] / true[name] for name in true},
    }
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")
    groups = [slice(first, first + 10) for first in (0, 10, 20)]
    save_grid(settings.out / "held_out.png", [rows[part] for part in groups for rows in (maps, generated, images)])
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
