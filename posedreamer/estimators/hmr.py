"""A mesh-recovery network: SMPL-X parameters of one person from a person crop (Kanazawa et al. 2018, HMR; Goel et al. 2023, HMR 2).

A timm backbone's map is attended to by one query a joint, one for the shape and one for the place. Crops are those of a camera
turned towards the person (geometry/person_crop.py), so what is predicted is in that camera's frame, with its perspective.
Hands, jaw and eyes are not predicted: they rest.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from posedreamer import torchvision_shim
from posedreamer.bodies.body import BodyModel, BodyOutput
from posedreamer.bodies.layout import NUM_BETAS
from posedreamer.estimators.features import DEVIATION, MEAN, load_lite0
from posedreamer.geometry.rotations import rot6d_to_rotmat
from posedreamer.geometry.skeletons import BODY_JOINTS

LITE0 = "tf_efficientnet_lite0"  # the backbone whose ImageNet weights a package brings
PACKAGED, HUB = "packaged", "hub"  # where a backbone's first weights come from
FACING = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)  # rot6d of a body that stands before the camera and looks at it
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # of a joint at rest
USUAL_EXTENT = 2.0  # metres that a crop shows across
ANSWER_DEVIATION = 0.01  # of the last layers' weights: training begins at the resting body


class Recovered(NamedTuple):
    """Bodies in their crops' camera frames.

    rotmats: of global_orient and the body's joints. root: x, y of the root joint in half crops from the middle, and the logarithm
    of the metres that the crop shows across at its depth.
    """

    rotmats: Float[Tensor, "batch 22 3 3"]
    betas: Float[Tensor, "batch 10"]
    root: Float[Tensor, "batch 3"]

    def root_cam(self, focal: Float[Tensor, " batch"], size: int) -> Float[Tensor, "batch 3"]:
        """The root joint, metres. focal: of the crops' cameras, pixels; size: of the crops."""
        extent = self.root[:, 2].exp()
        return torch.stack([self.root[:, 0] * extent / 2, self.root[:, 1] * extent / 2, extent * focal / size], dim=1)

    def pose(self, body: BodyModel, focal: Float[Tensor, " batch"], size: int) -> BodyOutput:
        """The posed bodies, metres, in their crops' camera frames."""
        shape = torch.cat([self.betas, torch.zeros_like(self.betas)], dim=1)
        transl = self.root_cam(focal, size) - body.rest_root(self.betas)
        return body.pose(body.relaxed_rotmats(self.rotmats), shape, transl)


def encode_root(
    root_cam: Float[Tensor, "batch 3"], focal: Float[Tensor, " batch"], size: int
) -> Float[Tensor, "batch 3"]:
    """`Recovered.root` of root joints: the inverse of `Recovered.root_cam`."""
    extent = root_cam[:, 2] * size / focal
    return torch.stack([2 * root_cam[:, 0] / extent, 2 * root_cam[:, 1] / extent, extent.log()], dim=1)


