"""The learner's training from shards to a learner's folder: what train_hmr.py runs.

Folder of a run: `config.json`, `people/` and `validation/` (the packed shards), `hmr/` with checkpoints, `errors.json` (step -> mean
errors on the validation set), `learner/` with the averaged weights, which `estimators.mesh.Learner` reads.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from posedreamer.bodies.catalog import load_body
from posedreamer.estimators.hmr import HMRNet
from posedreamer.estimators.mesh import load_network, save_network
from posedreamer.seeds import seed_for
from posedreamer.storage.files import write_file
from posedreamer.strict import differences
from posedreamer.training.group_norm import prepared
from posedreamer.training.hmr_config import TrainHmrConfig
from posedreamer.training.hmr_data import pack_people
from posedreamer.training.hmr_loss import STAGE, hmr_loss
from posedreamer.training.hmr_measures import mean_body, measure_constant, measure_network
from posedreamer.training.loop import train
from posedreamer.training.nano_preview import add_entry, save_loss_curve

logger = logging.getLogger(__name__)

FIXED = ("seed", "data", "start", "body", "network", "augment")  # what may not change within a run


def train_hmr(config: TrainHmrConfig, out: Path, resume: bool) -> Path:
    """Trains (or resumes) a learner on the people of shards. Returns the learner's folder."""
    content = config.model_dump(mode="json")
    if (out / "config.json").is_file():
        known = json.loads((out / "config.json").read_text())
        if strange := differences(known, {key: content[key] for key in FIXED}):
            raise ValueError(f"train_hmr: {out} was begun with {strange}; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_file(out / "config.json", (json.dumps(content, indent=2) + "\n").encode())
    body = load_body(config.body)
    people = pack_people(config.data, out / "people", body)
    validation = pack_people(config.validation, out / "validation", body) if config.validation else None
    network = first_network(config)
    prepared(network, config.device)
    loss_at = hmr_loss(people, body, config)
    if validation is not None:
        baseline = measure_constant(*mean_body(people, body), validation, body, config.network.size)
        _record(out, "mean body", baseline.means())

    def preview(step: int, averages: Mapping[str, nn.Module]) -> None:
        averaged = averages["net"]
        assert isinstance(averaged, HMRNet)
        facts = {"body_sha256": body.sha256, "trained_samples": people.num_rows, "trained_steps": step}
        if validation is not None:
            errors = measure_network(averaged, validation, body)
            _record(out, str(step), errors.means())
            facts["protocol"] = str(errors.card)
        save_network(averaged, out / "learner", facts)

    _, losses = train(STAGE, {"net": network}, loss_at, config.loop, out / STAGE, preview, resume, config.threads)
    save_loss_curve(out / "loss.png", losses)
    return out / "learner"


def first_network(config: TrainHmrConfig) -> HMRNet:
    """The network that training begins with. A start of other settings is a ValueError."""
    settings = config.network.model_dump()
    weights = settings.pop("weights")
    if config.start is not None:
        network = load_network(Path(config.start))
        if strange := differences(network.settings, settings):
            raise ValueError(f"train_hmr: start {config.start} has {strange}")
        return network
    torch.manual_seed(seed_for(config.seed, STAGE, "weights"))
    network = HMRNet(**settings)
    return network if weights is None else network.load_backbone(weights)


def _record(out: Path, step: str, means: Mapping[str, float]) -> None:
    """Adds the mean errors to `errors.json`."""
    logger.info("%s: %s", step, ", ".join(f"{name} {value:.1f}" for name, value in means.items()))
    add_entry(out / "errors.json", step, dict(means))
