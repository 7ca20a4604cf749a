"""Reward fine-tuning from shards to figures: what train_drpose.py runs.

Folder of a run: `config.json`; `runs/<name>`, runs of the line; `photos/`, the packed shards; `training/` with checkpoints; `history.json`,
reward and divergence along training; `scans/<set>-<part>`, the benchmark's subjects; `trials/<step>/<set>-<part>`, what a checkpoint draws
of them (step 0: the model as it was); `curve.json`; `weights/`, the chosen checkpoint, for `trainer.load_trained`. What is finished is
not made again.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import TrainingArguments

from posedreamer.bodies.catalog import load_body
from posedreamer.drpose.checkpoints import open_multiview, skeleton_file
from posedreamer.drpose.diversity import draw_poses, joint_deviation
from posedreamer.drpose.drpose_config import DrPoseConfig
from posedreamer.drpose.multiview import MultiViewModel
from posedreamer.drpose.posed_photos import pack_photos
from posedreamer.drpose.reward import PoseScore
from posedreamer.drpose.reward_forms import JointNet, JointScore, LearnerScore, PairNet, PairScore, Reward, load_net
from posedreamer.drpose.scan_data import Scans, create_scans, embedded_maker, open_scans, write_scans
from posedreamer.drpose.skeleton_net import load_skeleton_net
from posedreamer.drpose.trainer import FACTS, STAGE, DrPoseTrainer, PhotoRows, Rollouts, load_trained
from posedreamer.drpose.trial import Measures, measure_trial, measure_truth
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.seeds import seed_for
from posedreamer.stages.sampling.splits import Split
from posedreamer.storage.files import write_file
from posedreamer.strict import differences
from posedreamer.training.checkpoint import last_trainer_checkpoint
from posedreamer.training.hmr_config import DataConfig
from posedreamer.training.packed import finish_packed

logger = logging.getLogger(__name__)

BENCHMARK, VALIDATION = "benchmark", "validation"
SPLITS: dict[str, Split] = {BENCHMARK: "held_out", VALIDATION: "train"}
WORSE = 1.03  # a checkpoint that is worse than this on everyday poses is not chosen
FINISHED = "history.json"


class Point(NamedTuple):
    """A checkpoint on the validation subjects of each set: means."""

    step: int
    reward: dict[str, float]
    pa_mpjpe_mm: dict[str, float]


def record_config(config: DrPoseConfig, out: Path) -> None:
    """Writes `config.json`. A folder that was begun with other settings is a ValueError."""
    content, path = config.model_dump(mode="json"), out / "config.json"
    if path.is_file() and (strange := differences(json.loads(path.read_text()), content)):
        raise ValueError(f"train_drpose: {out} was begun with {strange}; choose another folder")
    training_arguments(config, out)
    out.mkdir(parents=True, exist_ok=True)
    write_file(path, (json.dumps(content, indent=1) + "\n").encode())


def train_drpose(config: DrPoseConfig, out: Path) -> None:
    """Trains on the people of shards. Interrupted, it goes on from the last checkpoint; finished, it is not repeated."""
    if (out / FINISHED).is_file():
        return
    model, score = open_multiview(config.model), open_score(config)
    photos = pack_photos(sources(config, out), out / "photos", load_body(config.body))
    # peft draws the adapter's first weights from the global generator
    torch.manual_seed(_small_seed(config, "weights"))
    rollouts = Rollouts(model, score, config.rollout, config.kl_weight, config.adapter)
    channels, cells = (model.unet.config[name] for name in ("out_channels", "sample_size"))
    facts = {
        "model": model.identity,
        "adapter": None if config.adapter is None else config.adapter.model_dump(mode="json"),
        "photographs": photos.people.num_rows,
        "rollout": config.rollout.model_dump(mode="json"),
        "kl_weight": config.kl_weight,
    }
    rows = PhotoRows(photos, cells * picture_factor(model))
    trainer = DrPoseTrainer(rollouts, training_arguments(config, out), rows, (channels, cells, cells), facts)
    trainer.train(resume_from_checkpoint=last_trainer_checkpoint(out / "training"))
    write_file(out / FINISHED, (json.dumps(trainer.state.log_history, indent=1) + "\n").encode())


def render_benchmark(config: DrPoseConfig, out: Path) -> None:
    """Draws the subjects that models are measured on."""
    size = picture_size(open_multiview(config.model))
    for name, families in config.benchmark.sets.items():
        for part, split in SPLITS.items():
            folder = out / "scans" / f"{name}-{part}"
            count = config.benchmark.subjects if part == BENCHMARK else config.benchmark.validation
            for chunk in create_scans(folder, split, families, config.benchmark.seed, size, count):
                write_scans(folder, split, families, config.benchmark.seed, size, chunk)
            finish_packed(folder)


def open_benchmark(out: Path, name: str, part: str) -> Scans:
    """The subjects of a set: BENCHMARK or VALIDATION."""
    return open_scans(out / "scans" / f"{name}-{part}", split=SPLITS[part])


def measure_checkpoints(config: DrPoseConfig, out: Path) -> list[Point]:
    """Every checkpoint, and the model as it was, on the validation subjects; written to `curve.json`."""
    judge, score, found = KeypointDetector(torch.get_num_threads()).setup(), open_score(config), []
    for step in (0, *checkpoint_steps(out)):
        model = load_step(config, out, step)
        rows = {
            name: _trial(config, out, model, score, judge, step, name, VALIDATION) for name in config.benchmark.sets
        }
        means = [{name: float(np.mean(row[key])) for name, row in rows.items()} for key in ("reward", "pa_mpjpe_mm")]
        found.append(Point(step, *means))
        logger.info("step %d: reward %s, PA-MPJPE %s", step, *means)
    write_file(out / "curve.json", (json.dumps([point._asdict() for point in found], indent=1) + "\n").encode())
    return found


def measure_diversity(config: DrPoseConfig, out: Path) -> dict[str, float]:
    """Deviation of joints, metres: of the photographs' poses, and of the poses that the model was trained on."""
    body = load_body(config.body)
    photos = pack_photos(sources(config, out), out / "photos", body)
    base = draw_poses(embedded_maker("train", config.benchmark.everyday))
    found = {"shards": joint_deviation(body, photos.people.labels["body_pose"]), "base": joint_deviation(body, base)}
    return {**found, "ratio": found["shards"] / found["base"]}


