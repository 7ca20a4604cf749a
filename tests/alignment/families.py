"""Tiny random pipelines of every family that can be aligned, loaded as the generation stage loads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tiny_models import SIZE, save_tiny, save_tiny_flux

from posedreamer.stages.generation.diffusers_backend import Drawing, Model, load_model

FAMILIES = ("sd", "sdxl", "flux")
DRAWING = Drawing(steps=2, guidance=1.0, controlnet_scale=0.7, negative_prompt="")
MAPS = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)


def save_families(parent: Path) -> dict[str, str]:
    """Family -> folder of its pipeline."""
    for family in FAMILIES:
        save_tiny_flux(parent / family) if family == "flux" else save_tiny(parent / family, xl=family == "sdxl")
    return {family: str(parent / family) for family in FAMILIES}


def opened(folder: str | Path, adapters: Sequence[str] = ()) -> Model:
    return load_model(str(folder), None, "xyz", adapters, torch.float32, "cpu")
