"""The stages of the nano generator's training in order, with their previews and exports: what train_nano.py runs.

Folder of a run: `config.json` is what it was last started with, `autoencoder/` and `denoiser/` hold checkpoints, `previews/`
sample grids and loss curves, `validation.json` the loss on the validation set, `export` links to the newest exported pipeline
(averaged weights, float16). The link is swapped in one step, so a reader never sees half of one.
"""

import copy
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from posedreamer.rendering.conditions import condition_renderer_id
from posedreamer.seeds import seed_for
from posedreamer.stages.generation.diffusers_backend import FACTS, check_condition
from posedreamer.strict import differences
from posedreamer.training import autoencoder_run
from posedreamer.training import nano_autoencoder as autoencoding
from posedreamer.training import nano_denoiser as denoising
from posedreamer.training import nano_reader as reading
from posedreamer.training.critic import LatentCritic
from posedreamer.training.group_norm import prepared
from posedreamer.training.loop import train
from posedreamer.training.nano_config import TrainNanoConfig
from posedreamer.training.nano_guidance import Teacher
from posedreamer.training.nano_model import (
    build_denoiser,
    build_pipeline,
    build_scheduler,
    build_text_encoder,
    save_pipeline,
    start_from,
)
from posedreamer.training.nano_preview import record_validation, save_grid, save_loss_curve
from posedreamer.training.nano_text import build_tokenizer, encode, words_of

logger = logging.getLogger(__name__)

FIXED = ("seed", "data", "start", "image_size")  # what may not change within a run


class PictureSet(NamedTuple):
    """What is trained on: true renders, the xyz maps of their bodies, their prompts, and what those say (`number_attributes`)."""

    images: UInt8[np.ndarray, "count h w 3"]
    conditions: UInt8[np.ndarray, "count h w 3"]
    prompts: Sequence[str]
    answers: Int64[Tensor, "count attributes"]


def record_config(config: TrainNanoConfig, out: Path) -> None:
    """Writes `config.json`. A run that is gone on with other data, seed, start or size of pictures raises ValueError."""
    path = out / "config.json"
    content = config.model_dump(mode="json")
    if path.is_file():
        differing = differences(json.loads(path.read_text()), {key: content[key] for key in FIXED})
        if differing:
            raise ValueError(f"train_nano: {out} was begun with {differing}; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def trained_before(config: TrainNanoConfig) -> dict[str, int]:
    """Steps and pictures that the start has seen. One without facts, or made for other maps, raises ValueError."""
    if config.start is None:
        return {"trained_steps": 0, "trained_pictures": 0}
    path = config.start / FACTS
    if not path.is_file():
        raise ValueError(f"train_nano: {path} is missing; a start is a pipeline that train_nano exported")
    check_condition(config.start, "xyz")
    facts = json.loads(path.read_text())
    return {key: facts[key] for key in ("trained_steps", "trained_pictures")}


def train_autoencoder(config: TrainNanoConfig, pictures: PictureSet, out: Path, resume: bool) -> None:
    """The stage `autoencoder` (autoencoder_run.py), on the pictures and the maps of their bodies."""
    machine = autoencoder_run.Machine(config.device, getattr(torch, config.precision), config.threads)
    autoencoder_run.train_autoencoder(
        config.autoencoder, pictures.images, pictures.conditions, config.seed, machine, out, resume, config.start,
        config.preview_columns,
    )  # fmt: skip


def train_reader(config: TrainNanoConfig, pictures: PictureSet, out: Path, resume: bool) -> Path:
    """Trains (or resumes) the reader of latents on the pictures. Returns the file of its averaged weights, float32."""
    if config.reader is None:
        raise ValueError("train_nano: the config has no `reader` to train")
    kernel = autoencoding.patch_kernel(
        autoencoder_run.load_autoencoder(config.autoencoder, out, config.device, config.start)
    )

    def latents_at(
        rows: Int64[np.ndarray, " batch"], turned: Bool[np.ndarray, " batch"]
    ) -> Float[Tensor, "batch c h w"]:
        images = np.array(pictures.images[rows])
        images[turned] = images[turned, :, ::-1]
        return kernel.encode(autoencoding.to_signed(images).to(config.device))

    torch.manual_seed(seed_for(config.seed, reading.STAGE, "weights"))
    net = prepared(reading.LatentReader(config.autoencoder.latent_channels), config.device)
    precision = getattr(torch, config.precision)
    loss_at = reading.reader_loss(latents_at, pictures.answers, config.reader, config.seed, precision)
    path = _reader_path(out)

    def save(step: int, averages: Mapping[str, nn.Module]) -> None:
        state = averages[reading.STAGE].state_dict()
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: values.contiguous().cpu() for name, values in state.items()}, path)

    train(reading.STAGE, {reading.STAGE: net}, loss_at, config.reader, path.parent, save, resume, config.threads)
    return path


