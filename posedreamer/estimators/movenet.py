"""MoveNet SinglePose Thunder: MobileNetV2 (width 1.75), feature pyramid, CenterNet heads; inference only, batched.

The network of Google's model card (Apache-2.0), read off the published graph and written out here; batch norms are already
folded into the convolutions. Weights: `assets/movenet/thunder.safetensors`, made by `pipelines/vendor_movenet.py`.
Keypoints come out in COCO-17 order (`geometry/skeletons.COCO_KEYPOINTS`).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

INPUT_SIZE = 256
NUM_KEYPOINTS = 17
GRID = 64  # cells of the output maps along each side
# The graph holds its constants in half precision; the network was published with these very numbers.
INPUT_SCALE = 0.007843017578125  # about 2 / 255
DISTANCE_OFFSET = 1.7998046875  # about 1.8 cells

# Output channels and stride of the 17 inverted residual blocks; the first expands nothing, the others sixfold.
STEM_CHANNELS = 56
BLOCKS = (
    (32, 1), (40, 2), (40, 1), (56, 2), (56, 1), (56, 1), (112, 2), (112, 1), (112, 1), (112, 1), (168, 1), (168, 1),
    (168, 1), (280, 2), (280, 1), (280, 1), (560, 1),
)  # fmt: skip
EXPANSION = 6
TOP_CHANNELS = 1280
PYRAMID = ((9, 64), (5, 32), (2, 24))  # block that feeds each level on the way down, and the level's channels
FEATURE_CHANNELS = 24
HEAD_CHANNELS = 96


class SamePad(nn.Module):
    """Zeros as TensorFlow adds them to an even-sized map before a 3 x 3 convolution of stride 2: right and bottom only."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1, 0, 1))


def conv3x3(channels_in: int, channels_out: int, stride: int, groups: int = 1, bias: bool = True) -> nn.Sequential:
    """A 3 x 3 convolution with TensorFlow's "SAME" padding."""
    pad = SamePad() if stride == 2 else nn.Identity()
    conv = nn.Conv2d(channels_in, channels_out, 3, stride, 1 if stride == 1 else 0, groups=groups, bias=bias)
    return nn.Sequential(pad, conv)


class InvertedResidual(nn.Module):
    """MobileNetV2 block: expand, depthwise, project; the input is added where shapes allow."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = nn.Conv2d(channels_in, wide, 1) if expansion > 1 else None
        self.depthwise = conv3x3(wide, wide, stride, groups=wide)
        self.project = nn.Conv2d(wide, channels_out, 1)
        self.is_residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        out = self.project(F.relu6(self.depthwise(wide), inplace=True))
        return x + out if self.is_residual else out


class SeparableConv(nn.Module):
    """Depthwise 3 x 3 without bias, then 1 x 1 and a ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.depthwise = conv3x3(channels_in, channels_in, 1, groups=channels_in, bias=False)
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)), inplace=True)


class Head(nn.Module):
    """One map of the output: separable convolution to 96 channels, then 1 x 1."""

    def __init__(self, channels_out: int) -> None:
        super().__init__()
        self.hidden = SeparableConv(FEATURE_CHANNELS, HEAD_CHANNELS)
        self.output = nn.Conv2d(HEAD_CHANNELS, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x))


