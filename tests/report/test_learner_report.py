"""The learner's part of the page: poses far apart lie far apart, kept samples alone have a difficulty, and the hardest are shown."""

import re
from pathlib import Path

import numpy as np
import pytest
from report_runs import ATTEMPTS, write_run

from posedreamer.bodies.catalog import load_body
from posedreamer.estimators.mesh import MeshEstimate
from posedreamer.report.charts import scatter_svg
from posedreamer.report.gallery import write_gallery
from posedreamer.report.learner import hardest_cards, hardest_rows, pose_maps, principal_plane
from posedreamer.report.selection import read_samples
from posedreamer.report.statistics import index_rows
from posedreamer.storage.index import read_index

DIFFICULTIES = [10.0 * place for place in range(len(ATTEMPTS))]
KEPT = [place for place, attempt in enumerate(ATTEMPTS) if attempt[1] == "kept"]


class Seer:
    """Sees every person at the label's joints; with a body of the picture's number, or with none."""

    identity = "seer"

    def __init__(self, has_body: bool = True) -> None:
        self.has_body = has_body

    def setup(self):
        return self

    def estimate(self, pictures, bboxes, Ks):
        parameters = self.parameters if self.has_body else None
        return [MeshEstimate(np.zeros((22, 3)), np.full((17, 2), 20.0), parameters) for _ in pictures]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", difficulties=DIFFICULTIES)


def test_kept_samples_are_coloured_and_rejected_ones_hollow(run_dir: Path) -> None:
    maps = pose_maps(run_dir, load_body())
    assert [one["round"] for one in maps] == [0, 1]
    titles = [sorted(re.findall(r"<title>([\d.]+) mm</title>", one["svg"])) for one in maps]
    for number, found in enumerate(titles):
        expected = sorted(f"{DIFFICULTIES[place]:.3g}" for place in KEPT if ATTEMPTS[place][0] == number)
        assert found == expected
        rejected = [attempt for attempt in ATTEMPTS if attempt[0] == number and attempt[1] == "rejected"]
        assert maps[number]["svg"].count('fill="none"') == len(rejected)


def test_no_map_without_difficulties(tmp_path: Path) -> None:
    assert pose_maps(write_run(tmp_path / "plain"), load_body()) == []
    page = write_gallery(tmp_path / "plain").read_text()
    assert "The learner" not in page


def test_the_plane_holds_what_varies_most() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 3, 50), rng.normal(0, 1, 50)
    joints = 0.01 * rng.standard_normal((50, 4, 3))
    joints[:, 1, 0] += first
    joints[:, 2, 1] += second
    plane = principal_plane(joints)
    for axis, expected in enumerate((first, second)):
        assert (
            np.corrcoef(plane[:, axis], expected)[0, 1] > 0.98
        )  # the sign too; fifty draws of the two are not quite uncorrelated


def test_colours_run_from_easy_to_hard() -> None:
    points, values = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.2]]), np.array([0.0, 100.0, np.nan])
    svg = scatter_svg(points, values, np.array([True, True, True]), "mm")
    assert "rgb(44, 122, 170)" in svg and "rgb(214, 69, 46)" in svg and svg.count("<circle") == 3
    assert scatter_svg(points, values, np.zeros(3, dtype=bool), "mm").count("var(--hair)") == 3


@pytest.mark.parametrize("has_body", [True, False])
def test_the_hardest_kept_samples_are_shown_with_what_the_learner_sees(
    run_dir: Path, has_body: bool, monkeypatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    rows = hardest_rows(index_rows(read_index(run_dir)))
    assert [row["scores"]["difficulty"] for row in rows] == sorted(
        (DIFFICULTIES[place] for place in KEPT), reverse=True
    )[:10]
    samples = read_samples(run_dir, rows, None)
    import test_learner_report as own

    monkeypatch.setattr(own.Seer, "parameters", next(iter(samples.values())).label.parameters, raising=False)
    config = {
        "mining": {"learner": {"model": "test_learner_report:Seer", "settings": {"has_body": has_body}}},
        "body": "open",
    }
    cards = hardest_cards(rows, samples, config, load_body())
    assert [card["key"] for card in cards] == [row["key"] for row in rows]
    assert [panel.name for panel in cards[0]["panels"]] == ["picture", "label", "learner over label"]
    assert len({panel.uri for panel in cards[0]["panels"]}) == 3


def test_a_learner_that_is_not_here_draws_nothing(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = hardest_rows(index_rows(read_index(run_dir)))
    config = {"mining": {"learner": {"model": "absent_package:Thing", "settings": {}}}, "body": "open"}
    assert hardest_cards(rows, read_samples(run_dir, rows, None), config, load_body()) == []
    assert "hardest samples are not shown" in caplog.text and "absent_package" in caplog.text
    assert "The learner" in write_gallery(run_dir).read_text()
