"""Guidance that is trained into a denoiser (after Meng et al. 2023, guidance distillation): what words change is made stronger.

A prediction from little is a mean, in which a black shirt is grey and a gym a wall. Guidance moves it away from what no words would give, by
the same share everywhere, and what it does at the edge of a limb the judge reads worse: .888 of the OKS of true renders with
guidance 1.5 in three steps, .920 without, for .02 of the attributes. So the target is moved where words speak of clothes, well inside the
body, and where they speak of the scene, away from it, there in the first step alone; between them it stays the true picture.

The teacher is the model as it was: by its own moved predictions a denoiser would be moved again and again.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from posedreamer.training.loop import Modules
from posedreamer.training.nano_autoencoder import body_mask
from posedreamer.training.nano_config import DenoiserConfig


class Teacher:
    """The denoiser as it was, and the tokens of no prompt."""

    def __init__(self, modules: Modules, silence: Int64[Tensor, " length"]) -> None:
        self.modules: Mapping[str, Any] = {
            name: copy.deepcopy(module).eval().requires_grad_(False) for name, module in modules.items()
        }
        self.silence = silence


def guided_share(
    condition: Float[Tensor, "batch 3 h w"], factor: int, is_first: Bool[Tensor, " batch"], config: DenoiserConfig
) -> Float[Tensor, "batch 1 cells_h cells_w"]:
    """How far each cell's target is moved along what words change: guidance - 1."""
    body = body_mask(condition).float()
    touched = F.max_pool2d(F.max_pool2d(body, factor), 3, stride=1, padding=1) > 0
    inside = -F.max_pool2d(F.max_pool2d(-body, factor), 3, stride=1, padding=1) > 0  # the cell and those round it
    away = ~touched & is_first[:, None, None, None]
    return (config.guided_inside - 1.0) * inside + (config.guided_outside - 1.0) * away
