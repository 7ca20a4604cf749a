"""The stages of the nano generator's training in order, with their previews and exports: what train_nano.py runs.

Folder of a run: `config.json` is what it was last started with, `autoencoder/` and `denoiser/` hold checkpoints, `previews/`
sample grids and loss curves, `validation.json` the loss on the validation set, `export` links to the newest exported pipeline
(averaged weights, float16). The link is swapped in one step, so a reader never sees half of one.
"""

import copy
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors.torch import load_file, save_file
from torch import nn

from posedreamer.rendering.conditions import condition_renderer_id
from posedreamer.seeds import seed_for
from posedreamer.stages.generation.diffusers_backend import FACTS, check_condition
from posedreamer.strict import differences
from posedreamer.training import nano_autoencoder as autoencoding
from posedreamer.training import nano_diffusion as diffusion
from posedreamer.training import nano_student as studying
from posedreamer.training.critic import PatchCritic
from posedreamer.training.group_norm import prepared
from posedreamer.training.loop import train
from posedreamer.training.nano_config import PreviewConfig, TrainNanoConfig
from posedreamer.training.nano_model import (
    build_autoencoder,
    build_denoiser,
    build_pipeline,
    build_scheduler,
    build_student_scheduler,
    build_text_encoder,
    load_start_autoencoder,
    save_pipeline,
    start_from,
)
from posedreamer.training.nano_preview import record_validation, save_grid, save_loss_curve
from posedreamer.training.nano_text import build_tokenizer, encode, words_of

logger = logging.getLogger(__name__)

FITTED = 1024  # pictures whose patches fix the encoder: the first ones, so that more data later changes nothing
CHECKED = 8  # pictures whose latents are compared with the start's
FIXED = ("seed", "data", "start", "image_size")  # what may not change within a run


class PictureSet(NamedTuple):
    """What is trained on: true renders, the xyz maps of their bodies, and their prompts."""

    images: UInt8[np.ndarray, "count h w 3"]
    conditions: UInt8[np.ndarray, "count h w 3"]
    prompts: Sequence[str]


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
    """Fits the encoder (or takes the start's), trains (or resumes) the decoder, and writes `autoencoder.safetensors`."""
    torch.manual_seed(seed_for(config.seed, autoencoding.STAGE, "weights"))
    settings, model = config.autoencoder, cast(Any, build_autoencoder(config.autoencoder))
    start = None if config.start is None else load_start_autoencoder(config.start)
    if start is None or start.config.latent_channels < settings.latent_channels:
        fitted = (pictures.images[:FITTED], pictures.conditions[:FITTED])
        deviations = autoencoding.patch_transform(model, *fitted, settings)
        logger.info("autoencoder: latent deviations %s", deviations.round(3))
    if config.start is not None:
        start_from({"vae": model}, config.start)
        autoencoding.check_leading_channels(start, model, pictures.images[:CHECKED], config.start)
    prepared(model, config.device)
    precision = getattr(torch, config.precision)
    loss_at = autoencoding.autoencoder_loss(
        model, pictures.images, pictures.conditions, settings, config.seed, precision, config.device
    )
    shown = pictures.images[: config.preview.columns]

    def preview(step: int, averages: Mapping[str, nn.Module]) -> None:
        averaged = copy.deepcopy(model)
        averaged.decoder.load_state_dict(averages["decoder"].state_dict())
        rows = [shown, autoencoding.reconstruct(averaged, shown)]
        save_grid(out / "previews" / f"autoencoder-{step:07d}.png", rows)
        state = {key: value.contiguous() for key, value in averaged.state_dict().items()}
        save_file(state, out / "autoencoder.safetensors")

    folder, modules = out / autoencoding.STAGE, {"decoder": model.decoder}
    if settings.critic_steps:
        modules["critic"] = prepared(PatchCritic(), config.device)
    _, losses = train(autoencoding.STAGE, modules, loss_at, settings.loop, folder, preview, resume, config.threads)
    save_loss_curve(out / "previews" / "autoencoder.png", losses)


