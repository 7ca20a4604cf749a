"""The sheet for a reader of verdicts: as many of either kind, each told under its number, shuffled, and the same every time."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import ROOT

from posedreamer.report.pictures import resize
from posedreamer.storage.index import read_index
from posedreamer.storage.locate import find_tars
from posedreamer.storage.shard import read_shard

sys.path.append(str(Path(__file__).parent / "report"))
from report_runs import SIZE as DRAWN
from report_runs import write_run

EACH, SIZE, BAR = 3, 256, 20


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("verdicts") / "run")


def draw(run: Path, out: Path, each: int = EACH) -> subprocess.CompletedProcess:
    command = [sys.executable, "pipelines/draw_verdicts.py", "--run", str(run), "--out", str(out), "--each", str(each)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_verdicts_belong_to_the_numbered_pictures(run: Path, tmp_path: Path) -> None:
    assert draw(run, tmp_path / "a").returncode == 0 and draw(run, tmp_path / "b").returncode == 0
    verdicts = json.loads((tmp_path / "a" / "verdicts.json").read_text())
    assert verdicts == json.loads((tmp_path / "b" / "verdicts.json").read_text())
    statuses = [row["status"] for row in verdicts.values()]
    assert statuses.count("kept") == statuses.count("rejected") == EACH and statuses != sorted(statuses)
    index = {row["key"]: row for row in read_index(run).select(["key", "status", "reason"]).to_pylist()}
    assert all(index[row["key"]] == row for row in verdicts.values())
    samples = {s.key: s for tar in find_tars(f"{run}/{{shards,rejects}}") for s in read_shard(tar)}
    sheet = cv2.cvtColor(cv2.imread(str(tmp_path / "a" / "sheet.jpg")), cv2.COLOR_BGR2RGB).astype(int)
    for place, row in enumerate(verdicts.values()):
        top, left = place // 4 * (SIZE + BAR) + BAR, place % 4 * 2 * SIZE
        shown = sheet[top : top + SIZE, left : left + SIZE]
        picture = resize(samples[row["key"]].image.rgb, SIZE / DRAWN)
        assert np.abs(shown - picture).mean() < 8.0  # JPEG of noise


def test_too_few_of_a_kind_are_refused(run: Path, tmp_path: Path) -> None:
    done = draw(run, tmp_path, 50)
    assert done.returncode != 0 and "50 are wanted" in done.stderr
