"""MoveNet SinglePose Thunder: MobileNetV2 (width 1.75), feature pyramid, CenterNet heads; inference only, batched.

The network of Google's model card (Apache-2.0), read off the published graph and written out here; batch norms are already
folded into the convolutions. Weights: `assets/movenet/thunder.safetensors`, made by `pipelines/vendor_movenet.py`.
Keypoints come out in COCO-17 order (`geometry/skeletons.COCO_KEYPOINTS`).
"""

import functools
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

INPUT_SIZE = 256
NUM_KEYPOINTS = 17
STRIDE = 4  # pixels of the input along the side of an output cell
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


class SameConv(nn.Conv2d):
    """A 3 x 3 convolution of stride 2 with zeros as TensorFlow adds them to an even-sized map: right and bottom only.

    The same as one with 4 x 4 weights, the first row and column 0, and zeros on all sides, which needs no copy of the map: a tenth of
    the network's time.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, F.pad(self.weight, (1, 0, 1, 0)), self.bias, self.stride, 1, groups=self.groups)


class Pointwise(nn.Conv2d):
    """A 1 x 1 convolution as a product of matrices; one of PyTorch's takes twice as long on the largest maps (channels last, one core)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 1)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def conv3x3(channels_in: int, channels_out: int, stride: int, groups: int = 1, bias: bool = True) -> nn.Sequential:
    """A 3 x 3 convolution with TensorFlow's "SAME" padding."""
    kind = nn.Conv2d if stride == 1 else SameConv
    # The published weights are numbered behind a layer of padding.
    return nn.Sequential(
        nn.Identity(), kind(channels_in, channels_out, 3, stride, 1 if stride == 1 else 0, groups=groups, bias=bias)
    )


class InvertedResidual(nn.Module):
    """MobileNetV2 block: expand, depthwise, project; the input is added where shapes allow."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = Pointwise(channels_in, wide) if expansion > 1 else None
        self.depthwise = conv3x3(wide, wide, stride, groups=wide)
        self.project = Pointwise(wide, channels_out)
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
        self.pointwise = Pointwise(channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)), inplace=True)


class Head(nn.Module):
    """One map of the output: separable convolution to 96 channels, then 1 x 1."""

    def __init__(self, channels_out: int) -> None:
        super().__init__()
        self.hidden = SeparableConv(FEATURE_CHANNELS, HEAD_CHANNELS)
        self.output = Pointwise(HEAD_CHANNELS, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x))


class MoveNet(nn.Module):
    """One person an image: the one whose centre is strong and near the middle. Weights are loaded by `from_file`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv3x3(3, STEM_CHANNELS, 2)
        channels = [STEM_CHANNELS, *(out for out, _ in BLOCKS)]
        self.blocks = nn.ModuleList(
            InvertedResidual(channels[i], out, stride, EXPANSION if i else 1) for i, (out, stride) in enumerate(BLOCKS)
        )
        self.top = Pointwise(channels[-1], TOP_CHANNELS)
        self.top_lateral = Pointwise(TOP_CHANNELS, PYRAMID[0][1])
        self.laterals = nn.ModuleList(Pointwise(channels[block + 1], width) for block, width in PYRAMID)
        after = (*(width for _, width in PYRAMID[1:]), FEATURE_CHANNELS)
        self.merges = nn.ModuleList(SeparableConv(width, out) for (_, width), out in zip(PYRAMID, after, strict=True))
        self.center = Head(1)
        self.heatmap = Head(NUM_KEYPOINTS)
        self.regression = Head(2 * NUM_KEYPOINTS)
        self.offset = Head(2 * NUM_KEYPOINTS)

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
        """Pyramid features (batch, 24, side / 4, side / 4) of float images (batch, 3, side, side) with values 0..255."""
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
        self, images: UInt8[Tensor, "batch 3 side side"], prefer_middle: bool = True
    ) -> Float[Tensor, "batch 17 3"]:
        """Per keypoint: y and x as shares of the image (0 = first edge, 1 = last edge), and confidence in [0, 1].

        images: of any side that is a multiple of 32; the network was published for INPUT_SIZE. prefer_middle: among several people,
        weigh a centre by its nearness to the middle, as the published graph does.
        """
        features = self.features(images.float())
        grid = images.shape[-1] // STRIDE
        cells, center_weight = cells_of(grid)
        batch = torch.arange(len(features))
        center = torch.sigmoid(self.center(features))[:, 0]
        if prefer_middle:
            center = center * center_weight
        cell = center.flatten(1).argmax(1)
        row, column = cell // grid, cell % grid
        # A first guess of every keypoint (y, x in cells), regressed at that centre.
        guess = self.regression(features)[batch, :, row, column].reshape(-1, NUM_KEYPOINTS, 2)
        guess = guess + torch.stack([row, column], dim=-1)[:, None]
        # Each keypoint: the strongest heatmap cell, the guess preferred, plus the offset inside the cell.
        heat = torch.sigmoid(self.heatmap(features))
        distance = torch.sqrt(((cells - guess[..., None, None]) ** 2).sum(2))
        cell = (heat / (distance + DISTANCE_OFFSET)).flatten(2).argmax(2)
        offsets = self.offset(features).reshape(-1, NUM_KEYPOINTS, 2, grid * grid)
        offset = offsets.gather(3, cell[..., None, None].expand(-1, -1, 2, 1))[..., 0]
        position = (torch.stack([cell // grid, cell % grid], dim=-1) + offset) / grid
        confidence = heat.flatten(2).gather(2, cell[..., None])
        return torch.cat([position, confidence], dim=-1)


@functools.cache
def cells_of(grid: int) -> tuple[Float[Tensor, "2 grid grid"], Float[Tensor, "grid grid"]]:
    """Row and column of each cell, and the weight of a centre there: by its distance from the middle, in cells of the published grid."""
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    cell = INPUT_SIZE / STRIDE / grid
    middle = cell * torch.sqrt((rows - grid / 2.0) ** 2 + (columns - grid / 2.0) ** 2)
    return torch.stack([rows, columns]).float(), (1.0 / (middle + 1.8)).half().float()