class MoveNet(nn.Module):
    """One person an image: the one whose centre is strong and near the middle. Weights are loaded by `from_file`."""

    cells: Tensor
    center_weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv3x3(3, STEM_CHANNELS, 2)
        channels = [STEM_CHANNELS, *(out for out, _ in BLOCKS)]
        self.blocks = nn.ModuleList(
            InvertedResidual(channels[i], out, stride, EXPANSION if i else 1) for i, (out, stride) in enumerate(BLOCKS)
        )
        self.top = nn.Conv2d(channels[-1], TOP_CHANNELS, 1)
        self.top_lateral = nn.Conv2d(TOP_CHANNELS, PYRAMID[0][1], 1)
        self.laterals = nn.ModuleList(nn.Conv2d(channels[block + 1], width, 1) for block, width in PYRAMID)
        after = (*(width for _, width in PYRAMID[1:]), FEATURE_CHANNELS)
        self.merges = nn.ModuleList(SeparableConv(width, out) for (_, width), out in zip(PYRAMID, after, strict=True))
        self.center = Head(1)
        self.heatmap = Head(NUM_KEYPOINTS)
        self.regression = Head(2 * NUM_KEYPOINTS)
        self.offset = Head(2 * NUM_KEYPOINTS)
        rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
        middle = torch.sqrt((rows - GRID / 2.0) ** 2 + (columns - GRID / 2.0) ** 2)
        self.register_buffer("cells", torch.stack([rows, columns]).float(), persistent=False)
        self.register_buffer("center_weight", (1.0 / (middle + 1.8)).half().float(), persistent=False)

    @classmethod
    def from_file(cls, path: Path) -> "MoveNet":
        """The network with its weights, in single precision, ready to run. A file of another network is a ValueError."""
        network = cls()
        weights = {name: value.float() for name, value in load_file(path).items()}
        expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        given = {name: tuple(value.shape) for name, value in weights.items()}
        if given != expected:
            wrong = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
            name = wrong[0]
            raise ValueError(
                f"MoveNet weights {path}: {len(wrong)} tensors differ, first {name}: "
                f"got {given.get(name)}, expected {expected.get(name)}"
            )
        network.load_state_dict(weights)
        return network.requires_grad_(False).eval()

    def features(self, images: Tensor) -> Tensor:
        """Pyramid features (batch, 24, 64, 64) of float images (batch, 3, 256, 256) with values 0..255."""
        x = F.relu6(self.stem(images * INPUT_SCALE - 1.0), inplace=True)
        taken: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            taken.append(x)
        x = self.top_lateral(F.relu6(self.top(x), inplace=True))
        for (block, _), lateral, merge in zip(PYRAMID, self.laterals, self.merges, strict=True):
            skip = taken[block]
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = merge(x + lateral(skip))
        return x

    @torch.inference_mode()
    def forward(
        self, images: UInt8[Tensor, "batch 3 256 256"], prefer_middle: bool = True
    ) -> Float[Tensor, "batch 17 3"]:
        """Per keypoint: y and x as shares of the image (0 = first edge, 1 = last edge), and confidence in [0, 1].

        prefer_middle: among several people, weigh a centre by its nearness to the middle, as the published graph does.
        """
        features = self.features(images.float())
        batch = torch.arange(len(features))
        center = torch.sigmoid(self.center(features))[:, 0]
        if prefer_middle:
            center = center * self.center_weight
        cell = center.flatten(1).argmax(1)
        row, column = cell // GRID, cell % GRID
        # A first guess of every keypoint (y, x in cells), regressed at that centre.
        guess = self.regression(features)[batch, :, row, column].reshape(-1, NUM_KEYPOINTS, 2)
        guess = guess + torch.stack([row, column], dim=-1)[:, None]
        # Each keypoint: the strongest heatmap cell, the guess preferred, plus the offset inside the cell.
        heat = torch.sigmoid(self.heatmap(features))
        distance = torch.sqrt(((self.cells - guess[..., None, None]) ** 2).sum(2))
        cell = (heat / (distance + DISTANCE_OFFSET)).flatten(2).argmax(2)
        offsets = self.offset(features).reshape(-1, NUM_KEYPOINTS, 2, GRID * GRID)
        offset = offsets.gather(3, cell[..., None, None].expand(-1, -1, 2, 1))[..., 0]
        position = (torch.stack([cell // GRID, cell % GRID], dim=-1) + offset) / GRID
        confidence = heat.flatten(2).gather(2, cell[..., None])
        return torch.cat([position, confidence], dim=-1)
