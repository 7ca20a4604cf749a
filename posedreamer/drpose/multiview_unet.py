"""The image-to-multi-view denoiser: diffusers' UNet whose transformer blocks also attend across views, as PSHuman and Era3D have it.

A batch holds of every subject all views of the normals, and after the normals of all subjects their colours: (domain, subject, view),
flattened. In each block self-attention takes the tokens of a view's normals and colours together; `attn_mv` then attends along a row
of all views of a domain: cameras are level and orthographic, so a point of the body lies in the same row of every view (Era3D, Li et
al. 2024; PSHuman, Li et al. 2024). Weights have the names of both repositories' checkpoints.

PSHuman has a face beside the six views: the last, an enlarged part of the first. It takes no part in `attn_mv`, and what self-attention
says of it is mixed into the first view. Era3D estimates the input camera's elevation and focal length in the middle of the net and tells
the upper half.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from posedreamer import torchvision_shim

torchvision_shim.install()

from diffusers import UNet2DConditionModel  # noqa: E402
from diffusers.models.attention_processor import Attention  # noqa: E402
from diffusers.models.embeddings import TimestepEmbedding  # noqa: E402

DOMAINS = ("normals", "colors")
UNET_FILE = "diffusion_pytorch_model.safetensors"  # diffusers' name
REGRESSORS = ("elevation_regressor", "focal_regressor")  # Era3D's, in the order of its embedding
FACE_SHARE = 0.5  # of the first view's self-attention, where the face is, that comes from the face's own


class Layout(NamedTuple):
    """views: of a subject and domain, the face included. has_face: the last is PSHuman's face; camera_blocks: residual blocks of Era3D's
    regressors of the camera; 0: it has none. camera_width: of those.
    """

    views: int = 6
    has_face: bool = False
    camera_blocks: int = 0
    camera_width: int = 1280

    @property
    def level_views(self) -> int:
        """Those that see the whole body."""
        return self.views - int(self.has_face)


class MultiViewBlock(nn.Module):
    """diffusers' BasicTransformerBlock (layer norm, no gates) with joint self-attention and attention along the rows of all views.

    It takes over the block's modules. `attn_mv` begins by adding nothing.
    """

    def __init__(self, block: Any, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.norm1, self.attn1, self.norm2, self.attn2 = block.norm1, block.attn1, block.norm2, block.attn2
        self.norm3, self.ff = block.norm3, block.ff
        self.norm_mv = nn.LayerNorm(block.dim)
        self.attn_mv = Attention(
            query_dim=block.dim, heads=block.num_attention_heads, dim_head=block.attention_head_dim, bias=False
        )
        for name, weight in self.attn_mv.named_parameters():
            if name.startswith("to_out"):
                nn.init.zeros_(weight)

    def forward(
        self,
        hidden_states: Float[Tensor, "images tokens channels"],
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Float[Tensor, "images words width"] | None = None,
        encoder_attention_mask: Tensor | None = None,
        timestep: Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        class_labels: Tensor | None = None,
    ) -> Float[Tensor, "images tokens channels"]:
        """As diffusers calls it; pictures are square. Masks, and what else a plain block could be given, are not used by these models."""
        x = hidden_states
        x = x + self._attend_jointly(self.norm1(x))
        x = x + self._attend_along_rows(self.norm_mv(x))
        x = x + self.attn2(self.norm2(x), encoder_hidden_states=encoder_hidden_states)
        return x + self.ff(self.norm3(x))

    def _attend_jointly(self, x: Float[Tensor, "images tokens channels"]) -> Float[Tensor, "images tokens channels"]:
        normals, colors = x.chunk(2)
        normals, colors = self.attn1(torch.cat([normals, colors], dim=1)).chunk(2, dim=1)
        if not self.layout.has_face:
            return torch.cat([normals, colors])
        return torch.cat([self._with_face(normals), self._with_face(colors)])

    def _with_face(self, x: Float[Tensor, "images tokens channels"]) -> Float[Tensor, "images tokens channels"]:
        """Mixes the face into the middle third of the first view's upper third. No gradient goes into the face from there."""
        side = _side(x)
        third = side // 3
        pictures = x.unflatten(1, (side, side)).unflatten(0, (-1, self.layout.views))
        face = pictures[:, -1].detach().permute(0, 3, 1, 2)
        face = F.interpolate(face, size=(third, third), mode="bilinear").permute(0, 2, 3, 1)
        mixed = pictures.clone()
        place = (slice(None), 0, slice(0, third), slice(third, third + face.shape[2]))
        mixed[place] = torch.lerp(pictures[place], face, FACE_SHARE)
        return mixed.flatten(0, 1).flatten(1, 2)

    def _attend_along_rows(self, x: Float[Tensor, "images tokens channels"]) -> Float[Tensor, "images tokens channels"]:
        """What the views that see the whole body add to each other; 0 for the face."""
        side, views = _side(x), self.layout.level_views
        pictures = x.unflatten(1, (side, side)).unflatten(0, (-1, self.layout.views))  # (subject, view, row, column, c)
        rows = pictures[:, :views].transpose(1, 2).flatten(2, 3).flatten(0, 1)
        seen = self.attn_mv(rows).unflatten(0, (-1, side)).unflatten(2, (views, side)).transpose(1, 2)
        if self.layout.has_face:
            seen = torch.cat([seen, torch.zeros_like(pictures[:, views:])], dim=1)
        return seen.flatten(0, 1).flatten(1, 2)


