"""PoseScore (DrPose, section 3): how well clean multi-view latents show a known pose, differentiable, without decoding them.

r(x0, pose) = -(BCE + perceptual distance) of the maps that the skeleton net reads off the latents and those of the pose's joints in every
view. BCE is counted from its least value, so a perfect map scores 0. The perceptual distance is one of EfficientNet-Lite0's features
(training/perceptual.py; LPIPS's own weights are not free to ship), of the 23 maps painted in three colours.
"""

import colorsys

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from posedreamer.drpose.skeleton import CHANNELS, draw_skeleton_maps
from posedreamer.drpose.skeleton_net import SkeletonNet
from posedreamer.drpose.views import project_to_views
from posedreamer.training.perceptual import PerceptualDistance

PERCEPTUAL_WEIGHT = 0.1


class PoseScore:
    """The reward. net: frozen; perceptual_weight: of the second term over the first's sum over channels; 0 leaves it out."""

    def __init__(self, net: SkeletonNet, device: str = "cpu", perceptual_weight: float = PERCEPTUAL_WEIGHT) -> None:
        self.net, self.perceptual_weight = net.to(device), perceptual_weight
        self.distance = PerceptualDistance(device) if perceptual_weight > 0 else None
        self.palette = palette().to(device)

    def __call__(
        self, latents: Float[Tensor, "images c h w"], joints: Float[Tensor, "subjects 23 3"]
    ) -> Float[Tensor, " subjects"]:
        """The reward of each subject; 0 is best. joints: of `skeleton.CHANNELS`, subject's frame."""
        logits = self.net(latents)
        maps = wanted_maps(joints, logits.shape[-1])
        missed = map_error(logits, maps)
        if self.distance is None:
            return -missed
        shown, wished = (self.painted(values).flatten(0, 1) for values in (logits.sigmoid(), maps))
        felt = self.distance.of_each(shown, wished).unflatten(0, (len(joints), -1)).mean(dim=1)
        return -(missed + self.perceptual_weight * felt)

    def painted(self, maps: Float[Tensor, "subjects views 23 h w"]) -> Float[Tensor, "subjects views 3 h w"]:
        """The maps in colours, in [-1, 1]; where many meet it is hardly brighter than where one is."""
        colors = torch.einsum("svchw,ck->svkhw", maps, self.palette) / self.palette.amax()
        return 2.0 * (1.0 - torch.exp(-colors)) - 1.0


def wanted_maps(joints: Float[Tensor, "subjects 23 3"], size: int) -> Float[Tensor, "subjects views 23 size size"]:
    """The skeleton maps of the pose in every view as it is stored: back and left are mirrored."""
    return draw_skeleton_maps(project_to_views(joints, size)[..., :2], size)


def map_error(
    logits: Float[Tensor, "subjects views 23 h w"], maps: Float[Tensor, "subjects views 23 h w"]
) -> Float[Tensor, " subjects"]:
    """Binary cross-entropy over its least value for these maps, the mean over views and pixels of the sum over channels; 0 when equal."""
    least = F.binary_cross_entropy(maps, maps, reduction="none")
    error = F.binary_cross_entropy_with_logits(logits, maps, reduction="none") - least
    return error.sum(dim=2).mean(dim=(1, 2, 3))


def palette() -> Float[Tensor, "23 3"]:
    """A colour for each channel: hues of equal distance, neighbours in the list far apart."""
    hues = [(place * 0.6180339887) % 1.0 for place in range(len(CHANNELS))]
    return torch.tensor([colorsys.hsv_to_rgb(hue, 0.9, 1.0) for hue in hues])
