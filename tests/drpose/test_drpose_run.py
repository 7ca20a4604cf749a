"""A run from shards to a report with a tiny model, and what decides in it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_multiview import CELLS, LATENT_CHANNELS, SIZE, embed, tiny_multiview

from posedreamer.drpose import multiview, trial
from posedreamer.drpose.drpose_config import DrPoseConfig, RolloutConfig
from posedreamer.drpose.drpose_report import (
    compare_measures,
    draw_curve,
    reconstruct_subjects,
    summarise,
    to_markdown,
    worst_sheet,
    write_page,
)
from posedreamer.drpose.drpose_run import (
    BENCHMARK,
    Point,
    checkpoint_steps,
    choose_step,
    keep_step,
    measure_benchmark,
    measure_checkpoints,
    measure_diversity,
    open_benchmark,
    record_config,
    render_benchmark,
    train_drpose,
    trial_folder,
)
from posedreamer.drpose.multiview import draw_latents, save_nano_multiview
from posedreamer.drpose.skeleton_net import SkeletonNet
from posedreamer.drpose.trainer import load_trained
from posedreamer.drpose.trial import MEASURES, draw_trial

SAMPLE = Path(__file__).parents[2] / "shards" / "sample"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(1)
    save_nano_multiview(tiny_multiview(), folder)
    save_file(SkeletonNet(LATENT_CHANNELS).state_dict(), folder / "skeleton.safetensors")
    return {
        "model": str(folder),
        "data": [{"source": str(SAMPLE), "samples": 4}],
        "rollout": {"steps": 2, "trained": 1, "early_stop": 0},
        "reward": {"perceptual_weight": 0.0},
        "adapter": {"rank": 2, "alpha": 2},
        "training": {
            "max_steps": 2,
            "save_steps": 1,
            "per_device_train_batch_size": 2,
            "learning_rate": 0.05,
            "use_cpu": True,
            "disable_tqdm": True,
            "logging_steps": 1,
        },
        "benchmark": {"subjects": 2, "validation": 2, "steps": 2, "reconstructed": 1, "acrobatic": ["yoga"], "everyday": ["everyday"]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    """A trained and measured run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("posedreamer.drpose.multiview.FeatureEmbedder", lambda: embed)
        config, out = DrPoseConfig.model_validate(settings), tmp_path_factory.mktemp("run")
        record_config(config, out)
        train_drpose(config, out)
        render_benchmark(config, out)
        curve = measure_checkpoints(config, out)
        measured = measure_benchmark(config, out, (0, 2))
        yield config, out, curve, measured


def test_a_run_leaves_history_checkpoints_and_a_curve(finished):
    config, out, curve, _ = finished
    assert len([row for row in json.loads((out / "history.json").read_text()) if "reward" in row]) == 2
    assert checkpoint_steps(out) == [1, 2] and [point.step for point in curve] == [0, 1, 2]
    assert all(np.isfinite([*point.reward.values(), *point.pa_mpjpe_mm.values()]).all() for point in curve)
    assert set(curve[0].reward) == {"acrobatic", "everyday"}
    written = (out / "history.json").stat().st_mtime_ns
    train_drpose(config, out)
    assert (out / "history.json").stat().st_mtime_ns == written


def test_trained_weights_draw_something_else_and_can_be_loaded(finished):
    config, out, _, _ = finished
    before, after = (np.load(trial_folder(out, step, "acrobatic", BENCHMARK) / "latents.npy") for step in (0, 2))
    assert before.shape == (2, 12, LATENT_CHANNELS, CELLS, CELLS) and np.abs(before - after).max() > 1e-4
    weights = keep_step(out, 2)
    assert weights is not None
    model = load_trained(multiview.load_nano_multiview(Path(config.model)), weights)
    scans = open_benchmark(out, "acrobatic", BENCHMARK)
    np.testing.assert_allclose(draw_trial(model, scans, 2, 0, out / "again"), after, atol=1e-5)
    assert keep_step(out, 0) is None and not (out / "weights").exists()