class HMRNet(nn.Module):
    """The network. `backbone`: timm's name; `level`: which of its maps is read, counted from the finest; `size`: of the crops.

    Batch norms keep their statistics: batches are shared by threads, and averaged weights have none of their own.
    """

    def __init__(
        self, backbone: str = LITE0, level: int = 3, size: int = 128, width: int = 192, layers: int = 2, heads: int = 6
    ) -> None:
        super().__init__()
        self.settings = {"backbone": backbone, "level": level, "size": size, "width": width, "layers": layers, "heads": heads}  # fmt: skip
        self.backbone = _timm_backbone(self.settings, None)
        channels, stride = self.backbone.feature_info.channels()[0], self.backbone.feature_info.reduction()[0]  # pyright: ignore
        queries = len(BODY_JOINTS) + 2
        self.enter = nn.Linear(channels, width)
        self.places = nn.Parameter(0.02 * torch.randn((size // stride) ** 2, width))
        self.whole = nn.Linear(channels, queries * width)
        self.queries = nn.Parameter(0.02 * torch.randn(queries, width))
        layer = nn.TransformerDecoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers, nn.LayerNorm(width))
        self.rotate = nn.Parameter(ANSWER_DEVIATION * torch.randn(len(BODY_JOINTS), width, 6))
        self.shape, self.place = nn.Linear(width, NUM_BETAS), nn.Linear(width, 3)
        for layer in (self.shape, self.place):
            nn.init.normal_(layer.weight, std=ANSWER_DEVIATION)
            nn.init.zeros_(layer.bias)
        rest = torch.tensor([FACING] + [UPRIGHT] * (len(BODY_JOINTS) - 1))
        self.register_buffer("rest_rot6d", rest, persistent=False)
        self.register_buffer("rest_root", torch.tensor([0.0, 0.0, float(np.log(USUAL_EXTENT))]), persistent=False)

    def forward(self, crops: Float[Tensor, "batch 3 size size"]) -> Recovered:
        """crops: as `to_input` makes them."""
        found = self.backbone(crops)[0]
        cells = found.flatten(2).transpose(1, 2)
        memory = self.enter(cells) + self.places
        asked = self.queries + self.whole(cells.mean(dim=1)).view(len(crops), len(self.queries), -1)
        answers = self.decoder(asked, memory).float()
        joints, shape, place = answers[:, :-2], answers[:, -2], answers[:, -1]
        rot6d = torch.einsum("bjw,jwr->bjr", joints, self.rotate.float()) + self.get_buffer("rest_rot6d")
        with torch.autocast(crops.device.type, enabled=False):
            return Recovered(
                rot6d_to_rotmat(rot6d), self.shape(shape), self.place(place) + self.get_buffer("rest_root")
            )

    def train(self, mode: bool = True) -> "HMRNet":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def load_backbone(self, weights: str) -> "HMRNet":
        """Gives the backbone its first weights.

        weights: `packaged`: those of LITE0 that a package brings; `hub`: timm's own, which it downloads; else a safetensors file
        in timm's naming, whose position embeddings are resized to the crops. What does not fit is a ValueError.
        """
        name = str(self.settings["backbone"])
        if weights == PACKAGED:
            if name != LITE0:
                raise ValueError(
                    f"HMRNet: no packaged weights of {name}; expected {LITE0}, or `hub`, or a safetensors file"
                )
            # Both list the layers in the order in which they are computed.
            found = load_lite0()
        else:
            found = _timm_backbone(self.settings, weights).state_dict()
        state = self.backbone.state_dict()
        for (own, value), (given, weight) in zip(state.items(), found.items(), strict=False):
            if value.shape != weight.shape:
                raise ValueError(f"HMRNet: {given} has shape {tuple(weight.shape)}, {own} {tuple(value.shape)}")
            state[own] = weight
        self.backbone.load_state_dict(state)
        return self


def to_input(crops: UInt8[np.ndarray, "batch h w 3"]) -> Float[Tensor, "batch 3 h w"]:
    """The network's input: ImageNet's mean and deviation taken out."""
    return torch.from_numpy(((crops.astype(np.float32) / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2).copy())


def _timm_backbone(settings: Mapping[str, Any], weights: str | None) -> nn.Module:
    """The backbone, as deep as it is read. weights: none (random), `hub`, or a file."""
    torchvision_shim.install()
    import timm

    name, size = settings["backbone"], settings["size"]
    chosen: dict[str, Any] = {"img_size": size} if name.startswith("vit") else {}
    if weights is not None:
        chosen["pretrained"] = True
    if weights not in (None, HUB):
        if not Path(weights).is_file():
            raise ValueError(f"HMRNet: no weights {weights}; expected `{PACKAGED}`, `{HUB}` or a safetensors file")
        chosen["pretrained_cfg_overlay"] = {"file": weights}
    backbone = timm.create_model(name, features_only=True, out_indices=(settings["level"],), **chosen)
    _forget_later_blocks(backbone)
    return backbone


def _forget_later_blocks(backbone: nn.Module) -> None:
    """Drops the stages of a convolutional backbone whose maps nobody reads: most of EfficientNet's weights."""
    module = backbone.feature_info.module_name()[0]  # pyright: ignore
    stage = module.split(".")
    if stage[0] == "blocks" and len(stage) == 2 and hasattr(backbone, "conv_stem"):
        backbone.blocks = nn.Sequential(*list(backbone.blocks)[: int(stage[1]) + 1])  # pyright: ignore
