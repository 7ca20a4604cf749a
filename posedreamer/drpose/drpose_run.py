"""Reward fine-tuning from shards to trained weights: what train_drpose.py runs.

Folder of a run: `config.json`, `photos/` (the packed shards), `training/` with checkpoints, `history.json` (reward and divergence along
training), `weights/` with what was trained, for `trainer.load_trained`.
"""

import json
import logging
from pathlib import Path

import torch
from transformers import TrainingArguments

from posedreamer.bodies.catalog import load_body
from posedreamer.drpose.checkpoints import open_multiview
from posedreamer.drpose.drpose_config import DrPoseConfig
from posedreamer.drpose.multiview import MultiViewModel
from posedreamer.drpose.posed_photos import pack_photos
from posedreamer.drpose.reward import PoseScore
from posedreamer.drpose.skeleton_net import load_skeleton_net
from posedreamer.drpose.trainer import FACTS, STAGE, DrPoseTrainer, PhotoRows, Rollouts
from posedreamer.seeds import seed_for
from posedreamer.storage.files import write_file
from posedreamer.strict import differences
from posedreamer.training.checkpoint import last_trainer_checkpoint

logger = logging.getLogger(__name__)


def train_drpose(config: DrPoseConfig, out: Path) -> Path:
    """Trains on the people of shards; returns the folder of the trained weights. Interrupted, it goes on from the last checkpoint.

    A folder that was begun with other settings is a ValueError. Finished training is not repeated.
    """
    content, path = config.model_dump(mode="json"), out / "config.json"
    if path.is_file() and (strange := differences(json.loads(path.read_text()), content)):
        raise ValueError(f"train_drpose: {out} was begun with {strange}; choose another folder")
    if (out / "weights" / FACTS).is_file():
        return out / "weights"
    arguments = training_arguments(config, out)
    out.mkdir(parents=True, exist_ok=True)
    write_file(path, (json.dumps(content, indent=1) + "\n").encode())
    model = open_multiview(config.model)
    score = PoseScore(load_skeleton_net(config.skeleton), "cpu", config.perceptual_weight)
    photos = pack_photos(config.data, out / "photos", load_body(config.body))
    torch.manual_seed(
        _small_seed(config, "weights")
    )  # peft draws the adapter's first weights from the global generator
    rollouts = Rollouts(model, score, config.rollout, config.kl_weight, config.adapter)
    channels, cells = (model.unet.config[name] for name in ("out_channels", "sample_size"))
    size = cells * picture_factor(model)
    facts = {
        "model": model.identity,
        "adapter": None if config.adapter is None else config.adapter.model_dump(mode="json"),
        "photographs": photos.people.num_rows,
        "rollout": config.rollout.model_dump(mode="json"),
        "kl_weight": config.kl_weight,
    }
    trainer = DrPoseTrainer(rollouts, arguments, PhotoRows(photos, size), (channels, cells, cells), facts)
    trainer.train(resume_from_checkpoint=last_trainer_checkpoint(out / "training"))
    write_file(out / "history.json", (json.dumps(trainer.state.log_history, indent=1) + "\n").encode())
    trainer.save_model(str(out / "weights"))
    return out / "weights"


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


def _small_seed(config: DrPoseConfig, purpose: str) -> int:
    return seed_for(config.seed, STAGE, purpose) % 2**31
