"""Draws kept and rejected samples of a run in shuffled order, for a reader who does not know the verdicts.

    python pipelines/draw_verdicts.py --run runs/demo --out docs/verdicts

`sheet.jpg` shows each picture beside itself with the label's skeleton over it, numbered: does the picture show one person in that pose, well
enough to train on? `verdicts.json` tells what the checks said. The samples are drawn by the run's seed, of the rejected ones those that have
a picture.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from posedreamer.rendering.overlay import draw_skeleton
from posedreamer.report.pictures import resize, scale_label
from posedreamer.sample import Sample
from posedreamer.seeds import generator_for
from posedreamer.storage.files import write_file
from posedreamer.storage.images import encode_rgb
from posedreamer.storage.locate import find_tars
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.shard import read_shard

SIZE, COLUMNS, BAR = 256, 4, 20  # pixels of a picture, samples in a row, pixels above each


def main(
    run: Annotated[str, typer.Option(help="run directory that keeps its rejects")],
    out: Annotated[Path, typer.Option(help="folder for sheet.jpg and verdicts.json")],
    each: Annotated[int, typer.Option(help="samples of either verdict")] = 20,
) -> None:
    # inputs: the stored samples of either verdict
    seed = read_manifest(run)["config"]["seed"]
    chosen = []
    for kind in ("shards", "rejects"):
        samples = [sample for tar in find_tars(f"{run}/{kind}") for sample in read_shard(tar)]
        if len(samples) < each:
            raise ValueError(f"{run}: {kind} hold {len(samples)} samples, {each} are wanted")
        chosen += [samples[k] for k in generator_for(seed, kind, "verdicts").permutation(len(samples))[:each]]

    # report
    shuffled = [chosen[place] for place in generator_for(seed, "order", "verdicts").permutation(len(chosen))]
    out.mkdir(parents=True, exist_ok=True)
    write_file(out / "sheet.jpg", encode_rgb(sheet(shuffled), "jpg"))
    verdicts = {
        str(number): {"key": sample.key, "status": sample.verdict.status, "reason": sample.verdict.reason}
        for number, sample in enumerate(shuffled, start=1)
    }
    (out / "verdicts.json").write_text(json.dumps(verdicts, indent=1) + "\n")


def sheet(samples: Sequence[Sample]) -> np.ndarray:
    """Numbered pairs of picture and skeleton, in rows; what is missing of the last row is white."""
    cells = [cell(number, sample) for number, sample in enumerate(samples, start=1)]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    return np.vstack([np.hstack(cells[k : k + COLUMNS]) for k in range(0, len(cells), COLUMNS)])


def cell(number: int, sample: Sample) -> np.ndarray:
    """One sample: its number, the picture, and the picture with the label's skeleton, each in a square."""
    assert sample.label is not None and sample.image is not None
    factor = SIZE / max(sample.label.width, sample.label.height)
    rgb = resize(sample.image.rgb, factor)
    height, width = rgb.shape[:2]
    label = scale_label(sample.label, factor, width, height)
    squares = [np.full((SIZE, SIZE, 3), 255, np.uint8) for _ in range(2)]
    for square, picture in zip(squares, (rgb, draw_skeleton(rgb, label.coco_keypoints)), strict=True):
        square[:height, :width] = picture
    bar = np.full((BAR, 2 * SIZE, 3), 255, np.uint8)
    cv2.putText(bar, str(number), (4, BAR - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, np.hstack(squares)])


if __name__ == "__main__":
    typer.run(main)
