"""Measures how well a generator shows the poses asked for: the judge's OKS of its pictures against that of true renders.

    python pipelines/render_people.py --out runs/held_out --samples 200 --split held_out
    python pipelines/evaluate_generator.py --data runs/held_out --model nano --out runs/evaluation

Three kinds of pictures, one judge, the same labels: true renders, generated from the same bodies' maps and prompts, and
generated from another body's map (what a generator that ignores its condition would score). The ratio is the second over
the first. No body, pose, shape or prompt rule of the held-out split is seen in training (assets/splits.yaml).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

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
    parser.add_argument("--model", default="nano", help="nano, or the folder of a pipeline made for xyz maps")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--controlnet-scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)

    # inputs: labels and true renders, whose split is checked
    facts = json.loads((settings.data / "dataset.json").read_text())
    if facts["split"] != "held_out" or facts["count"] < settings.count:
        raise ValueError(
            f"evaluate: expected {settings.count} rows of the held-out split in {settings.data}, got {facts}"
        )
    images, maps, keypoints, areas = (
        np.load(settings.data / f"{name}.npy", allow_pickle=False)[: settings.count]
        for name in ("images", "xyz", "coco_keypoints", "mask_area")
    )
    prompts = json.loads((settings.data / "prompts.json").read_text())[: settings.count]

    # stages: the generator and the judge
    model = load_model(settings.model, None, "xyz", (), torch.float32, "cpu")
    detector = KeypointDetector(settings.threads).setup()
    drawing = Drawing(settings.steps, settings.guidance, settings.controlnet_scale, "")

    # run
    start = time.monotonic()
    generated = generate(model, prompts, maps, drawing, settings.seed, batch=8)
    seconds = (time.monotonic() - start) / len(maps)
    true = score(detector, images, keypoints, areas)
    made = score(detector, generated, keypoints, areas)
    other = np.roll(np.arange(len(maps)), len(maps) // 2)
    shuffled = score(detector, generated[other], keypoints, areas)

    # report
    result = {
        "model": model.identity,
        "bodies": len(maps),
        "steps": settings.steps,
        "guidance": settings.guidance,
        "controlnet_scale": settings.controlnet_scale,
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