def load_autoencoder(config: TrainNanoConfig, out: Path) -> Any:
    """The autoencoder of this run, as far as it is trained."""
    path = out / "autoencoder.safetensors"
    if not path.is_file():
        raise ValueError(f"train_nano: {path} is missing; run the stage `autoencoder` first")
    model: Any = build_autoencoder(config.autoencoder)
    model.load_state_dict(load_file(path))
    return model.eval().requires_grad_(False).to(config.device, memory_format=torch.channels_last)


def cached_latents(config: TrainNanoConfig, autoencoder: Any, pictures: PictureSet, out: Path) -> torch.Tensor:
    """The latents of all pictures, kept in `out` for a run that is gone on with; those of other weights are removed."""
    digest = hashlib.sha256((out / "autoencoder.safetensors").read_bytes()).hexdigest()[:16]
    path = out / f"latents-{digest}-{len(pictures.images)}.safetensors"
    if path.is_file():
        return load_file(path)["latents"]
    for other in out.glob("latents-*.safetensors"):
        other.unlink()
    latents = autoencoding.encode_all(autoencoder, pictures.images).contiguous()
    draft = path.with_suffix(".draft")
    save_file({"latents": latents}, draft)
    draft.rename(path)
    return latents


def train_denoiser(
    config: TrainNanoConfig, pictures: PictureSet, out: Path, resume: bool, validation: PictureSet | None = None
) -> Path:
    """Trains (or resumes) UNet, ControlNet and text encoder on cached latents. Returns the folder of the last export.

    validation: pictures whose loss is written to `validation.json` (step -> loss) with every preview.
    """
    tokenizer, autoencoder = _tokenizer(config, pictures.prompts), load_autoencoder(config, out)
    data = _with_words(tokenizer, pictures, cached_latents(config, autoencoder, pictures, out))
    validated = None
    if validation is not None:
        validated = _with_words(tokenizer, validation, autoencoding.encode_all(autoencoder, validation.images))
    torch.manual_seed(seed_for(config.seed, diffusion.STAGE, "weights"))
    modules = _denoiser(config, tokenizer, *data.latents.shape[1:3])
    if config.start is not None:
        start_from(modules, config.start)
    alphas_cumprod, precision = build_scheduler().alphas_cumprod, getattr(torch, config.precision)
    loss_at = diffusion.diffusion_loss(data, alphas_cumprod, config.denoiser, config.seed, precision)

    def preview(step: int, averages: Mapping[str, nn.Module]) -> None:
        if validated is not None:
            emphasis = config.denoiser.emphasis
            found = diffusion.validation_loss(averages, validated, alphas_cumprod, emphasis, precision)
            record_validation(out / "validation.json", step, found)
        copies = {name: copy.deepcopy(module).cpu() for name, module in averages.items()}
        shown = build_pipeline(copies, load_autoencoder(config, out).cpu(), tokenizer)
        save_grid(out / "previews" / f"denoiser-{step:07d}.png", _preview_rows(shown, config.preview, pictures))
        before, seen = trained_before(config), step * config.denoiser.loop.batch_size
        facts = {
            "trained_steps": before["trained_steps"] + step,
            "trained_pictures": before["trained_pictures"] + seen,
        }
        export(shown, out / "exports" / f"{step:07d}", out / "export", config, facts)

    loop = config.denoiser.loop
    _, losses = train(diffusion.STAGE, modules, loss_at, loop, out / diffusion.STAGE, preview, resume, config.threads)
    save_loss_curve(out / "previews" / "denoiser.png", losses)
    return out / "export"


