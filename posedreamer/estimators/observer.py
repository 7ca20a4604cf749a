"""The observer: where the body and its keypoints are in a picture, and what the person wears, told by a small network trained on renders.

It knows nothing but the picture. Silhouettes are those of the record: the body without clothes, as far as a picture shows it. The
network was trained on renders whose people were also set before other pictures' backgrounds, so that it answers for the
person and not for the place (training/observing.py). What it says of photographs is untested. Its keypoints are a second
opinion: the judge that generators are aligned with is another network, trained on photographs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

from posedreamer.estimators.blocks import Block
from posedreamer.estimators.keypoints import Detection
from posedreamer.geometry.skeletons import COCO_KEYPOINTS
from posedreamer.rendering.attributes import VALUES

WEIGHTS = Path(__file__).parent.parent / "assets" / "observer" / "observer.safetensors"
INPUT_SIZE = 256
WIDTHS = (16, 40, 72, 96, 96)  # channels at a half, a quarter, ... of INPUT_SIZE
POOL_LEVEL = 2  # attributes are read from the decoder's map at an eighth of INPUT_SIZE
POINT_LEVEL = 1  # keypoints from that at a quarter
POINT_STRIDE = 2 ** (POINT_LEVEL + 1)  # pixels of a keypoint's cell
WINDOW = 5  # cells across, around the likeliest one, that a keypoint is the centre of


class Observation(NamedTuple):
    """body: probability that a pixel shows the body, at the picture's size. attributes: name -> value -> probability.

    keypoints: COCO's, in the picture's pixels.
    """

    body: Float32[np.ndarray, "h w"]
    attributes: dict[str, dict[str, float]]
    keypoints: Detection

    def value(self, name: str) -> str:
        """The most probable value of an attribute."""
        return max(self.attributes[name], key=self.attributes[name].__getitem__)


class Seen(NamedTuple):
    """Logits: of the silhouette, of each attribute in the order of VALUES, of each keypoint's cell."""

    body: Float[Tensor, "batch 1 h w"]
    answers: list[Float[Tensor, "batch _values"]]
    points: Float[Tensor, "batch 17 h4 w4"]


class ObserverNet(nn.Module):
    """A U-Net for the silhouette; each attribute attends to the places of one of its maps that tell it; each keypoint is one
    cell of a finer map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(Block(c_in, c, 2) for c_in, c in zip((3, *WIDTHS), WIDTHS, strict=False))
        self.up = nn.ModuleList(
            Block(WIDTHS[level + 1] + WIDTHS[level], WIDTHS[level], 1) for level in range(len(WIDTHS) - 1)
        )
        self.mask = nn.Conv2d(WIDTHS[0], 4, 3, 1, 1)  # a 2 x 2 square of pixels for each cell
        self.look = nn.Conv2d(WIDTHS[POOL_LEVEL], len(VALUES), 1)
        self.heads = nn.ModuleList(nn.Linear(WIDTHS[POOL_LEVEL], len(values)) for values in VALUES.values())
        self.points = nn.Conv2d(WIDTHS[POINT_LEVEL], len(COCO_KEYPOINTS), 1)

    def forward(self, pictures: Float[Tensor, "batch 3 h w"]) -> Seen:
        """pictures: in [-1, 1], INPUT_SIZE square."""
        maps, x, points = [], pictures, None
        for block in self.down:
            x = block(x)
            maps.append(x)
        pooled = None
        for level in range(len(WIDTHS) - 2, -1, -1):
            x = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), maps[level]], dim=1)
            x = self.up[level](x)
            if level == POOL_LEVEL:
                attention = self.look(x).flatten(2).softmax(dim=2)
                pooled = torch.einsum("bap,bcp->bac", attention, x.flatten(2))
            if level == POINT_LEVEL:
                points = self.points(x)
        assert pooled is not None and points is not None
        answers = [head(pooled[:, place]) for place, head in enumerate(self.heads)]
        return Seen(F.pixel_shuffle(self.mask(x), 2), answers, points)


def locate(points: Float[Tensor, "batch 17 h4 w4"]) -> tuple[Float[Tensor, "batch 17 2"], Float[Tensor, "batch 17"]]:
    """Keypoints in pixels of the network's input, and the probability that each lies in its window.

    The centre of the probability around the likeliest cell: finer than a cell, and not drawn towards a second candidate.
    """
    batch, joints, height, width = points.shape
    shares = points.flatten(2).softmax(dim=2).view(batch, joints, height, width)
    best = shares.flatten(2).argmax(dim=2)
    rows, columns = torch.arange(height, device=points.device), torch.arange(width, device=points.device)
    near_row = (rows - (best // width)[..., None]).abs() <= WINDOW // 2
    near_column = (columns - (best % width)[..., None]).abs() <= WINDOW // 2
    inside = shares * near_row[..., :, None] * near_column[..., None, :]
    total = inside.sum(dim=(2, 3))
    u = (inside.sum(dim=2) * (columns + 0.5)).sum(dim=2) / total
    v = (inside.sum(dim=3) * (rows + 0.5)).sum(dim=2) / total
    return POINT_STRIDE * torch.stack([u, v], dim=2), total


class Observer:
    """Looks at pictures of any size, squeezed into a square. `setup` reads the weights."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self.network: nn.Module | None = None

    def setup(self, weights: Path = WEIGHTS) -> "Observer":
        torch.set_num_threads(self.threads)
        network = ObserverNet()
        network.load_state_dict({key: value.float() for key, value in load_file(weights).items()})
        # A tenth quicker on a CPU. (torch's stubs do not know this overload.)
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return self

    def observe(self, pictures: Sequence[UInt8[np.ndarray, "_h _w 3"]], batch_size: int = 16) -> list[Observation]:
        """One observation a picture."""
        if self.network is None:
            raise ValueError("Observer: call setup() before observe()")
        found = []
        for first in range(0, len(pictures), batch_size):
            batch = pictures[first : first + batch_size]
            given = torch.cat([to_input(picture) for picture in batch])
            seen: Seen = self.network(given.contiguous(memory_format=torch.channels_last))
            bodies = seen.body.sigmoid()[:, 0].numpy()
            shares = [answer.softmax(dim=1).tolist() for answer in seen.answers]
            points, sureness = (values.numpy() for values in locate(seen.points))
            for place, picture in enumerate(batch):
                size = (picture.shape[1], picture.shape[0])
                told = {
                    name: dict(zip(values, share[place], strict=True))
                    for (name, values), share in zip(VALUES.items(), shares, strict=True)
                }
                body = cv2.resize(bodies[place], size, interpolation=cv2.INTER_LINEAR)
                scale = np.array(size) / INPUT_SIZE
                found.append(Observation(body, told, Detection(points[place] * scale, sureness[place])))
        return found


def to_input(picture: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 size size"]:
    """The network's input, in [-1, 1]."""
    if picture.shape[:2] != (INPUT_SIZE, INPUT_SIZE):
        shrinks = picture.shape[0] > INPUT_SIZE
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(picture, (INPUT_SIZE, INPUT_SIZE), interpolation=method), dtype=np.uint8)
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0
