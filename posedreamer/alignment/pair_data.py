"""Pairs as the trainer reads them: latents encoded once, the control map, the prompt.

PoseDreamer's released trainer encodes in every pass and draws another sample of the latents each time, so that policy and
reference are measured against different targets; here each picture has one latent, kept in a file.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

from posedreamer.alignment.denoisers import Denoiser
from posedreamer.storage.codec import DrawControl
from posedreamer.storage.pairs import read_pairs

log = logging.getLogger(__name__)
ENCODED = 8  # pictures at once


def encode_pairs(
    tars: Sequence[str], denoiser: Denoiser, folder: Path, draw_control: DrawControl | None = None
) -> "PairData":
    """Encodes the pairs of each tar into a file of the folder, unless it is there already. No pair at all is a ValueError.

    Folder and autoencoder belong together: another autoencoder needs another folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{place:06d}.safetensors" for place in range(len(tars))]
    for tar, file in zip(tars, files, strict=True):
        if file.is_file():
            continue
        pairs = list(read_pairs(tar, draw_control))
        latents = {
            side: _encode(denoiser, [getattr(pair, side).image.rgb for pair in pairs])
            for side in ("chosen", "rejected")
        }
        for side, part in latents.items():
            broken = [pair.key for pair, one in zip(pairs, part, strict=True) if not one.isfinite().all()]
            if broken:
                raise ValueError(f"{tar}: latents of the {side} pictures of {broken[:3]} are no numbers")
        controls = torch.from_numpy(np.stack([pair.chosen.condition.control for pair in pairs]))  # type: ignore[union-attr]
        told = {"keys": [pair.key for pair in pairs], "prompts": [pair.chosen.prompt.text for pair in pairs]}  # type: ignore[union-attr]
        draft = file.with_suffix(".draft")
        save_file({**latents, "control": controls}, draft, {name: json.dumps(value) for name, value in told.items()})
        draft.rename(file)
        log.info("%s: %d pairs encoded", tar, len(pairs))
    return PairData(files)


class PairData(Dataset[dict[str, Any]]):
    """Encoded pairs by number; only the row asked for is read from its file."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.rows: list[tuple[Path, int]] = []
        self.keys: list[str] = []
        self.prompts: list[str] = []
        for file in files:
            with safe_open(file, "pt") as content:
                told = content.metadata()
            keys = json.loads(told["keys"])
            self.rows += [(file, place) for place in range(len(keys))]
            self.keys += keys
            self.prompts += json.loads(told["prompts"])
        if not self.rows:
            raise ValueError("alignment: no preference pair to train on")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        file, place = self.rows[index]
        with safe_open(file, "pt") as content:
            tensors = {name: content.get_slice(name)[place] for name in ("chosen", "rejected", "control")}
        return {**tensors, "prompt": self.prompts[index]}


def collate_pairs(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch: stacked tensors, and the prompts as a list."""
    tensors = {name: torch.stack([item[name] for item in items]) for name in ("chosen", "rejected", "control")}
    return {**tensors, "prompts": [item["prompt"] for item in items]}


def _encode(denoiser: Denoiser, pictures: Sequence[np.ndarray]) -> Tensor:
    parts = (np.stack(pictures[first : first + ENCODED]) for first in range(0, len(pictures), ENCODED))
    return torch.cat([denoiser.encode(part).float().cpu() for part in parts]).contiguous()
