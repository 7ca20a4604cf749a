"""What is chosen, what is not, and that the same rows give the same choice."""

import json

import numpy as np
import pytest

from posedreamer.bodies.vector import parameter_vector
from posedreamer.geometry.rotations import compose_rotvec, rotmat_to_rotvec, rotvec_to_rotmat
from posedreamer.sample import PARAMETER_SHAPES, BodyParameters
from posedreamer.stages.mining.curriculum import (
    POSE_FIELDS,
    CandidatePoses,
    ScoredRows,
    plan_curriculum,
    predict_over_views,
    vectors_of,
)
from posedreamer.stages.mining.score_model import Fit

WANTED = {"chosen": 30, "floor": 0.3}


def random_arrays(rng: np.random.Generator, count: int, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: rng.normal(0, 0.5, (count, *PARAMETER_SHAPES[name])).astype(np.float32) for name in names}


def oks_of(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """A made-up law: the more the left knee (joint 4 of the body, row 3) bends about x, the worse."""
    return np.clip(0.7 - 0.5 * arrays["body_pose"][:, 3, 0], 0.0, 1.0).astype(np.float64)


def scored_rows(count: int = 200, seed: int = 0) -> ScoredRows:
    rng = np.random.default_rng(seed)
    arrays = random_arrays(rng, count, tuple(PARAMETER_SHAPES))
    cameras = np.tile(np.eye(4), (count, 1, 1))
    cameras[:, :3, :3] = rotvec_to_rotmat(rng.normal(0, 1, (count, 3)))
    return ScoredRows(arrays, cameras, oks_of(arrays), np.full(count, np.nan))


def candidate_poses(count: int = 240, seed: int = 1) -> CandidatePoses:
    arrays = random_arrays(np.random.default_rng(seed), count, POSE_FIELDS)
    families = [("yoga", "work", "dance")[index % 3] for index in range(count)]
    joints = np.concatenate([arrays["global_orient"][:, None], arrays["body_pose"]], axis=1)
    return CandidatePoses(arrays, joints, families, [(family, "pose") for family in families], ["library"] * count)


def test_chooses_hard_poses_above_the_floor() -> None:
    candidates = candidate_poses()
    truth = oks_of(candidates.arrays)
    table, report = plan_curriculum(scored_rows(), candidates, np.random.default_rng(2), **WANTED)
    assert table is not None
    knee = np.stack(table["body_pose"].to_numpy(zero_copy_only=False)).reshape(-1, 21, 3)[:, 3, 0]
    chosen_truth = 0.7 - 0.5 * knee
    assert table.num_rows == report["chosen"] == 30
    assert chosen_truth.mean() < np.quantile(truth, 0.25)
    assert min(table["predicted_oks"].to_pylist()) >= report["floor"] >= 0.3
    assert report["model_of_oks"]["rank_correlation"] > 0.8
    assert report["model_of_oks"]["rmse"] < 0.5 * report["model_of_oks"]["rmse_of_the_mean"]
    legs = next(entry for entry in report["importance_for_oks"] if entry["part"] == "legs")
    assert legs["share_of_gain"] > 0.8
    json.dumps(report, allow_nan=False)


def test_table_holds_the_candidates_as_they_are() -> None:
    """All pose fields, world-frame orientation untouched; no shape and no place, which are drawn later."""
    candidates = candidate_poses()
    table, _ = plan_curriculum(scored_rows(), candidates, np.random.default_rng(2), **WANTED)
    assert table is not None
    assert set(table.column_names) == {*POSE_FIELDS, "predicted_oks", "family", "tags", "source"}
    pool = candidates.arrays["body_pose"].reshape(240, -1)
    for row in table.to_pylist():
        (index,) = np.flatnonzero((pool == np.float32(row["body_pose"])).all(1))
        for name in POSE_FIELDS:
            np.testing.assert_array_equal(np.float32(row[name]), candidates.arrays[name][index].ravel())
        assert row["tags"] == list(candidates.tags[index]) and row["family"] == candidates.families[index]


def test_same_rows_same_choice() -> None:
    first, second = (
        plan_curriculum(scored_rows(), candidate_poses(), np.random.default_rng(2), **WANTED) for _ in range(2)
    )
    assert first.report == second.report
    assert first.table is not None and first.table.equals(second.table)


def test_unscored_rows_are_left_out() -> None:
    rows = scored_rows(60)
    rows.oks[:30] = np.nan
    table, report = plan_curriculum(rows, candidate_poses(), np.random.default_rng(2), **WANTED)
    assert table is None
    assert report["rows"] == 30 and "30 rows whose oks is known, at least 40" in report["why"]


@pytest.mark.parametrize(("scale", "reason"), [(0.0, "all 200 rows have the same oks"), (0.2, "under the floor")])
def test_says_why_it_chooses_nothing(scale: float, reason: str) -> None:
    rows = scored_rows()
    rows.oks[:] *= scale
    table, report = plan_curriculum(rows, candidate_poses(), np.random.default_rng(2), **WANTED)
    assert table is None
    assert reason in report["why"] and "drawn like this one" in report["why"]


def test_a_learner_s_target_chooses_what_is_difficult_for_it_and_can_be_drawn() -> None:
    """Difficulty grows with the other knee, generatability falls with the first: each target goes its own way."""
    rows, candidates = scored_rows(300), candidate_poses()
    other = rows.arrays["body_pose"][:, 4, 0].astype(np.float64)
    difficulty = np.where(np.arange(300) % 4 == 0, np.nan, 80.0 + 40.0 * other)
    rows = ScoredRows(rows.arrays, rows.T_cam_from_world, rows.oks, difficulty)
    tables = {}
    for target in ("generation", "hmr"):
        table, report = plan_curriculum(rows, candidates, np.random.default_rng(2), target=target, **WANTED)
        assert table is not None and table.num_rows == 30
        assert min(table["predicted_oks"].to_pylist()) >= report["floor"]
        tables[target] = np.stack(table["body_pose"].to_numpy(zero_copy_only=False)).reshape(-1, 21, 3)
        json.dumps(report, allow_nan=False)
    assert report["model_of_difficulty"]["rank_correlation"] > 0.8 and len(report["calibration_of_difficulty"]) == 10
    assert "highest predicted difficulty" in report["why"] and "225 rows" in report["why"]
    assert table["predicted_difficulty"].to_numpy().mean() > np.quantile(report["predicted_difficulty_of_pool"], 0.8)
    (first, other_first), (second, other_second) = (tables[name][:, 3:5, 0].mean(0) for name in ("generation", "hmr"))
    assert first > second + 0.3 and other_second > other_first + 0.3


def test_a_learner_s_target_without_a_learner_says_so() -> None:
    table, report = plan_curriculum(scored_rows(), candidate_poses(), np.random.default_rng(2), target="hmr", **WANTED)
    assert table is None and "No curriculum: 0 rows whose difficulty is known, at least 40 are needed" in report["why"]


def test_candidates_are_seen_from_the_rows_viewpoints() -> None:
    """Camera-frame orientation, betas and transl of the vector are those of the view's row; the mean is over views."""
    rows, candidates = scored_rows(5), candidate_poses(3)
    asked: list[np.ndarray] = []

    class Recorder(Fit):
        def predict(self, vectors: np.ndarray) -> np.ndarray:
            asked.append(vectors)
            return vectors[:, 63]

    fit = Recorder(None, "rotvec", (0.0, 1.0), 0, 0, 0.0, 0.0, 0.0, (), {})
    mean = predict_over_views(fit, candidates, rows, np.array([4, 1]))
    np.testing.assert_allclose(mean, (asked[0][:, 63] + asked[1][:, 63]) / 2)
    turned = compose_rotvec(rotmat_to_rotvec(rows.T_cam_from_world[4, :3, :3]), candidates.arrays["global_orient"][2])
    np.testing.assert_allclose(asked[0][2, 63:66], turned, atol=1e-6)
    np.testing.assert_allclose(asked[0][2, 66:76], rows.arrays["betas"][4])
    np.testing.assert_allclose(asked[0][2, 76:79], rows.arrays["transl"][4])
    np.testing.assert_allclose(asked[0][2, :63], candidates.arrays["body_pose"][2].ravel())


def test_vectors_equal_those_of_single_bodies() -> None:
    rows = scored_rows(4)
    single = [parameter_vector(BodyParameters(**{k: v[i] for k, v in rows.arrays.items()})) for i in range(4)]
    np.testing.assert_array_equal(vectors_of(rows.arrays), np.stack(single))


def test_bad_arrays_are_refused() -> None:
    good = candidate_poses(3)
    with pytest.raises(ValueError, match=r"jaw_pose has shape None, expected \(3, 3\)"):
        CandidatePoses(
            {k: v for k, v in good.arrays.items() if k != "jaw_pose"},
            good.joints,
            good.families,
            good.tags,
            good.sources,
        )
    with pytest.raises(ValueError, match="2 sources"):
        CandidatePoses(good.arrays, good.joints, good.families, good.tags, good.sources[:2])
    spoiled = {**good.arrays, "jaw_pose": np.full((3, 3), np.nan, np.float32)}
    with pytest.raises(ValueError, match="jaw_pose is not finite in row 0"):
        CandidatePoses(spoiled, good.joints, good.families, good.tags, good.sources)