def sources(config: DrPoseConfig, out: Path) -> list[DataConfig]:
    """Where the shards are."""
    runs = str(out / "runs")
    return [part.model_copy(update={"source": part.source.replace("{runs}", runs)}) for part in config.data]


def choose_step(curve: list[Point]) -> int:
    """The checkpoint that the judge likes best on acrobatic poses, of those that everyday poses bear; reward has no say. 0: none."""
    first = curve[0].pa_mpjpe_mm["everyday"]
    allowed = [point for point in curve if point.pa_mpjpe_mm["everyday"] <= WORSE * first]
    return min(allowed, key=lambda point: (point.pa_mpjpe_mm["acrobatic"], point.step)).step


def keep_step(out: Path, step: int) -> Path | None:
    """Copies a checkpoint's weights to `weights/`; None, and nothing there, when training made nothing better."""
    folder = out / "weights"
    shutil.rmtree(folder, ignore_errors=True)
    if step == 0:
        return None
    folder.mkdir()
    for path in (out / "training" / f"checkpoint-{step}").iterdir():
        if path.name == FACTS or path.suffix == ".safetensors":
            shutil.copy(path, folder)
    return folder


def measure_benchmark(config: DrPoseConfig, out: Path, steps: tuple[int, ...]) -> dict[str, dict[str, Measures]]:
    """Set -> `true` and each step -> measures of the benchmark's subjects."""
    judge, score = KeypointDetector(torch.get_num_threads()).setup(), open_score(config)
    found: dict[str, dict[str, Measures]] = {}
    for name in config.benchmark.sets:
        scans = open_benchmark(out, name, BENCHMARK)
        found[name] = {"true": measure_truth(scans, judge, out / "trials" / "true" / f"{name}.json")}
        for step in steps:
            model = load_step(config, out, step)
            found[name][str(step)] = _trial(config, out, model, score, judge, step, name, BENCHMARK)
    return found


def checkpoint_steps(out: Path) -> list[int]:
    """Those that training has left."""
    return sorted(int(path.name.rpartition("-")[2]) for path in (out / "training").glob("checkpoint-*"))


def load_step(config: DrPoseConfig, out: Path, step: int) -> MultiViewModel:
    """The model after so many steps; 0: as it was."""
    model = open_multiview(config.model)
    return model if step == 0 else load_trained(model, out / "training" / f"checkpoint-{step}")


def open_score(config: DrPoseConfig) -> Reward:
    """The reward as configured."""
    form, path = config.reward.form, config.reward.path
    if form == "skeleton":
        net = load_skeleton_net(path or skeleton_file(config.model))
        return PoseScore(net, "cpu", config.reward.perceptual_weight)
    assert path is not None
    model = open_multiview(config.model)
    if form == "learner":
        return LearnerScore(model, path, load_body(config.body))
    channels = model.unet.config["out_channels"]
    if form == "joints":
        return JointScore(load_net(JointNet(channels), path))
    return PairScore(load_net(PairNet(channels), path))


def trial_folder(out: Path, step: int, name: str, part: str) -> Path:
    """Where a trial is kept."""
    return out / "trials" / f"{step:06d}" / f"{name}-{part}"


def training_arguments(config: DrPoseConfig, out: Path) -> TrainingArguments:
    """The trainer's arguments; an unknown one is a ValueError."""
    settings = {"report_to": "none", "logging_nan_inf_filter": False, **config.training}
    try:
        return TrainingArguments(
            output_dir=str(out / "training"), seed=_small_seed(config, "order"), remove_unused_columns=False, **settings
        )
    except TypeError as error:
        raise ValueError(f"train_drpose: training: {error}") from error


def picture_factor(model: MultiViewModel) -> int:
    """Pixels along the side of a latent cell."""
    blocks = getattr(model.vae.config, "encoder_block_out_channels", None) or model.vae.config.block_out_channels
    return 2 ** (len(blocks) - 1)


def picture_size(model: MultiViewModel) -> int:
    """Pixels along the side of a view."""
    return int(model.unet.config["sample_size"]) * picture_factor(model)


def _trial(config: DrPoseConfig, out: Path, model: MultiViewModel, score: Reward, judge: Any, step: int, name: str, part: str) -> Measures:  # fmt: skip
    folder, settings = trial_folder(out, step, name, part), config.benchmark
    return measure_trial(model, open_benchmark(out, name, part), score, judge, settings.steps, settings.seed, folder)


def _small_seed(config: DrPoseConfig, purpose: str) -> int:
    return seed_for(config.seed, STAGE, purpose) % 2**31
