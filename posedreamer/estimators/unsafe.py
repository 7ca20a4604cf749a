"""How likely a picture is unsafe, by any image classifier of transformers: a folder or a hub id, and the labels that mean it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from posedreamer import torchvision_shim
from posedreamer.pretrained import find_pretrained


class UnsafeClassifier:
    """A classifier. `setup` loads it; labels: those of its own whose probabilities are added; threads: of torch, in this process."""

    def __init__(self, model: str, labels: Sequence[str], threads: int) -> None:
        self.model, self.labels, self.threads = model, tuple(labels), threads

    def check_inputs(self) -> dict[str, str]:
        """Finds the model before any work; returns name -> identity. ValueError when it lacks one of the labels."""
        from transformers import AutoConfig

        folder, identity = find_pretrained(self.model, "safety")
        self._places(AutoConfig.from_pretrained(folder).id2label or {})
        return {f"safety:{self.model}": identity}

    def setup(self) -> "UnsafeClassifier":
        torchvision_shim.install()
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        torch.set_num_threads(self.threads)
        folder, _ = find_pretrained(self.model, "safety")
        self.prepare = AutoImageProcessor.from_pretrained(folder)
        self.network = AutoModelForImageClassification.from_pretrained(folder, use_safetensors=True).eval()
        self.places = self._places(self.network.config.id2label)
        return self

    def probability(self, rgb: UInt8[np.ndarray, "h w 3"]) -> float:
        """Of any of the labels, in [0, 1]."""
        with torch.inference_mode():
            logits = self.network(**self.prepare(images=Image.fromarray(rgb), return_tensors="pt")).logits
        return float(logits.softmax(dim=1)[0, self.places].sum())

    def _places(self, label_of: Mapping[Any, str]) -> list[int]:
        """Where the labels stand in the classifier's answer."""
        known = list(label_of.values())
        if strange := [label for label in self.labels if label not in known]:
            raise ValueError(f"safety {self.model}: knows no {', '.join(strange)}; its labels are {', '.join(known)}")
        return [int(place) for place, label in label_of.items() if label in self.labels]
