"""A multi-view model of random weights, small enough for a test."""

import numpy as np
import torch

from posedreamer.drpose.multiview import MultiViewModel
from posedreamer.drpose.multiview_training import (
    EMBEDDING_WIDTH,
    MultiViewDenoiserConfig,
    build_multiview,
    build_multiview_scheduler,
    draw_words,
)
from posedreamer.training.loop_config import LoopConfig
from posedreamer.training.nano_config import AutoencoderConfig
from posedreamer.training.nano_model import build_autoencoder

SIZE, CELLS = 32, 4
LATENT_CHANNELS = 6


def embed(photos):
    """A stand-in for the features of photographs: their mean colours, many times."""
    means = torch.tensor(np.stack([photo.mean(axis=(0, 1)) for photo in photos]) / 255, dtype=torch.float32)
    return means.repeat(1, EMBEDDING_WIDTH)[:, :EMBEDDING_WIDTH]


def tiny_multiview() -> MultiViewModel:
    """Of pictures of SIZE, latents of CELLS."""
    torch.manual_seed(0)
    loop = LoopConfig(steps=1)
    config = MultiViewDenoiserConfig(channels=(16, 16), heads=2, groups=4, time_channels=16, word_width=8, loop=loop)
    autoencoder = AutoencoderConfig(latent_channels=LATENT_CHANNELS, width=8, blocks=(0, 0, 0, 0), loop=loop)
    unet, vae = build_multiview(config, LATENT_CHANNELS, CELLS).eval(), build_autoencoder(autoencoder).eval()
    words = draw_words(8, torch.Generator().manual_seed(0))
    return MultiViewModel(unet, vae, build_multiview_scheduler(), words, embed, identity="tiny")
