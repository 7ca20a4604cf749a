"""One round of alignment, after its candidates are drawn: pairs, and an adapter trained on them."""

import gc
import json
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from posedreamer.alignment.adapters import add_adapter, check_layers
from posedreamer.alignment.arguments import AlignmentArguments
from posedreamer.alignment.config import AlignConfig
from posedreamer.alignment.denoisers import open_denoiser
from posedreamer.alignment.pair_data import encode_pairs
from posedreamer.alignment.pairs import PairRule, make_pairs
from posedreamer.alignment.trainer import STAGE, DiffusionDPOTrainer
from posedreamer.bodies.catalog import load_body
from posedreamer.config import Config
from posedreamer.rendering.conditions import condition_renderer_id, redraw_condition
from posedreamer.seeds import seed_for
from posedreamer.stages.generation.diffusers_backend import (
    FACTS,
    Drawing,
    check_condition,
    load_model,
    outline_nets,
    warn_of_other_base,
)
from posedreamer.stages.generation.renderer import RENDERERS
from posedreamer.storage.locate import find_tars
from posedreamer.storage.manifest import read_manifest
from posedreamer.strict import differences
from posedreamer.training.checkpoint import last_trainer_checkpoint

log = logging.getLogger(__name__)


def record_config(config: AlignConfig, line: Config, out: Path) -> None:
    """Writes `config.json`. A folder that was begun with other settings is a ValueError; only rounds may be added.

    So is a line whose generator cannot be aligned: the renderer, or one with adapters of its own.
    """
    if line.generator.model in RENDERERS or line.generator.adapters:
        told = "renders" if line.generator.model in RENDERERS else f"has the adapters {list(line.generator.adapters)}"
        raise ValueError(f"align: {config.line} {told}; expected a diffusion model without adapters")
    training_arguments(config, line, out)  # what is wrong with them, and with the layers, is said before hours of work
    check_layers(outline_nets(line.generator.model, line.generator.controlnet), config.adapter.layers)
    path, content = out / "config.json", config.model_dump(mode="json") | {"line_hash": line.hash}
    if path.is_file():
        wanted = {name: value for name, value in content.items() if name != "rounds"}
        differing = differences(json.loads(path.read_text()), wanted)
        if differing:
            raise ValueError(f"align: {out} was begun with {differing}; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def training_arguments(config: AlignConfig, line: Config, out: Path) -> AlignmentArguments:
    """The trainer's arguments; precision and device are the generator's. An unknown one is a ValueError."""
    settings: dict[str, Any] = dict(config.training)
    settings |= {"bf16": line.generator.dtype == "bfloat16", "fp16": line.generator.dtype == "float16"}
    settings |= {"use_cpu": line.generator.device == "cpu", "seed": _small_seed(config, "order")}
    try:
        return AlignmentArguments(output_dir=str(out / "training"), **settings)
    except TypeError as error:
        raise ValueError(f"align: training: {error}") from error


def pairs_of_round(config: AlignConfig, run_dir: Path) -> dict[str, Any]:
    """Makes the pairs of the round's candidates and returns their report. No pair is a ValueError."""
    report = make_pairs(run_dir, PairRule(**config.pairs.model_dump()))
    if not report["pairs"]:
        raise ValueError(f"{run_dir}: no pair of {report['labels']} labels: {report['labels_without_pair']}")
    log.info("%d pairs of %d labels, median gap %.3f", report["pairs"], report["labels"], report["gap"]["median"])
    return report


def train_round(config: AlignConfig, line: Config, run_dir: Path, start: Path | None, out: Path) -> Path:
    """Trains an adapter on the pairs in a run; returns its folder, `out/adapter`. Finished training is not repeated.

    line: the config whose generator is trained. start: the adapter of the round before, which the candidates were drawn with.
    Interrupted, it goes on from the last checkpoint in `out/training`.
    """
    if (out / "adapter" / FACTS).is_file():
        return out / "adapter"
    generator, arguments = line.generator, training_arguments(config, line, out)
    if arguments.world_size > 1 or arguments.n_gpu > 1:
        raise ValueError(
            f"align: {arguments.world_size} processes, {arguments.n_gpu} devices; training takes one: set CUDA_VISIBLE_DEVICES"
        )
    torch.set_num_threads(generator.threads)
    model = load_model(
        generator.model,
        generator.controlnet,
        generator.condition,
        (),
        getattr(torch, generator.dtype),
        generator.device,
    )
    if start is not None:
        check_condition(start, generator.condition)
        warn_of_other_base(start, model.identity)
    drawing = Drawing(generator.steps, generator.guidance, generator.controlnet_scale, generator.negative_prompt)
    denoiser = open_denoiser(model.pipeline, drawing, arguments.steps)
    adapter = config.adapter
    add_adapter(denoiser, adapter.rank, adapter.alpha, adapter.layers, start, _small_seed(config, "weights"))
    tars = find_tars(run_dir / "pairs")
    pairs = encode_pairs(tars, denoiser, out / "latents", partial(redraw_condition, load_body(line.body)))
    trainer = DiffusionDPOTrainer(denoiser, arguments, pairs, _facts(config, line, model.identity, run_dir, len(pairs)))
    trainer.train(resume_from_checkpoint=last_trainer_checkpoint(out / "training"))
    (out / "history.json").write_text(json.dumps(trainer.state.log_history, indent=1) + "\n")
    trainer.save_model(str(out / "adapter"))
    del trainer, denoiser, model  # the next round's actors need the memory
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return out / "adapter"


def _facts(config: AlignConfig, line: Config, base: str, run_dir: Path, pairs: int) -> Mapping[str, Any]:
    assets = read_manifest(run_dir)["assets"]
    return {
        "name": f"{config.line.stem}-aligned",
        "condition_kind": line.generator.condition,
        "condition_renderer": condition_renderer_id(line.generator.condition),
        "base": base,
        "judge": {name: digest for name, digest in assets.items() if "movenet" in name},
        "scores": list(config.pairs.scores),
        "pairs": pairs,
        "training": config.training,
        "adapter": config.adapter.model_dump(mode="json"),
    }


def _small_seed(config: AlignConfig, purpose: str) -> int:
    """numpy's and torch's global generators, which transformers seeds, take 32 bits."""
    return seed_for(config.seed, STAGE, purpose) % 2**32
