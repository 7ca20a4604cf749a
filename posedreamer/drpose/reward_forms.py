"""Other rewards for the same training, which DrPose's reviewers asked to see beside PoseScore: by 3D joints that a net reads off the latents,
by a net that tells latents of this pose from those of another, and by a mesh-recovery learner that looks at the decoded front view.

All of them are of a subject's clean multi-view latents and its joints, rise with agreement, and are near 0 at best.
"""

import itertools
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from posedreamer.bodies.body import BodyModel
from posedreamer.drpose.multiview import MultiViewModel, unstack_views
from posedreamer.drpose.reward import wanted_maps
from posedreamer.drpose.skeleton import CHANNELS, FROM_OUTPUT
from posedreamer.drpose.skeleton_net import WIDTHS, SkeletonNet
from posedreamer.drpose.views import VIEWS, triangulate
from posedreamer.estimators.blocks import Block
from posedreamer.estimators.features import DEVIATION, MEAN
from posedreamer.estimators.mesh import load_network

PER_DIAGONAL = 10.0  # joint errors are counted in tenths of the body's diagonal: then they weigh about as PoseScore's
LEAST_SURE = 1e-3
ROOT, COLORS, FRONT = CHANNELS.index("pelvis"), 1, 0


@runtime_checkable
class Reward(Protocol):
    """What PoseScore is, too."""

    def __call__(
        self, latents: Float[Tensor, "images c h w"], joints: Float[Tensor, "subjects 23 3"]
    ) -> Float[Tensor, " subjects"]: ...


class JointNet(nn.Module):
    """Joints in the subject's frame: the mean place under a heat map in every view (Sun et al. 2018), triangulated by how sure each view is."""

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        self.trunk = SkeletonNet(latent_channels, 2 * len(CHANNELS))

    def forward(self, latents: Float[Tensor, "images c h w"]) -> Float[Tensor, "subjects 23 3"]:
        """latents: of a multi-view batch, clean; mirrored views as they are stored."""
        heat, sure = (maps.flatten(3) for maps in self.trunk(latents).float().chunk(2, dim=2))
        side = round(heat.shape[-1] ** 0.5)
        middle = (torch.arange(side, device=latents.device) + 0.5) / side
        cells = torch.stack(torch.meshgrid(middle, middle, indexing="xy"), dim=-1).flatten(0, 1)
        share = heat.softmax(dim=-1)
        places, weight = share @ cells, (share * sure).sum(dim=-1).sigmoid() + LEAST_SURE
        mirrored = torch.tensor([view.is_mirrored for view in VIEWS], device=latents.device)[:, None]
        u = torch.where(mirrored, 1.0 - places[..., 0], places[..., 0])
        return triangulate(torch.stack([u, places[..., 1]], dim=-1), weight, 1)


class PairNet(nn.Module):
    """Whether latents show a pose: a logit for each subject, of every view's latents beside the skeleton maps wanted there."""

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        self.view = nn.Embedding(len(VIEWS), WIDTHS[0])
        self.enter = Block(2 * latent_channels + len(CHANNELS), WIDTHS[0])
        self.down = nn.ModuleList(Block(a, b, 2) for a, b in itertools.pairwise(WIDTHS))
        self.leave = nn.Linear(WIDTHS[-1], 1)

    def forward(
        self, latents: Float[Tensor, "images c h w"], joints: Float[Tensor, "subjects 23 3"]
    ) -> Float[Tensor, " subjects"]:
        """latents: of a multi-view batch, clean."""
        views = len(VIEWS)
        sides = unstack_views(latents, views).transpose(1, 2).flatten(2, 3).flatten(0, 1)
        maps = F.adaptive_avg_pool2d(wanted_maps(joints, 2 * latents.shape[-1]).flatten(0, 1), latents.shape[-1])
        x = self.enter(torch.cat([sides, maps.to(sides)], dim=1))
        x = x + self.view.weight.repeat(len(x) // views, 1)[:, :, None, None]
        for block in self.down:
            x = block(F.silu(x))
        return self.leave(F.silu(x).mean(dim=(2, 3))).unflatten(0, (-1, views)).mean(dim=(1, 2))


class JointScore:
    """- mean distance of the joints that a net reads off the latents."""

    def __init__(self, net: JointNet) -> None:
        self.net = net

    def __call__(
        self, latents: Float[Tensor, "images c h w"], joints: Float[Tensor, "subjects 23 3"]
    ) -> Float[Tensor, " subjects"]:
        """In tenths of the body's diagonal."""
        return -PER_DIAGONAL * (self.net(latents) - joints).norm(dim=-1).mean(dim=1)


class PairScore:
    """Logarithm of the probability that a net gives to latents and pose belonging together."""

    def __init__(self, net: PairNet) -> None:
        self.net = net

    def __call__(
        self, latents: Float[Tensor, "images c h w"], joints: Float[Tensor, "subjects 23 3"]
    ) -> Float[Tensor, " subjects"]:
        """At most 0."""
        return F.logsigmoid(self.net(latents, joints).float())


class LearnerScore:
    """- mean distance of the joints that a learner sees in the decoded front view: from the pelvis, at the scale that fits best."""

    def __init__(self, model: MultiViewModel, folder: Path, body: BodyModel) -> None:
        self.vae, self.scaling = model.vae, model.scaling
        self.network: Any = load_network(folder).eval().requires_grad_(False)
        self.body = body

    def __call__(
        self, latents: Float[Tensor, "images c h w"], joints: Float[Tensor, "subjects 23 3"]
    ) -> Float[Tensor, " subjects"]:
        """In tenths of the body's diagonal."""
        front = unstack_views(latents, len(VIEWS))[:, COLORS, FRONT]
        shown = (self.vae.decode(front / self.scaling).sample + 1) / 2
        size = self.network.settings["size"]
        crops = F.interpolate(shown.clamp(0, 1), (size, size), mode="bilinear", antialias=True, align_corners=False)
        mean, deviation = (torch.tensor(value).to(crops).view(1, 3, 1, 1) for value in (MEAN, DEVIATION))
        recovered = self.network((crops - mean) / deviation)
        posed = recovered.pose(self.body, crops.new_full((len(crops),), float(size)), size)
        seen, true = (points - points[:, ROOT : ROOT + 1] for points in (posed.joints[:, list(FROM_OUTPUT)], joints))
        scale = (seen * true).sum(dim=(1, 2)) / seen.square().sum(dim=(1, 2))
        return -PER_DIAGONAL * (scale[:, None, None] * seen - true).norm(dim=-1).mean(dim=1)


def load_net(net: nn.Module, path: Path) -> Any:
    """A net with a safetensors file's weights, frozen. Other weights are a ValueError by torch."""
    net.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return net.eval().requires_grad_(False)
