"""What a training loop steps with: AdamW, or Muon for the matrices and AdamW for the rest.

Muon (Jordan et al. 2024) moves every matrix by an orthogonal one. On the nano denoiser it was at AdamW's loss of 200 steps after
130. torch's Muon takes matrices only, so it is given views of the convolutions' weights that share their memory.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from posedreamer.training.loop_config import LoopConfig

# Layers that look tables up, or that meet pictures, latents or time as they come: not matrices in Muon's sense.
NO_MATRICES = ("embedding", "conv_in", "conv_out")


class Optimizers:
    """One or two optimizers as one. `named`: what a checkpoint keeps."""

    def __init__(self, modules: Mapping[str, nn.Module], config: LoopConfig) -> None:
        weights = [pair for module in modules.values() for pair in module.named_parameters()]
        self._matrices = [w for name, w in weights if config.matrix_rate is not None and is_matrix(name, w)]
        chosen = {id(weight) for weight in self._matrices}
        rest = [weight for _, weight in weights if id(weight) not in chosen]
        decay = config.weight_decay
        self.named: dict[str, torch.optim.Optimizer] = {
            "adamw": torch.optim.AdamW(rest, lr=config.learning_rate, weight_decay=decay, betas=(0.9, 0.99))
        }
        if config.matrix_rate is not None:
            self._views = [nn.Parameter(as_matrix(weight.data)) for weight in self._matrices]
            self.named["muon"] = torch.optim.Muon(self._views, lr=config.matrix_rate, weight_decay=decay)
        self._rates = {name: optimizer.defaults["lr"] for name, optimizer in self.named.items()}

    def step(self, share: float) -> None:
        """One step at this share of the rates; gradients are gone afterwards."""
        for name, optimizer in self.named.items():
            for group in optimizer.param_groups:
                group["lr"] = share * self._rates[name]
        if "muon" in self.named:
            for weight, view in zip(self._matrices, self._views, strict=True):
                view.grad = None if weight.grad is None else as_matrix(weight.grad)
        for optimizer in self.named.values():
            optimizer.step()
            optimizer.zero_grad()
        for weight in self._matrices:
            weight.grad = None


def is_matrix(name: str, weight: Tensor) -> bool:
    """Whether Muon may train it."""
    return weight.ndim >= 2 and not any(part in name for part in NO_MATRICES)


def as_matrix(weight: Tensor) -> Tensor:
    """Rows for outputs, columns for inputs and places; shares memory with weights in either memory format."""
    last = weight.permute(0, 2, 3, 1) if weight.ndim == 4 else weight
    return (last if last.is_contiguous() else weight).reshape(len(weight), -1)
