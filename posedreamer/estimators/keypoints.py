"""The pose judge: COCO-17 keypoints of one person, found twice, with nothing known but the picture.

First pass: the whole picture, centred in a black square. Second pass: a square about the keypoints of the first. Where
that leaves doubt, both passes are run once more on the picture turned by 180 degrees, and the more confident answer
counts: the network was trained on people who stand, and loses those on their hands. The label plays no part, so a high
agreement with the label is evidence. Of two people one is found: the one nearer to the middle and stronger.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from posedreamer.estimators.movenet import INPUT_SIZE, MoveNet

WEIGHTS = Path(__file__).parent.parent / "assets" / "movenet" / "thunder.safetensors"

# The crop rule of the second pass. Keypoints of at least this confidence count, when there are at least MIN_CONFIDENT.
CROP_CONFIDENCE = 0.2
MIN_CONFIDENT = 4
CROP_MARGIN = 0.04  # added on each side of their box, as a share of the picture's longer side
CROP_SCALE = 1.25  # side of the square over the longer side of the widened box

# Nobody is there when the first pass's strongest joints are, on average, less sure than this: of 50 renders with a second person pasted in and
# the labelled one painted over none had less than .153, of 80 without a second person 82 % had.
STRONGEST = 5
NOBODY = 0.15

# Mean confidence from which the picture is not turned: people who stand in the open reach it.
SURE = 0.6


class Detection(NamedTuple):
    """Keypoints in pixels (corner origin, may lie outside the picture) and the confidence of each, in [0, 1]."""

    keypoints: Float[np.ndarray, "17 2"]
    confidence: Float[np.ndarray, "17"]


class Square(NamedTuple):
    """A square of whole pixels; it may reach over the picture's edge."""

    x: int
    y: int
    side: int


def whole_square(height: int, width: int) -> Square:
    """The smallest square about the whole picture, the picture in its middle."""
    side = max(height, width)
    return Square((width - side) // 2, (height - side) // 2, side)


def person_square(detection: Detection, height: int, width: int) -> Square:
    """The square of the second pass, from the keypoints of the first (rule: the constants above)."""
    confident = detection.confidence >= CROP_CONFIDENCE
    points = detection.keypoints[confident] if confident.sum() >= MIN_CONFIDENT else detection.keypoints
    margin = CROP_MARGIN * max(height, width)
    low, high = points.min(0) - margin, points.max(0) + margin
    side = max(CROP_SCALE * float((high - low).max()), 8.0)
    x, y = np.round((low + high) / 2 - side / 2).astype(int)
    return Square(int(x), int(y), round(side))


def cut(rgb: UInt8[np.ndarray, "h w 3"], square: Square, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The square as a picture of size x size; black where it reaches over the edge."""
    height, width = rgb.shape[:2]
    x_end, y_end = square.x + square.side, square.y + square.side
    if x_end <= 0 or y_end <= 0 or square.x >= width or square.y >= height:
        return np.zeros((size, size, 3), np.uint8)
    left, top = max(0, -square.x), max(0, -square.y)
    right, bottom = max(0, x_end - width), max(0, y_end - height)
    inside = rgb[max(0, square.y) : y_end, max(0, square.x) : x_end]
    padded = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    # Area averaging when shrinking; bilinear does not smear keypoints when enlarging.
    return cv2.resize(padded, (size, size), interpolation=cv2.INTER_AREA if square.side > size else cv2.INTER_LINEAR)


class KeypointDetector:
    """MoveNet-Thunder in two passes. `setup` loads the weights (12.5 MB) and sets torch's thread count for the process.

    Pictures go through the network one at a time: on a CPU that is the quickest (a single picture's maps stay in the
    cache; 16 at once take 1.7 times as long each), and the result of a picture cannot depend on its neighbours.
    """

    def __init__(self, threads: int, weights: Path = WEIGHTS) -> None:
        if threads < 1:
            raise ValueError(f"KeypointDetector: threads must be at least 1, got {threads}")
        self.threads = threads
        self.weights = weights
        self.network: MoveNet | None = None

    def setup(self) -> "KeypointDetector":
        torch.set_num_threads(self.threads)
        network = MoveNet.from_file(self.weights)
        # A fifth quicker on a CPU. (torch's stubs do not know this overload.)
        self.network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return self

    def detect(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Detection:
        """Keypoints of the most prominent person; with nobody in the picture the confidences are low, never absent."""
        upright = self._detect_as_it_is(rgb)
        if upright.confidence.mean() >= SURE:
            return upright
        turned = self._detect_as_it_is(np.ascontiguousarray(rgb[::-1, ::-1]))
        if turned.confidence.mean() <= upright.confidence.mean():
            return upright
        height, width = rgb.shape[:2]
        return Detection(np.array([width, height], np.float32) - turned.keypoints, turned.confidence)

    def detect_anywhere(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Detection:
        """Two passes, upright; the first takes the strongest person wherever it is, with no preference for the middle.

        Where the first finds nobody its answer stands: there is nothing to look at more closely.
        """
        height, width = rgb.shape[:2]
        first = self._locate(rgb, whole_square(height, width), prefer_middle=False)
        if np.sort(first.confidence)[-STRONGEST:].mean() < NOBODY:
            return first
        return self._locate(rgb, person_square(first, height, width))

    def detect_batch(self, images: Sequence[UInt8[np.ndarray, "_h _w 3"]]) -> list[Detection]:
        """`detect` of each picture; sizes may differ."""
        return [self.detect(rgb) for rgb in images]

    def _detect_as_it_is(self, rgb: np.ndarray) -> Detection:
        height, width = rgb.shape[:2]
        first = self._locate(rgb, whole_square(height, width))
        return self._locate(rgb, person_square(first, height, width))

    def _locate(self, rgb: np.ndarray, square: Square, prefer_middle: bool = True) -> Detection:
        if self.network is None:
            raise ValueError("KeypointDetector: call setup() before detecting")
        crop = torch.from_numpy(cut(rgb, square, INPUT_SIZE)).permute(2, 0, 1)[None]
        found = self.network(crop, prefer_middle)[0].numpy()
        keypoints = found[:, 1::-1] * square.side + np.array([square.x, square.y])
        return Detection(keypoints.astype(np.float32), found[:, 2].astype(np.float32))
