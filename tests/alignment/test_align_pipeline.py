"""The whole of it on the embedded generator: two rounds by one command, gone on with where they stopped, and an adapter that draws."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import ROOT, sets
from safetensors.torch import load_file

from posedreamer.alignment.config import load_align_config
from posedreamer.alignment.rounds import record_config
from posedreamer.config import load_config
from posedreamer.storage.index import read_index
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.pairs import read_pairs
from posedreamer.training.checkpoint import last_trainer_checkpoint

pytestmark = pytest.mark.slow
CONFIG = ROOT / "configs" / "align_nano.yaml"
SMALL = [
    "labels=4", "candidates=2", "pairs={least_gap: 1.0e-6, least_winner: 0.0}",
    "training={max_steps: 2, per_device_train_batch_size: 2, save_steps: 1, logging_steps: 1, disable_tqdm: true, learning_rate: 0.01}",
    "adapter={rank: 2, alpha: 2, layers: {unet: [conv1], controlnet: [conv1]}}",
]  # fmt: skip


def align(out: Path, *overrides: str) -> str:
    return run("align.py", "--config", "configs/align_nano.yaml", "--out", out, *sets([*SMALL, *overrides]))


def test_two_rounds_are_one_command(tmp_path: Path) -> None:
    out = tmp_path / "align"
    printed = align(out)
    rounds = [out / f"round-{number}" for number in (0, 1)]
    assert json.loads(printed.strip().splitlines()[-1])["adapter"] == str(rounds[1] / "adapter")
    keys = []
    for folder in rounds:
        rows = read_index(folder / "candidates").to_pylist()
        assert len(rows) == 8 and {row["candidate"] for row in rows} == {0, 1}
        keys.append({tuple(row["body_pose"]) for row in rows})
        assert len(keys[-1]) == 4
        pairs = [pair for tar in (folder / "candidates" / "pairs").glob("*.tar") for pair in read_pairs(tar)]
        assert all(pair.chosen.scores["oks"] > pair.rejected.scores["oks"] for pair in pairs)  # type: ignore[operator]
        facts = json.loads((folder / "adapter" / "posedreamer.json").read_text())
        assert facts["pairs"] == len(pairs) > 0 and facts["base"].startswith("nano@sha256:")
        assert json.loads((folder / "history.json").read_text())[0]["loss"] > 0
    assert not keys[0] & keys[1]  # new labels in each round
    # The second round's candidates were drawn, by the line, with what the first had learnt.
    (generator,) = {row["generator"] for row in read_index(rounds[1] / "candidates").to_pylist()}
    assert generator.count("sha256:") == 2
    assert read_manifest(rounds[1] / "candidates")["config"]["generator"]["adapters"] == [str(rounds[0] / "adapter")]

    # Gone on with after its training was lost: the same adapter (but for last bits), and finished rounds are left alone.
    files = ("pytorch_lora_weights.safetensors", "controlnet/pytorch_lora_weights.safetensors")
    before = [load_file(rounds[1] / "adapter" / name) for name in files]
    untouched = (rounds[0] / "adapter" / files[0]).stat().st_mtime_ns
    shutil.rmtree(rounds[1] / "adapter")
    shutil.rmtree(rounds[1] / "training" / "checkpoint-2")
    align(out)
    for name, weights in zip(files, before, strict=True):
        torch.testing.assert_close(load_file(rounds[1] / "adapter" / name), weights, atol=1e-5, rtol=1e-4)
    assert (rounds[0] / "adapter" / files[0]).stat().st_mtime_ns == untouched
    told = evaluate(rounds[1] / "adapter", tmp_path)
    assert told["models"]["after"].startswith(told["models"]["before"] + "+")
    for name in ("oks", "iou", "attributes"):
        assert told[name]["gain"][0] == pytest.approx(told[name]["after"][0] - told[name]["before"][0]), name
    assert told["best_of_2_before"]["gain"][0] >= 0.0
    assert told["distances_before"][0] != told["distances_before"][1]  # two seeds
    assert told["feature_spread_before"] > 0.0
    assert {path.name for path in (tmp_path / "evaluation").glob("*.png")} == {
        "oks.png", "first.png", "most_gained.png", "most_lost.png"
    }  # fmt: skip


def evaluate(adapter: Path, folder: Path) -> dict[str, Any]:
    """What evaluate_alignment.py writes of an adapter on four held-out people, drawn twice."""
    run("render_training_set.py", "--out", folder / "held_out", "--samples", 4, "--split", "held_out", "--size", 256)
    run("evaluate_alignment.py", "--data", folder / "held_out", "--adapter", adapter, "--out", folder / "evaluation",
        "--count", 4, "--seeds", 2)  # fmt: skip
    return json.loads((folder / "evaluation" / "evaluation.json").read_text())


def run(pipeline: str, *arguments: object) -> str:
    """Calls a file of pipelines/; what it prints."""
    command = [sys.executable, f"pipelines/{pipeline}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_folder_belongs_to_one_config(tmp_path: Path) -> None:
    config, line = load_align_config(CONFIG), load_config(ROOT / "configs" / "nano.yaml")
    record_config(config, line, tmp_path)
    record_config(load_align_config(CONFIG, ["rounds=3"]), line, tmp_path)
    with pytest.raises(ValueError, match="was begun with labels 400, not 10; choose another folder"):
        record_config(load_align_config(CONFIG, ["labels=10"]), line, tmp_path)
    with pytest.raises(ValueError, match="was begun with line_hash"):
        record_config(config, load_config(ROOT / "configs" / "nano.yaml", ["generator.steps=5"]), tmp_path)


def test_what_cannot_be_aligned_is_said_at_once(tmp_path: Path) -> None:
    for line_change, change, message in (
        ("generator.model=renderer", "labels=4", "renders; expected a diffusion model without adapters"),
        ("generator.adapters=[x]", "labels=4", r"has the adapters \['x'\]"),
        ("generator.steps=3", "training={learning_rat: 1}", "unexpected keyword argument 'learning_rat'"),
        ("generator.steps=3", "training={max_length: 7}", "`max_length` is for language models"),
    ):
        line = load_config(ROOT / "configs" / "nano.yaml", [line_change])
        with pytest.raises(ValueError, match=message):
            record_config(load_align_config(CONFIG, [change]), line, tmp_path)
    assert not any(tmp_path.iterdir())


def test_half_a_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    assert last_trainer_checkpoint(tmp_path) is None
    for step in (2, 10, 9):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if step < 10:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert last_trainer_checkpoint(tmp_path) == str(tmp_path / "checkpoint-9")
    assert not (tmp_path / "checkpoint-10").exists()


def test_a_config_says_what_is_wrong() -> None:
    assert load_align_config(CONFIG).rounds == 2
    for override, message in (
        ("training={seed: 3}", "training: seed follow from the run and its generator"),
        ("candidates=1", "candidates: Input should be greater than or equal to 2"),
        ("pairs.gap=0.1", "pairs.gap: Extra inputs are not permitted"),
    ):
        with pytest.raises(ValueError, match=message):
            load_align_config(CONFIG, [override])
