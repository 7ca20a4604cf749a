"""Between rounds: what is handed over follows from the earlier rounds' index alone, is written once, and is drawn again."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from posedreamer import curriculum
from posedreamer.bodies.catalog import load_body
from posedreamer.config import Config
from posedreamer.curriculum import draw_candidates, hand_over, read_scored_rows
from posedreamer.sample import PARAMETER_SHAPES, BodyParameters, Label, Sample, Verdict, make_key
from posedreamer.seeds import generator_for
from posedreamer.stages.mining.curriculum import POSE_FIELDS
from posedreamer.stages.sampling.curriculum_source import CurriculumSource
from posedreamer.stages.sampling.sources import PoseDraw
from posedreamer.storage.index import read_index
from posedreamer.storage.shard import write_shard

CONFIG = Config.model_validate({"name": "c", "mining": {"curriculum": {"pool": 60, "chosen": 20, "floor": 0.1}}})


class RandomSource:
    """Poses of one bent knee; every seventh cannot be drawn."""

    def draw(self, rng: np.random.Generator) -> PoseDraw:
        if rng.random() < 1 / 7:
            raise ValueError("sunk in")
        pose = {name: np.zeros(PARAMETER_SHAPES[name]) for name in POSE_FIELDS}
        pose["body_pose"][3, 0] = rng.uniform(0.0, 2.0)
        return PoseDraw(**pose, source="library", tags=("sport", "squat"))


def scored_sample(shard: int, place: int, round_index: int) -> Sample:
    rng = generator_for(1, f"{shard}-{place}", "row")
    arrays = {name: np.zeros(shape, np.float32) for name, shape in PARAMETER_SHAPES.items()}
    arrays["body_pose"][3, 0] = bend = rng.uniform(0.0, 2.0)
    label = Label(
        parameters=BodyParameters(**arrays),
        K=np.eye(3),
        T_cam_from_world=np.eye(4),
        joints_cam=np.zeros((127, 3), np.float32),
        keypoints=np.zeros((127, 2), np.float32),
        visible=np.zeros(127, bool),
        coco_keypoints=np.zeros((17, 3), np.float32),
        bbox=np.zeros(4, np.float32),
        width=64,
        height=64,
        source="library",
        tags=("sport",),
    )
    verdict = Verdict("rejected", "oks_low")
    key = make_key(CONFIG.hash, round_index, shard, place)
    scores = {"oks": 0.9 - 0.3 * float(bend), "difficulty": 90.0 if place % 8 else None}
    return Sample(key, 0, label, scores=scores, verdict=verdict)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    body = {"name": "b", "sha256": "0", "gender": "neutral", "hands": "mean"}
    for shard, round_index in ((0, 0), (1, 0), (2, 1)):
        write_shard(
            tmp_path,
            shard,
            round_index,
            [scored_sample(shard, place, round_index) for place in range(40)],
            {},
            body=body,
        )
    return tmp_path


def test_only_earlier_rounds_are_read(run_dir: Path) -> None:
    assert len(read_scored_rows(str(run_dir), 1).oks) == 80
    assert len(read_scored_rows(str(run_dir), 2).oks) == 120


def test_difficulty_counts_on_kept_rows_alone(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_kept(*given: Any) -> pa.Table:
        table = read_index(*given)
        verdicts = ["rejected" if row % 4 else "kept" for row in range(len(table))]
        return table.set_column(table.column_names.index("status"), "status", pa.array(verdicts))

    assert np.isnan(read_scored_rows(str(run_dir), 1).difficulty).all()
    monkeypatch.setattr(curriculum, "read_index", with_kept)
    known = np.isfinite(read_scored_rows(str(run_dir), 1).difficulty)
    np.testing.assert_array_equal(np.flatnonzero(known), [row for row in range(80) if row % 8 == 4])


def test_the_same_files_whenever_it_is_asked(run_dir: Path) -> None:
    path = hand_over(CONFIG, str(run_dir), 1, RandomSource())
    assert path is not None
    first = {file.name: file.read_bytes() for file in (run_dir / "curriculum").iterdir()}
    for file in (run_dir / "curriculum").iterdir():
        file.unlink()
    assert hand_over(CONFIG, str(run_dir), 1, RandomSource()) == path
    assert {file.name: file.read_bytes() for file in (run_dir / "curriculum").iterdir()} == first


def test_the_target_is_the_config_s(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = {"target": "hmr", "learner": {"model": "package.module:Class"}}
    config = CONFIG.model_copy(update={"mining": CONFIG.mining.model_validate(CONFIG.mining.model_dump() | learner)})
    asked: list[str] = []
    plan = curriculum.plan_curriculum
    monkeypatch.setattr(curriculum, "plan_curriculum", lambda *a, **k: asked.append(k["target"]) or plan(*a, **k))
    # No row of these rounds was kept, so nobody's difficulty is known.
    assert hand_over(config, str(run_dir), 1, RandomSource()) is None and asked == ["hmr"]
    assert "0 rows whose difficulty is known" in (run_dir / "curriculum" / "round-01.json").read_text()


def test_what_is_there_is_taken_as_it_is(run_dir: Path) -> None:
    hand_over(CONFIG, str(run_dir), 1, RandomSource())
    marker = run_dir / "curriculum" / "round-01.json"
    marker.write_text('{"why": "kept"}')
    hand_over(CONFIG, str(run_dir), 1, RandomSource())
    assert marker.read_text() == '{"why": "kept"}'


def test_the_next_round_draws_the_hard_poses_in_the_world_frame(run_dir: Path) -> None:
    path = hand_over(CONFIG, str(run_dir), 1, RandomSource())
    assert path is not None
    source = CurriculumSource(path)
    drawn = [source.draw(generator_for(0, str(index), "draw")) for index in range(50)]
    pool = draw_candidates(RandomSource(), 60, 0, "round-01", load_body()).arrays["body_pose"][:, 3, 0]
    bends = [draw.body_pose[3, 0] for draw in drawn]
    assert np.mean(bends) > np.mean(pool) + 0.2  # the model was taught that bent knees score low
    assert {draw.source for draw in drawn} == {"curriculum"} and all(draw.tags == ("sport", "squat") for draw in drawn)
