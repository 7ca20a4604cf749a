"""Mining of a finished dataset: it is read, never changed, and a learner is asked about each kept sample once."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from posedreamer import mine
from posedreamer.estimators.mesh import MeshEstimate
from posedreamer.mine import mine_dataset, to_text, write_report
from posedreamer.storage.index import read_index
from posedreamer.storage.shard import read_shard

RUN = Path(__file__).parents[1] / "shards" / "sample"


class Shrinking:
    """A learner that finds the true joints of the sample shard's people, but for a hand, which is off by its number of centimetres."""

    identity = "shrinking"

    def setup(self):
        self.labels = [sample.label for sample in read_shard(RUN / "shards" / "000000.tar")]
        return self

    def estimate(self, pictures, bboxes, Ks):
        found = []
        for bbox in bboxes:
            (place,) = [n for n, label in enumerate(self.labels) if np.array_equal(label.bbox.astype(np.float64), bbox)]
            label = self.labels[place]
            joints = label.joints_cam[:22].astype(np.float64).copy()
            joints[20] += [0.01 * place, 0.0, 0.0]
            found.append(MeshEstimate(joints, label.coco_keypoints[:, :2].astype(np.float64), None))
        return found


@pytest.fixture(autouse=True)
def small_pool(monkeypatch) -> None:
    monkeypatch.setattr(mine, "POOL", 40)
    monkeypatch.setattr(mine, "REGIONS", 4)


def test_regions_add_up_and_a_learner_s_difficulty_is_told_by_key(monkeypatch, tmp_path) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(sys.modules, "test_mine", sys.modules[__name__])
    before = {path.name: path.read_bytes() for path in RUN.rglob("*") if path.is_file()}
    rows = read_index(RUN).to_pylist()
    report = mine_dataset(str(RUN), "test_mine:Shrinking", 1)
    kept = [row["key"] for row in rows if row["status"] == "kept"]
    assert report["kept"] == len(kept) == sum(region["kept"] for region in report["regions"])
    assert report["attempted"] == sum(region["attempted"] for region in report["regions"])
    assert sum(region["of_kept"] for region in report["regions"]) == pytest.approx(1.0, abs=1e-3)
    difficulties = list(report["difficulty_mm"].values())
    assert list(report["difficulty_mm"]) == kept and difficulties[0] < 0.01
    # Aligning takes a part of the hand's error, another in each pose.
    assert np.corrcoef(difficulties, np.arange(len(kept)))[0, 1] > 0.95 and min(difficulties[1:]) > 0.1
    write_report(report, tmp_path / "mining.json")
    assert json.loads((tmp_path / "mining.json").read_text()) == report
    text = to_text(report)
    assert len(text.splitlines()) == 3 + len(report["regions"]) and report["regions"][0]["around"] in text
    assert {path.name: path.read_bytes() for path in RUN.rglob("*") if path.is_file()} == before


def test_without_a_learner_what_the_run_recorded_is_told() -> None:
    report = mine_dataset(str(RUN), None, 1)
    assert "difficulty_mm" not in report and all(region["mean_difficulty_mm"] is None for region in report["regions"])
    assert any(region["mean_oks"] is not None for region in report["regions"])
