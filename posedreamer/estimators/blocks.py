"""What small networks of maps are made of: the observer, the reader of latents, the skeleton net."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Block(nn.Module):
    """A convolution that changes width and size, and one more round which its result is added."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels_in, channels, 3, stride, 1)
        self.norm = nn.GroupNorm(8, channels)
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c2 h2 w2"]:
        x = self.enter(x)
        return x + self.conv(F.silu(self.norm(x)))
