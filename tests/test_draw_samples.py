"""The sheets of uncurated samples: nothing is left out, and the answers are those of the numbered pictures."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from commands import ROOT

from posedreamer.stages.sampling.library import load_library

SIZE, BAR = 64, 20


def test_answers_belong_to_the_pictures_and_none_is_left_out(tmp_path: Path) -> None:
    command = [
        sys.executable, "pipelines/draw_samples.py", "--config", "configs/rendered.yaml", "--out", str(tmp_path),
        "--set", f"image={{width: {SIZE}, height: {SIZE}}}",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    first, reader = (cv2.imread(str(tmp_path / name)).astype(int) for name in ("first.jpg", "reader.jpg"))
    assert first.shape == (4 * SIZE, 6 * SIZE, 3) and reader.shape == (4 * (SIZE + BAR), 6 * SIZE, 3)
    answers = json.loads((tmp_path / "reader_answers.json").read_text())
    assert list(answers) == [str(number) for number in range(1, 25)]
    places = [int(answer["key"].rsplit("-", 1)[1]) for answer in answers.values()]
    assert sorted(places) == list(range(24)) and places != sorted(places)
    assert {answer["family"] for answer in answers.values()} <= set(load_library().families())
    for number, place in enumerate(places):
        if place < 12:
            shown = cell(reader, number // 6, number % 6, SIZE + BAR)[BAR:]
            told = cell(first, 2 * (place // 6) + 1, place % 6, SIZE)
            assert np.abs(shown - told).mean() < 4.0  # two JPEGs of one picture; of two pictures it is 30 and more


def cell(sheet: np.ndarray, row: int, column: int, height: int) -> np.ndarray:
    return sheet[row * height : (row + 1) * height, column * SIZE : (column + 1) * SIZE]
