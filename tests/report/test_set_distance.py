"""The set-level figures belong to the kept pictures, are the same twice, and a run that cannot have them says so."""

import json

import numpy as np
import pytest
from report_runs import ATTEMPTS, CONFIG, SIZE, write_run

from posedreamer.config import ReferenceConfig
from posedreamer.report import set_distance
from posedreamer.report.set_distance import kept_images, render_reference, write_set_distance
from posedreamer.report.statistics import run_statistics
from posedreamer.storage.images import decode_rgb
from posedreamer.storage.shard import read_shard

SMALL = CONFIG.model_copy(update={"image": CONFIG.image.model_copy(update={"width": SIZE, "height": SIZE})})


class MeanColour:
    """Stands in for the network: three numbers a picture."""

    identity, resize = "mean-colour", "none"

    def setup(self):
        return self

    def extract(self, images):
        return np.stack([image.reshape(-1, 3).mean(0) for image in images]) / 255.0


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


def test_the_kept_pictures_and_no_others_are_measured(run_dir):
    stored = [sample.image.rgb for tar in sorted((run_dir / "shards").glob("*.tar")) for sample in read_shard(tar)]
    found = kept_images(run_dir, 100)
    assert len(found) == sum(attempt[1] == "kept" for attempt in ATTEMPTS)
    assert all(np.array_equal(a, b) for a, b in zip(found, stored, strict=True))
    assert len(kept_images(run_dir, 3)) == 3


def test_renders_are_the_same_twice_and_of_the_size_of_the_run(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        render_reference(SMALL, 2, tmp_path / name)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first == second
    assert len(first) == 2 and len(set(first.values())) == 2
    assert {decode_rgb(data, "x").shape for data in first.values()} == {(SIZE, SIZE, 3)}


def test_the_file_holds_the_figures_and_the_statistics_repeat_them(run_dir, tmp_path, monkeypatch):
    folder = tmp_path / "reference"
    folder.mkdir()
    for place, rgb in enumerate(kept_images(run_dir, 100)):
        (folder / f"{place}.png").write_bytes(set_distance.encode_rgb(rgb))
    monkeypatch.setattr(set_distance, "FeatureExtractor", MeanColour)
    monkeypatch.setattr(set_distance, "MIN_IMAGES", 2)
    monkeypatch.setattr("posedreamer.metrics.reference.MIN_IMAGES", 2)
    config = SMALL.model_copy(update={"reference": ReferenceConfig(folder=str(folder))})
    record = write_set_distance(config, run_dir)
    assert record["fd_effnet"] == pytest.approx(0.0, abs=1e-9)  # the set against itself
    assert json.loads((run_dir / "set_distance.json").read_text())["num_images"] == record["num_images"] == 7
    assert run_statistics(run_dir)["summary"]["fd_effnet"] == record["fd_effnet"]


def test_too_few_pictures_are_said_and_no_reference_leaves_no_file(run_dir):
    config = SMALL.model_copy(update={"reference": ReferenceConfig(renders=32)})
    record = write_set_distance(config, run_dir)
    assert record["kid_effnet"] is None and "7 kept pictures" in record["why"]
    assert run_statistics(run_dir)["summary"]["kid_effnet"] is None
    assert write_set_distance(SMALL, run_dir) is None
    assert not (run_dir / "set_distance.json").exists()
