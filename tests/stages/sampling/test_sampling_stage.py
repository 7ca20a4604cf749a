"""The stage: what a filled sample holds, that its label is true, and that a failure stays with its sample."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posedreamer.bodies.posing import pose_body
from posedreamer.geometry.cameras import project, transform_points
from posedreamer.rendering.label import draw_label
from posedreamer.sample import PARAMETER_SHAPES, Sample, Verdict
from posedreamer.stages.sampling.curriculum_source import POSE_COLUMNS, CurriculumSource
from posedreamer.stages.sampling.sources import PoseDraw
from posedreamer.stages.sampling.splits import load_splits
from posedreamer.stages.sampling.stage import SamplingStage, prompt_path

VIEWPOINTS = {
    "elevation_deg": (-15.0, 35.0), "roll_sigma_deg": 4.0, "focal_mm": (28.0, 85.0),
    "full_body": 0.7, "half_body": 0.2, "truncated": 0.1,
}  # fmt: skip


def make_stage(**changed: object) -> SamplingStage:
    settings: dict = {
        "body": "open", "width": 96, "height": 128, "sources": [{"kind": "library", "weight": 1.0}], "split": "train",
        "curriculum": None, "curriculum_share": 0.5, "prompts": "people", "viewpoints": VIEWPOINTS, "betas_sigma": 1.0,
        "condition": "depth", "rasterizer": "numba",
    }  # fmt: skip
    stage = SamplingStage(**(settings | changed))
    stage.setup()
    return stage


@pytest.fixture(scope="module")
def stage() -> SamplingStage:
    return make_stage()


@pytest.fixture(scope="module")
def filled(stage: SamplingStage) -> list[Sample]:
    return stage([Sample(f"key-{i}", run_seed=3) for i in range(8)])


def test_labels_agree_with_themselves(stage: SamplingStage, filled: list[Sample]) -> None:
    for sample in filled:
        label, condition = sample.label, sample.condition
        assert sample.is_pending and label and condition and sample.prompt
        drawn = draw_label(stage.body, label.parameters, label.K, 96, 128)
        np.testing.assert_array_equal(drawn.mask, condition.mask)
        np.testing.assert_allclose(drawn.keypoints, label.keypoints)
        np.testing.assert_allclose(project(label.joints_cam.astype(np.float64), label.K), label.keypoints, atol=1e-2)
        assert condition.kind == "depth"
        assert condition.control.shape == condition.xyz.shape == (128, 96, 3)
        assert (label.width, label.height, label.source) == (96, 128, "library")
        assert sum(tag.startswith("crop:") for tag in label.tags) == 1


def test_bodies_stand_on_the_ground_of_the_world(stage: SamplingStage, filled: list[Sample]) -> None:
    """Float32 vertices some metres from the camera: 0.1 mm."""
    for sample in filled:
        assert sample.label
        vertices = pose_body(stage.body, sample.label.parameters).vertices
        world = transform_points(np.linalg.inv(sample.label.T_cam_from_world), vertices)
        assert abs(world[:, 1].min()) < 1e-4


def test_candidates_share_label_prompt_and_maps(stage: SamplingStage, filled: list[Sample]) -> None:
    found = stage([Sample(key, run_seed=3) for key in ("key-5-c0", "key-5-c1", "key-6-c1")])
    assert [sample.key for sample in found] == ["key-5-c0", "key-5-c1", "key-6-c1"]
    for candidate, alone in zip(found, (filled[5], filled[5], filled[6]), strict=True):
        assert candidate.label and alone.label and candidate.condition and alone.condition
        np.testing.assert_array_equal(candidate.label.joints_cam, alone.label.joints_cam)
        np.testing.assert_array_equal(candidate.condition.xyz, alone.condition.xyz)
        assert candidate.prompt == alone.prompt


def test_a_key_alone_decides(stage: SamplingStage, filled: list[Sample]) -> None:
    again = stage([Sample("key-5", run_seed=3)])[0]
    assert again.label and filled[5].label
    for name in PARAMETER_SHAPES:
        np.testing.assert_array_equal(getattr(again.label.parameters, name), getattr(filled[5].label.parameters, name))
    assert again.prompt == filled[5].prompt
    other = stage([Sample("key-5", run_seed=4)])[0]
    assert other.label and abs(other.label.parameters.transl - again.label.parameters.transl).max() > 1e-3


def test_train_samples_hold_nothing_back(filled: list[Sample]) -> None:
    splits = load_splits()
    for sample in filled:
        assert sample.label and sample.prompt
        assert not set(sample.label.tags) & splits.poses
        assert not splits.is_held_out_shape(sample.label.parameters.betas)
        assert not splits.is_held_out_prompt(sample.prompt.attributes)


def test_a_sample_with_a_verdict_passes_untouched(stage: SamplingStage) -> None:
    done = Sample("key-0", 0, verdict=Verdict("rejected", "oks_low"))
    assert stage([done])[0] is done


def test_a_failure_stays_with_its_sample(stage: SamplingStage) -> None:
    real = stage.source

    class Faulty:
        calls = 0

        def draw(self, rng: np.random.Generator) -> PoseDraw:
            Faulty.calls += 1
            if Faulty.calls == 2:
                raise ValueError("pose_impossible: no valid variation")
            draw = real.draw(rng)
            return replace(draw, body_pose=np.full((21, 3), np.nan)) if Faulty.calls == 3 else draw

    stage.source = Faulty()
    try:
        out = stage([Sample(f"key-{i}", 0) for i in range(4)])
    finally:
        stage.source = real
    assert [sample.verdict.status for sample in out] == ["pending", "failed", "failed", "pending"]
    assert "pose_impossible" in str(out[1].verdict.reason)
    assert "body_pose" in str(out[2].verdict.reason)
    assert out[1].label is None


def test_the_curriculum_takes_its_share(tmp_path) -> None:
    rows = {
        name: [np.full(PARAMETER_SHAPES[name], 0.01 * (row + 1), np.float32).ravel().tolist() for row in range(2)]
        for name in POSE_COLUMNS
    }
    path = str(tmp_path / "round-01.parquet")
    pq.write_table(pa.table(rows | {"tags": [["yoga", "tree"], ["sport", "run"]]}), path)
    draw = CurriculumSource(path).draw(np.random.default_rng(0))
    np.testing.assert_allclose(draw.left_hand_pose, draw.body_pose[0, 0])
    assert draw.source == "curriculum"
    stage = make_stage(curriculum=path, curriculum_share=0.5)
    sources = [stage.source.draw(np.random.default_rng(seed)).source for seed in range(60)]
    assert 15 < sources.count("curriculum") < 45
    pq.write_table(pa.table({"body_pose": rows["body_pose"]}), path)
    with pytest.raises(ValueError, match="global_orient"):
        CurriculumSource(path)


def test_what_is_missing_is_said_before_any_work(tmp_path) -> None:
    with pytest.raises(ValueError, match="unknown condition 'edges'"):
        make_stage(condition="edges")
    with pytest.raises(ValueError, match="people"):
        prompt_path("no_such_grammar")
    stage = make_stage(sources=[{"kind": "library"}])
    assert list(stage.check_inputs()) == ["body:open"]
    stage.source_settings = [{"kind": "motion", "path": str(tmp_path / "none")}]
    with pytest.raises(ValueError, match=r"no \.npz file"):
        stage.check_inputs()
