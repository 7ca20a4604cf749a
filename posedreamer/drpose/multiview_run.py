"""The stages of the multi-view model's training in order, with what they write: what train_multiview.py runs.

Folder of a run: `autoencoder/`, `multiview/` and `skeleton/` hold checkpoints, `previews/` grids and loss curves, `model/` the exported
model (averaged weights, float16), `skeleton.safetensors` (and `joints`, `pairs`) the nets.
"""

import copy
import functools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from posedreamer.drpose.checkpoints import open_multiview
from posedreamer.drpose.multiview import FeatureEmbedder, MultiViewModel, draw_views, encode, save_nano_multiview
from posedreamer.drpose.multiview_training import (
    DENOISER,
    JOINTS,
    PAIRS,
    SKELETON,
    MultiViewData,
    TrainMultiViewConfig,
    ViewPictures,
    build_multiview,
    build_multiview_scheduler,
    draw_words,
    kernel_encoder,
    multiview_loss,
    reading_loss,
)
from posedreamer.drpose.reward_forms import JointNet, PairNet
from posedreamer.drpose.scan_data import Scans
from posedreamer.drpose.skeleton_net import SkeletonNet
from posedreamer.drpose.views import VIEWS
from posedreamer.seeds import seed_for
from posedreamer.training import autoencoder_run
from posedreamer.training.group_norm import prepared
from posedreamer.training.loop import torch_generator, train
from posedreamer.training.nano_autoencoder import patch_kernel
from posedreamer.training.nano_preview import save_grid, save_loss_curve

DECODED = 512  # scans whose views the decoder sees
NETS: dict[str, Any] = {SKELETON: SkeletonNet, JOINTS: JointNet, PAIRS: PairNet}
SHOWN = 4  # subjects of a preview


def train_view_autoencoder(config: TrainMultiViewConfig, scans: Scans, out: Path, resume: bool) -> None:
    """Fits the encoder to views and trains (or resumes) the decoder."""
    pictures = ViewPictures.of(scans, min(DECODED, len(scans.photos)))
    order = np.random.default_rng(seed_for(config.seed, "autoencoder", "pictures")).permutation(len(pictures.images))
    machine = autoencoder_run.Machine(config.device, getattr(torch, config.precision), config.threads)
    shown = (pictures.images[order], pictures.maps[order])
    autoencoder_run.train_autoencoder(config.autoencoder, *shown, config.seed, machine, out, resume)


def train_denoiser(config: TrainMultiViewConfig, scans: Scans, out: Path, resume: bool) -> None:
    """Trains (or resumes) the UNet, and exports the model with every preview."""
    settings = config.denoiser
    vae = _autoencoder(config, out)
    embedder = FeatureEmbedder()
    words = draw_words(settings.word_width, torch_generator(config.seed, DENOISER, 0, "words"))
    data = MultiViewData(scans, _embeddings(scans, embedder, out), words, kernel_encoder(patch_kernel(vae)))
    torch.manual_seed(seed_for(config.seed, DENOISER, "weights"))
    cells = config.size // config.autoencoder.factor
    unet = build_multiview(settings, config.autoencoder.latent_channels, cells)
    scheduler, precision = build_multiview_scheduler(), getattr(torch, config.precision)
    loss_at = multiview_loss(data, scheduler, settings, config.seed, precision)

    def preview(step: int, averages: Mapping[str, nn.Module]) -> None:
        averaged: Any = copy.deepcopy(averages["unet"]).cpu().eval()
        model = MultiViewModel(averaged, copy.deepcopy(vae).cpu(), scheduler, words, embedder)
        save_grid(out / "previews" / f"multiview-{step:07d}.png", preview_rows(model, scans, config.seed))
        shutil.rmtree(out / "model", ignore_errors=True)
        save_nano_multiview(model, out / "model")

    _, losses = train(
        DENOISER, {"unet": prepared(unet, config.device)}, loss_at, settings.loop, out / DENOISER, preview, resume, config.threads
    )  # fmt: skip
    save_loss_curve(out / "previews" / "multiview.png", losses)


def preview_rows(model: MultiViewModel, scans: Scans, seed: int) -> list[np.ndarray]:
    """Of the first subjects: photograph and true views, and below the drawn ones; normals, then colours."""
    channels, cells = model.unet.config["out_channels"], model.unet.config["sample_size"]
    noise = torch.randn(
        (SHOWN * 2 * len(VIEWS), channels, cells, cells), generator=torch_generator(seed, DENOISER, 0, "preview")
    )
    drawn, rows = draw_views(model, list(scans.photos[:SHOWN]), noise), []
    for place in range(SHOWN):
        photo = scans.photos[place][None]
        for domain, true in enumerate((scans.normals[place], scans.colors[place])):
            rows += [np.concatenate([photo, true]), np.concatenate([photo, drawn[place, domain]])]
    return rows


def train_reading_net(stage: str, config: TrainMultiViewConfig, scans: Scans, out: Path, resume: bool) -> None:
    """Trains (or resumes) a net of NETS on the latents of the run's autoencoder, or of a checkpoint's."""
    if config.skeleton.checkpoint is None:
        encoder, channels = kernel_encoder(patch_kernel(_autoencoder(config, out))), config.autoencoder.latent_channels
    else:
        model = open_multiview(config.skeleton.checkpoint)
        encoder, channels = functools.partial(encode, model), model.unet.config["out_channels"]
    torch.manual_seed(seed_for(config.seed, stage, "weights"))
    net = prepared(NETS[stage](channels), config.device)
    loss_at = reading_loss(stage, scans, encoder, config.skeleton, config.seed, getattr(torch, config.precision))

    def save(step: int, averages: Mapping[str, nn.Module]) -> None:
        state = {key: value.half().contiguous().cpu() for key, value in averages["net"].state_dict().items()}
        save_file(state, out / f"{stage}.safetensors")

    _, losses = train(stage, {"net": net}, loss_at, config.skeleton.loop, out / stage, save, resume, config.threads)
    save_loss_curve(out / "previews" / f"{stage}.png", losses)


def _autoencoder(config: TrainMultiViewConfig, out: Path) -> Any:
    return autoencoder_run.load_autoencoder(config.autoencoder, out, config.device)


def _embeddings(scans: Scans, embedder: FeatureEmbedder, out: Path) -> torch.Tensor:
    """Of all photographs, kept in the run's folder: they take minutes."""
    path = out / "embeddings.npy"
    if not path.is_file():
        np.save(path, embedder(list(scans.photos)).numpy())
    found = torch.from_numpy(np.load(path, allow_pickle=False))
    if len(found) != len(scans.photos):
        raise ValueError(
            f"{path}: embeds {len(found)} photographs, but there are {len(scans.photos)}; choose another folder"
        )
    return found