def train_denoiser(
    config: TrainNanoConfig, pictures: PictureSet, out: Path, resume: bool, validation: PictureSet | None = None
) -> Path:
    """Trains (or resumes) UNet, ControlNet and text encoder. Returns the folder of the last export.

    validation: pictures whose loss is written to `validation.json` (step -> loss) with every preview.
    """

    def autoencoder() -> Any:
        return autoencoder_run.load_autoencoder(config.autoencoder, out, config.device, config.start)

    tokenizer, kernel = _tokenizer(config, pictures.prompts), autoencoding.patch_kernel(autoencoder())

    def with_tokens(shown: PictureSet) -> denoising.PictureTokens:
        *tokens, silence = encode(tokenizer, [*shown.prompts, ""])
        return denoising.PictureTokens(
            shown.images, shown.conditions, torch.stack(tokens), silence, shown.answers, kernel
        )

    data, validated = with_tokens(pictures), None if validation is None else with_tokens(validation)
    torch.manual_seed(seed_for(config.seed, denoising.STAGE, "weights"))
    modules = _denoiser(config, tokenizer, config.image_size // data.factor)
    if config.start is not None:
        start_from(modules, config.start)
    settings, before = config.denoiser, trained_before(config)
    teacher = Teacher(modules, data.silence) if settings.is_guided else None
    if settings.critic_weight > 0:
        critic = LatentCritic(config.autoencoder.latent_channels, config.text.width)
        modules[denoising.CRITIC] = prepared(critic, config.device)
    scheduler, precision = build_scheduler(), getattr(torch, config.precision)
    reader = _load_reader(config, out) if settings.reader_weight > 0 else None
    loss_at = denoising.denoiser_loss(data, scheduler, settings, config.seed, precision, teacher, reader)

    def preview(step: int, averages: Mapping[str, nn.Module]) -> None:
        if validated is not None:
            found = denoising.validation_loss(averages, validated, scheduler, settings, precision)
            record_validation(out / "validation.json", step, found)
        copies = {name: copy.deepcopy(module).cpu() for name, module in averages.items()}
        shown = build_pipeline(copies, autoencoder().cpu(), tokenizer)
        rows = _preview_rows(shown, config.preview_columns, settings.steps, pictures)
        save_grid(out / "previews" / f"denoiser-{step:07d}.png", rows)
        facts = {
            "trained_steps": before["trained_steps"] + step,
            "trained_pictures": before["trained_pictures"] + step * settings.loop.batch_size,
        }
        export(shown, out / "exports" / f"{step:07d}", out / "export", config, facts)

    folder = out / denoising.STAGE
    _, losses = train(denoising.STAGE, modules, loss_at, settings.loop, folder, preview, resume, config.threads)
    save_loss_curve(out / "previews" / "denoiser.png", losses)
    return out / "export"


def export(pipeline: Any, folder: Path, link: Path, config: TrainNanoConfig, facts: Mapping[str, int]) -> None:
    """Writes the pipeline, which becomes float16, and points the link to it; all but two neighbours of it are removed."""
    shutil.rmtree(folder, ignore_errors=True)
    known = {
        "name": "nano",
        "condition_kind": "xyz",
        "condition_renderer": condition_renderer_id("xyz"),
        "image_size": config.image_size,
    }
    save_pipeline(pipeline, folder, {**known, **facts})
    draft = link.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.relative_to(link.parent))
    draft.replace(link)
    for older in sorted(folder.parent.iterdir())[:-2]:
        shutil.rmtree(older)
    logger.info("exported %s", json.dumps({**known, **facts}, sort_keys=True))


def _reader_path(out: Path) -> Path:
    return out / reading.STAGE / "reader.safetensors"


def _load_reader(config: TrainNanoConfig, out: Path) -> nn.Module:
    """The trained reader, fixed; ValueError when the run has none."""
    path = _reader_path(out)
    if not path.is_file():
        raise ValueError(f"train_nano: {path} is missing; train the stage `reader` first")
    reader = reading.LatentReader(config.autoencoder.latent_channels)
    reader.load_state_dict(load_file(path))
    return prepared(reader, config.device).eval().requires_grad_(False)


def _denoiser(config: TrainNanoConfig, tokenizer: Any, cells: int) -> dict[str, nn.Module]:
    """UNet, ControlNet and text encoder for latents of so many cells a side: fresh weights, on the run's device."""
    unet, controlnet = build_denoiser(config.denoiser, config.text.width, config.autoencoder.latent_channels, cells)
    return {
        "unet": prepared(unet, config.device),
        "controlnet": prepared(controlnet, config.device),
        "text_encoder": build_text_encoder(config.text, tokenizer).to(config.device),
    }


def _tokenizer(config: TrainNanoConfig, prompts: Sequence[str]) -> Any:
    """The start's tokenizer, or one made of the prompts' words. A word that is no token of the start's raises ValueError."""
    from transformers import CLIPTokenizer

    words = words_of(prompts)
    if config.start is None:
        return build_tokenizer(words, config.text.length)
    tokenizer = CLIPTokenizer.from_pretrained(config.start / "tokenizer", local_files_only=True)
    strange = [word for word in words if len(tokenizer.tokenize(word)) != 1]
    if strange:
        raise ValueError(f"train_nano: {config.start} has no tokens for {', '.join(strange[:5])}; train from scratch")
    return tokenizer


def _preview_rows(pipeline: Any, columns: int, steps: int, pictures: PictureSet) -> list[np.ndarray]:
    """Conditions, generated pictures, true renders: the first pictures of the set, in two groups."""
    rows = []
    for first in (0, columns):
        part = slice(first, first + columns)
        generated = pipeline(
            prompt=list(pictures.prompts[part]),
            image=autoencoding.to_condition(pictures.conditions[part]),
            num_inference_steps=steps,
            guidance_scale=1.0,
            generator=[torch.Generator().manual_seed(k) for k in range(columns)],
            output_type="np",
        ).images
        drawn = (255.0 * generated).round().astype(np.uint8)
        rows += [pictures.conditions[part], drawn, pictures.images[part]]
    return rows