def train_student(
    config: TrainNanoConfig, pictures: PictureSet, out: Path, resume: bool, validation: PictureSet | None = None
) -> Path:
    """Trains (or resumes) a student of few steps from the exported denoiser, or from the start if the run has none.

    validation: as in `train_denoiser`; its losses go to `student_validation.json`. Returns the folder of the last export.
    """
    start = (out / "export").resolve() if (out / "export").is_dir() else config.start
    if start is None:
        raise ValueError(
            f"train_nano: {out / 'export'} is missing, and there is no `start`; run the stage `denoiser` first"
        )
    tokenizer, kernel = _tokenizer(config, pictures.prompts), autoencoding.patch_kernel(load_autoencoder(config, out))

    def student_set(shown: PictureSet) -> studying.StudentSet:
        return studying.StudentSet(shown.images, shown.conditions, encode(tokenizer, shown.prompts), kernel)

    data, validated = student_set(pictures), None if validation is None else student_set(validation)
    torch.manual_seed(seed_for(config.seed, studying.STAGE, "weights"))
    modules = _denoiser(config, tokenizer, config.autoencoder.latent_channels, config.image_size // data.factor)
    start_from(modules, start)
    settings, before = config.student, json.loads((start / FACTS).read_text())
    scheduler, precision = build_student_scheduler(), getattr(torch, config.precision)
    loss_at = studying.student_loss(data, scheduler, settings, config.seed, precision)

    def preview(step: int, averages: Mapping[str, nn.Module]) -> None:
        if validated is not None:
            found = studying.validation_loss(averages, validated, scheduler, settings, precision)
            record_validation(out / "student_validation.json", step, found)
        copies = {name: copy.deepcopy(module).cpu() for name, module in averages.items()}
        shown = build_pipeline(copies, load_autoencoder(config, out).cpu(), tokenizer, build_student_scheduler())
        drawing = PreviewConfig(columns=config.preview.columns, steps=settings.steps, guidance=1.0)
        save_grid(out / "previews" / f"student-{step:07d}.png", _preview_rows(shown, drawing, pictures))
        facts = {
            "trained_steps": before["trained_steps"],
            "trained_pictures": before["trained_pictures"],
            "student_steps": settings.steps,
            "student_pictures": before.get("student_pictures", 0) + step * settings.loop.batch_size,
        }
        export(shown, out / "students" / f"{step:07d}", out / "student_export", config, facts)

    folder = out / studying.STAGE
    _, losses = train(studying.STAGE, modules, loss_at, settings.loop, folder, preview, resume, config.threads)
    save_loss_curve(out / "previews" / "student.png", losses)
    return out / "student_export"


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


def _with_words(tokenizer: Any, pictures: PictureSet, latents: torch.Tensor) -> diffusion.LatentSet:
    """The pictures as the denoiser is trained on them."""
    words, empty = encode(tokenizer, pictures.prompts), encode(tokenizer, [""])[0]
    return diffusion.LatentSet(latents, pictures.conditions, words, empty)


def _denoiser(config: TrainNanoConfig, tokenizer: Any, channels: int, cells: int) -> dict[str, nn.Module]:
    """UNet, ControlNet and text encoder for latents of so many channels and cells a side: fresh weights, on the run's device."""
    unet, controlnet = build_denoiser(config.denoiser, config.text.width, channels, cells)
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


def _preview_rows(pipeline: Any, drawing: PreviewConfig, pictures: PictureSet) -> list[np.ndarray]:
    """Conditions, generated pictures, true renders: the first pictures of the set, in two groups."""
    rows, columns = [], drawing.columns
    for first in (0, columns):
        part = slice(first, first + columns)
        generated = pipeline(
            prompt=list(pictures.prompts[part]),
            image=autoencoding.to_condition(pictures.conditions[part]),
            num_inference_steps=drawing.steps,
            guidance_scale=drawing.guidance,
            controlnet_conditioning_scale=drawing.controlnet_scale,
            generator=[torch.Generator().manual_seed(k) for k in range(columns)],
            output_type="np",
        ).images
        drawn = (255.0 * generated).round().astype(np.uint8)
        rows += [pictures.conditions[part], drawn, pictures.images[part]]
    return rows
