"""How different two pictures look to a network: distances between unit feature vectors (as in LPIPS, Zhang et al. 2018).

The network is EfficientNet-Lite0 as it comes (ImageNet), without LPIPS's learned weights, so figures are comparable with
nothing but themselves.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from posedreamer.estimators.features import DEVIATION, MEAN, FeatureExtractor

BLOCKS = (0, 2, 4)  # at a half, a quarter and an eighth of the picture's size


class PerceptualDistance:
    """Mean square distance of unit feature vectors, summed over BLOCKS; 0 for equal pictures, at most 4 a block."""

    def __init__(self, device: str = "cpu") -> None:
        network: Any = FeatureExtractor().setup().network
        self.network = network.to(device)
        self.mean, self.deviation = (torch.from_numpy(values)[:, None, None].to(device) for values in (MEAN, DEVIATION))

    def __call__(self, shown: Float[Tensor, "batch 3 h w"], wished: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, ""]:
        """Pictures in [-1, 1]. Gradients go to `shown` only."""
        return self.of_each(shown, wished).mean()

    def of_each(
        self, shown: Float[Tensor, "batch 3 h w"], wished: Float[Tensor, "batch 3 h w"]
    ) -> Float[Tensor, " batch"]:
        """The distance of each pair."""
        with torch.no_grad():
            there = self._features(wished)
        pairs = zip(self._features(shown), there, strict=True)
        return torch.stack([(one - other).square().sum(dim=1).mean(dim=(1, 2)) for one, other in pairs]).sum(dim=0)

    def _features(self, pictures: Float[Tensor, "batch 3 h w"]) -> list[Tensor]:
        network = self.network
        x = ((pictures + 1.0) / 2.0 - self.mean) / self.deviation
        x = network._swish(network._bn0(network._conv_stem(x)))
        found = []
        for place, block in enumerate(network._blocks[: BLOCKS[-1] + 1]):
            x = block(x)
            if place in BLOCKS:
                found.append(F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=1))
        return found
