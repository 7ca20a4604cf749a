"""Draws the first samples of a config, uncurated: `python pipelines/draw_samples.py --out docs/nano`.

`first.jpg` is the README's picture: what stages 1 and 2 make of the first keys, each over the xyz map that it was made from. No
check has looked at them. `reader.jpg` shows the first 24 in shuffled order and without maps, numbered, for a reader who does
not know the labels: which family of poses (docs/poses), what colour is the top? `reader_answers.json` tells.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from posedreamer.config import load_config
from posedreamer.factory import run_shard
from posedreamer.line import make_line
from posedreamer.sample import Sample
from posedreamer.seeds import generator_for
from posedreamer.storage.files import write_file
from posedreamer.storage.images import encode_rgb

FIRST, FIRST_COLUMNS = 12, 6
READ, READ_COLUMNS = 24, 6
# What kind of pose a motion clip shows, for the reader: clips have no family of their own.
CLIP_FAMILIES = {
    "acrobatic": ("backflip", "cartwheel", "roll"),
    "dance": ("dance_a", "dance_b", "spin"),
    "everyday": ("walk",),
    "floor": ("crawl", "getup_facedown", "getup_faceup"),
    "sport": ("jump", "kick", "punch", "run", "spinkick"),
}
NUMBER_BAR = 20  # pixels above each picture of the reader's sheet


def main() -> None:
    # config: whose first shard is drawn
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/nano.yaml"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="a.b=value, over the config")
    parser.add_argument("--out", type=Path, default=Path("docs/nano"))
    arguments = parser.parse_args()
    config = load_config(arguments.config, [*arguments.overrides, f"shard_size={READ}"])
    arguments.out.mkdir(parents=True, exist_ok=True)

    # stages: the first round has no curriculum, so nothing is read from the run directory
    line = make_line(config, str(arguments.out), 0)
    stages = [("sampling", line.sampling), ("generation", line.generation)]
    for _, stage in stages:
        stage.setup()

    # run
    samples = run_shard(config, stages, 0, 0)

    # report
    write_file(arguments.out / "first.jpg", encode_rgb(first_sheet(samples[:FIRST]), "jpg"))
    order = generator_for(config.seed, "reader", "order").permutation(READ)
    shuffled = [samples[place] for place in order]
    write_file(arguments.out / "reader.jpg", encode_rgb(reader_sheet(shuffled), "jpg"))
    answers = {str(number): answer(sample) for number, sample in enumerate(shuffled, start=1)}
    (arguments.out / "reader_answers.json").write_text(json.dumps(answers, indent=1) + "\n")


def first_sheet(samples: Sequence[Sample]) -> np.ndarray:
    """Rows of maps, each over a row of the pictures made from them."""
    rows = []
    for first in range(0, len(samples), FIRST_COLUMNS):
        part = [parts_of(sample) for sample in samples[first : first + FIRST_COLUMNS]]
        rows += [np.hstack([xyz for xyz, _ in part]), np.hstack([rgb for _, rgb in part])]
    return np.vstack(rows)


def reader_sheet(samples: Sequence[Sample]) -> np.ndarray:
    """Numbered pictures in rows."""
    cells = []
    for number, sample in enumerate(samples, start=1):
        _, rgb = parts_of(sample)
        bar = np.full((NUMBER_BAR, rgb.shape[1], 3), 255, np.uint8)
        cv2.putText(bar, str(number), (4, NUMBER_BAR - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        cells.append(np.vstack([bar, rgb]))
    return np.vstack([np.hstack(cells[k : k + READ_COLUMNS]) for k in range(0, len(cells), READ_COLUMNS)])


def parts_of(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The xyz map and the picture; a sample that failed is a ValueError, for a gap would be curation."""
    if sample.condition is None or sample.image is None:
        raise ValueError(f"sample {sample.key}: {sample.verdict.reason}; expected a picture")
    return sample.condition.xyz, sample.image.rgb


def answer(sample: Sample) -> dict[str, str]:
    """What a reader is asked, by the label and the prompt."""
    assert sample.label is not None and sample.prompt is not None
    family, name = sample.label.tags[:2]
    if family == "motion":
        clip = name.removeprefix("humanoid3d_")
        family = next(kind for kind, clips in CLIP_FAMILIES.items() if clip in clips)
    clothes = {name: sample.prompt.attributes[name] for name in ("top", "top_color")}
    return {"key": sample.key, "family": family, "tags": " ".join(sample.label.tags[1:]), **clothes}


if __name__ == "__main__":
    main()