def test_subjects_are_drawn_alike_one_by_one(finished, monkeypatch, tmp_path):
    config, out, _, _ = finished
    scans, model = open_benchmark(out, "acrobatic", BENCHMARK), multiview.load_nano_multiview(Path(config.model))
    together = draw_trial(model, scans, 2, 0, tmp_path / "together")
    monkeypatch.setattr(trial, "AT_ONCE", 1)
    np.testing.assert_allclose(draw_trial(model, scans, 2, 0, tmp_path / "alone"), together, atol=1e-5)
    rows = torch.from_numpy(together[1])
    noise = trial._noise(0, 1, tuple(rows.shape))
    np.testing.assert_allclose(draw_latents(model, [scans.photos[1]], noise, 2).numpy(), rows.numpy(), atol=1e-5)


def test_the_report_shows_everything(finished):
    config, out, curve, measured = finished
    surfaces, surface = reconstruct_subjects(config, out, 2)
    assert len(surfaces["true"]) == 1
    assert (surface is None) != (out / "acrobat.glb").is_file()
    summary = summarise(measured, 2)
    table = to_markdown(summary, surfaces, measure_diversity(config, out), 2)
    assert "### acrobatic, 2 subjects, step 2" in table and "PA-MPJPE" in table and "| true |" in table
    for name in MEASURES:
        row = summary["everyday"]["measures"][name]
        if np.isfinite(measured["everyday"]["0"][name]).all():
            assert row["before"] == pytest.approx(np.mean(measured["everyday"]["0"][name]))
            assert row["change"]["low"] <= row["change"]["value"] <= row["change"]["high"]
    draw_curve(curve, 2, out / "figures" / "curve.png")
    sheet = worst_sheet(config, out, 2, measured["acrobatic"]["2"], "acrobatic")
    assert sheet.shape == (3 * SIZE, 2 * 5 * SIZE, 3)
    page = write_page(out, table, {"Along training": out / "figures" / "curve.png"}, surface).read_text()
    assert "data:image/png;base64," in page and "PA-MPJPE" in page and "http://" not in page.split("<iframe")[0]


def test_other_settings_need_another_folder(finished, settings):
    config, out, _, _ = finished
    with pytest.raises(ValueError, match="was begun with"):
        record_config(config.model_copy(update={"kl_weight": 0.5}), out)
    with pytest.raises(ValueError, match=r"training: .*speed"):
        record_config(DrPoseConfig.model_validate(settings | {"training": {"speed": 1}}), out / "other")
    with pytest.raises(ValueError, match="seed follow from the run"):
        DrPoseConfig.model_validate(settings | {"training": {"seed": 1}})
    with pytest.raises(ValueError, match="do not fit"):
        RolloutConfig(steps=5, trained=2, early_stop=4)


def point(step, acrobatic, everyday=50.0, reward=0.0):
    return Point(step, {"acrobatic": reward, "everyday": reward}, {"acrobatic": acrobatic, "everyday": everyday})


def test_the_judge_chooses_not_the_reward():
    curve = [point(0, 100.0), point(10, 80.0, reward=-1.0), point(20, 90.0, reward=-0.1)]
    assert choose_step(curve) == 10


def test_a_checkpoint_that_costs_everyday_poses_is_not_chosen():
    assert choose_step([point(0, 100.0), point(10, 80.0, everyday=52.0), point(20, 90.0, everyday=51.0)]) == 20
    assert choose_step([point(0, 100.0), point(10, 80.0, everyday=60.0)]) == 0
    assert choose_step([point(0, 100.0), point(10, 120.0)]) == 0


def test_changes_are_ratios_of_errors_and_differences_of_the_rest():
    rng = np.random.default_rng(0)
    before = {name: rng.uniform(1, 2, 30).tolist() for name in MEASURES}
    after = {name: (0.8 * np.array(values)).tolist() for name, values in before.items()}
    found = compare_measures(before, after, rng)
    assert found["pa_mpjpe_mm"]["change"]["value"] == pytest.approx(0.8)
    assert found["pa_mpjpe_mm"]["change"]["low"] == pytest.approx(0.8)
    assert found["psnr"]["change"]["value"] == pytest.approx(-0.2 * np.mean(before["psnr"]))
