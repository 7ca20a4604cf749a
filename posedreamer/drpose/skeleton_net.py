"""From clean multi-view latents to skeleton maps, without decoding them: DrPose's g_skel.

Each view is seen alone: the latents of its normals and of its colours side by side, and which view it is. The net is a small U-Net over
the latents' cells, then finer by pixel shuffles. (The paper does not say what its own is.)
"""

import itertools
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from posedreamer.drpose.multiview import unstack_views
from posedreamer.drpose.skeleton import CHANNELS
from posedreamer.drpose.views import VIEWS
from posedreamer.estimators.blocks import Block

WIDTHS = (64, 96, 96)  # at the latents' cells, at a half and at a quarter of them
FINE = 4  # cells of a map along the side of a latent cell
FINE_WIDTH = 16


class SkeletonNet(nn.Module):
    """Logits of the maps of `skeleton.CHANNELS`, FINE times as fine as the latents; or of `outputs` other maps."""

    def __init__(self, latent_channels: int, outputs: int = len(CHANNELS)) -> None:
        super().__init__()
        self.view = nn.Embedding(len(VIEWS), WIDTHS[0])
        self.enter = Block(2 * latent_channels, WIDTHS[0])
        self.down = nn.ModuleList(Block(a, b, 2) for a, b in itertools.pairwise(WIDTHS))
        self.up = nn.ModuleList(Block(a + b, a) for a, b in itertools.pairwise(WIDTHS))
        self.fine = nn.Conv2d(WIDTHS[0], FINE**2 * FINE_WIDTH, 3, 1, 1)
        self.leave = nn.Sequential(Block(FINE_WIDTH, FINE_WIDTH), nn.SiLU(), nn.Conv2d(FINE_WIDTH, outputs, 1))

    def forward(self, latents: Float[Tensor, "images c h w"]) -> Float[Tensor, "subjects views outputs h4 w4"]:
        """latents: of a multi-view batch (`stack_views`), clean."""
        views = len(VIEWS)
        sides = unstack_views(latents, views)  # (subject, domain, view, c, h, w)
        x = self.enter(sides.transpose(1, 2).flatten(2, 3).flatten(0, 1))
        x = x + self.view.weight.repeat(len(x) // views, 1)[:, :, None, None]
        maps = [x]
        for block in self.down:
            x = block(F.silu(x))
            maps.append(x)
        for level in range(len(self.down) - 1, -1, -1):
            x = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), maps[level]], dim=1)
            x = self.up[level](F.silu(x))
        return self.leave(F.pixel_shuffle(self.fine(F.silu(x)), FINE)).unflatten(0, (-1, views))


def load_skeleton_net(path: Path) -> SkeletonNet:
    """The net of a safetensors file, frozen. Other weights are a ValueError by torch."""
    state = load_file(path)
    net = SkeletonNet(state["enter.enter.weight"].shape[1] // 2)
    net.load_state_dict({name: value.float() for name, value in state.items()})
    return net.eval().requires_grad_(False)