class CameraRegressor(nn.Module):
    """Era3D's residual regressor of one number."""

    def __init__(self, in_features: int, width: int, blocks: int) -> None:
        super().__init__()
        self.linear_in = nn.Sequential(nn.Linear(in_features, width), nn.SiLU())
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.linear_out = nn.Linear(width, 1)

    def forward(self, features: Float[Tensor, "images features"]) -> Float[Tensor, "images 1"]:
        """The number."""
        return self.linear_out(self.blocks(self.linear_in(features)))


class ResidualBlock(nn.Module):
    """Two layers, added to what they were given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "images width"]) -> Float[Tensor, "images width"]:
        """The sum, through SiLU."""
        return F.silu(self.linear2(F.silu(self.linear1(x))) + x)


class MultiViewUNet(UNet2DConditionModel):
    """A UNet2DConditionModel that `lay_out` has made one of several views."""

    layout: Layout
    camera: Tensor  # what the middle block said last of Era3D's camera

    def lay_out(self, layout: Layout) -> "MultiViewUNet":
        """Turns the transformer blocks into MultiViewBlocks, and adds what the layout has beside, in place."""
        self.layout = layout
        for module in list(self.modules()):
            if isinstance(blocks := getattr(module, "transformer_blocks", None), nn.ModuleList):
                module.transformer_blocks = nn.ModuleList(MultiViewBlock(block, layout) for block in blocks)
        if layout.camera_blocks:
            features = 2 * self.config["block_out_channels"][-1]
            for name in REGRESSORS:
                self.add_module(name, CameraRegressor(features, layout.camera_width, layout.camera_blocks))
            self.camera_embedding = TimestepEmbedding(2 * len(REGRESSORS), 4 * self.config["block_out_channels"][0])
            self.mid_block.register_forward_hook(self._find_camera)
            for block in self.up_blocks:
                block.register_forward_pre_hook(self._tell_camera, with_kwargs=True)
        return self

    def _find_camera(self, module: nn.Module, args: Any, sample: Tensor) -> None:
        pooled = torch.cat(sample.detach().mean(dim=(2, 3)).chunk(2), dim=1)
        numbers = torch.cat([self.get_submodule(name)(pooled) for name in REGRESSORS], dim=1)
        numbers = numbers.unflatten(0, (-1, self.layout.views)).mean(dim=1)
        embedded = self.camera_embedding(torch.cat([numbers.sin(), numbers.cos()], dim=1))
        self.camera = embedded.repeat_interleave(self.layout.views, dim=0).repeat(len(DOMAINS), 1)

    def _tell_camera(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**kwargs, "temb": kwargs["temb"] + self.camera}


def load_multiview(folder: Path, layout: Layout) -> MultiViewUNet:
    """The UNet of a PSHuman or Era3D checkpoint, or of ours: `config.json` and one safetensors file.

    Weights that do not fit the layout, and a checkpoint without safetensors, are a ValueError that says what was there.
    """
    path = folder / UNET_FILE
    if not path.is_file():
        there = ", ".join(sorted(file.name for file in folder.iterdir())) if folder.is_dir() else "no folder"
        raise ValueError(f"multi-view model {folder}: expected {path.name} and config.json, got {there}")
    config = json.loads((folder / "config.json").read_text())
    unet = cast(MultiViewUNet, MultiViewUNet.from_config(_plain_config(config))).lay_out(layout)
    found, expected = load_file(path), unet.state_dict()
    missing, strange = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or strange:
        raise ValueError(
            f"multi-view model {path}: is not of the layout {layout}: it lacks {', '.join(missing[:3]) or 'nothing'} "
            f"and has {', '.join(strange[:3]) or 'nothing'} beside"
        )
    unet.load_state_dict(found)
    return unet


def _plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a multi-view UNet as plain diffusers reads it: block types without `MV2D`."""
    names = {"down_block_types", "up_block_types", "mid_block_type"}

    def plain(value: Any) -> Any:
        return value.replace("MV2D", "2D") if isinstance(value, str) else [plain(one) for one in value]

    return {
        **{key: value for key, value in config.items() if key not in names},
        **{key: plain(config[key]) for key in names if config.get(key) is not None},
        "_class_name": MultiViewUNet.__name__,
    }


def _side(x: Float[Tensor, "images tokens channels"]) -> int:
    return round(x.shape[1] ** 0.5)
