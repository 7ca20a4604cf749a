"""How well a picture shows what its prompt says: the cosine of their CLIP embeddings (Hessel et al. 2021's CLIPScore without its 2.5).

Any open_clip model as a folder in its own format (open_clip_config.json, open_clip_model.safetensors) or by hub id. Values of two
models are not comparable, so a limit belongs to a model.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from posedreamer import torchvision_shim
from posedreamer.pretrained import find_pretrained

CONFIG = "open_clip_config.json"


class TextImageModel:
    """A CLIP. `setup` loads it; threads: of torch, in this process."""

    def __init__(self, model: str, threads: int) -> None:
        self.model, self.threads = model, threads

    def check_inputs(self) -> dict[str, str]:
        """Finds the model before any work; returns name -> identity. ValueError says what is wrong with it."""
        folder, identity = find_pretrained(self.model, "text_image")
        if not (folder / CONFIG).is_file():
            raise ValueError(f"text_image {self.model}: {CONFIG} is missing; expected a folder in open_clip's format")
        _open_clip()
        return {f"text_image:{self.model}": identity}

    def setup(self) -> "TextImageModel":
        open_clip = _open_clip()
        torch.set_num_threads(self.threads)
        source = f"local-dir:{find_pretrained(self.model, 'text_image')[0]}"
        self.network, self.prepare = open_clip.create_model_from_pretrained(source)
        self.network.eval()
        self.tokenize = open_clip.get_tokenizer(source)
        return self

    def similarity(self, rgb: UInt8[np.ndarray, "h w 3"], text: str) -> float:
        """In [-1, 1]; a text longer than the model's context is cut off there."""
        with torch.inference_mode():
            picture = self.network.encode_image(self.prepare(Image.fromarray(rgb))[None], normalize=True)
            words = self.network.encode_text(self.tokenize([text]), normalize=True)
        return float((picture * words).sum())


def _open_clip() -> Any:
    torchvision_shim.install()
    try:
        import open_clip
    except ModuleNotFoundError as error:
        raise ValueError(f"text_image needs open_clip, which is not installed: pip install posedreamer[text-image] ({error})") from error  # fmt: skip
    return open_clip
