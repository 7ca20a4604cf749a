"""PSHuman's and Era3D's released checkpoints, both pipelines of Stable unCLIP, as a MultiViewModel; and `open_multiview` for any folder.

Photographs are embedded by CLIP, then by which noise was added to that: level 0, of which only the shrinking towards the mean is kept.
The words are sentences through the checkpoint's own text encoder. What the repositories' pipelines do beside is in multiview.py.
Photographs are given as they are: these models were trained on matted people, so matte yours before (README, DrPose).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import safe_open
from torch import Tensor

from posedreamer.drpose.multiview import LAYOUT, MultiViewModel, load_nano_multiview
from posedreamer.drpose.multiview_unet import REGRESSORS, UNET_FILE, Layout, load_multiview

EMBEDDED = {"nano": Path(__file__).parents[1] / "assets" / "multiview"}
SKELETON_FILE = "skeleton.safetensors"
PIPELINE = "model_index.json"
VIEW_NAMES = ("front", "front_right", "right", "back", "left", "front_left")
SENTENCES = {
    "pshuman": "a rendering image of 3D human, {view} view, {domain} map.",
    "era3d": "a rendering image of 3D models, {view} view, {domain} map.",
}
DOMAIN_NAMES = ("normal", "color")


def open_multiview(name: str | Path) -> MultiViewModel:
    """`nano`, the embedded model, or that of a folder: one of ours, or a checkpoint of PSHuman or Era3D. Anything else is a ValueError."""
    folder = EMBEDDED.get(str(name), Path(name))
    if (folder / LAYOUT).is_file():
        return load_nano_multiview(folder)
    if (folder / PIPELINE).is_file():
        return load_unclip_multiview(folder)
    raise ValueError(
        f"multi-view model {folder}: expected {LAYOUT} (ours) or {PIPELINE} (PSHuman, Era3D), found neither"
    )


def skeleton_file(name: str | Path) -> Path:
    """The skeleton net that lies beside a model. None there is a ValueError."""
    path = EMBEDDED.get(str(name), Path(name)) / SKELETON_FILE
    if not path.is_file():
        raise ValueError(f"skeleton net: no {path}; train one for these latents (train_multiview.py --stage skeleton)")
    return path


def load_unclip_multiview(folder: Path) -> MultiViewModel:
    """A checkpoint as its repository publishes it. Era3D's has regressors of the camera, PSHuman's a face beside six views."""
    from diffusers import AutoencoderKL, DDIMScheduler

    weights = folder / "unet" / UNET_FILE
    layout = find_layout(weights)
    unet, vae = load_multiview(weights.parent, layout).float().eval(), AutoencoderKL.from_pretrained(folder / "vae")
    words = encode_sentences(folder, "era3d" if layout.camera_blocks else "pshuman", layout)
    digest = hashlib.sha256()
    with weights.open("rb") as file:
        while part := file.read(1 << 24):
            digest.update(part)
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    identity, scaling = f"multiview:{digest.hexdigest()[:16]}", float(vae.config["scaling_factor"])
    return MultiViewModel(unet, vae.eval(), scheduler, words, ClipEmbedder(folder), scaling, identity)


def find_layout(weights: Path) -> Layout:
    """The layout that a UNet's weights were trained in. A missing file is a ValueError."""
    if not weights.is_file():
        raise ValueError(
            f"multi-view model: no {weights}; a checkpoint of pickles must be converted to safetensors first"
        )
    first = f"{REGRESSORS[0]}.blocks."
    with safe_open(weights, framework="pt") as file:
        blocks = {name.removeprefix(first).split(".")[0] for name in file.keys() if name.startswith(first)}
        if not blocks:
            return Layout(views=len(VIEW_NAMES) + 1, has_face=True)
        width = file.get_slice(f"{REGRESSORS[0]}.linear_out.weight").get_shape()[1]
    return Layout(camera_blocks=len(blocks), camera_width=width)


@torch.no_grad()
def encode_sentences(folder: Path, kind: str, layout: Layout) -> Float[Tensor, "domains views tokens channels"]:
    """What a checkpoint's text encoder makes of the sentence of each domain and view."""
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    names = (*VIEW_NAMES, "face")[: layout.views]
    said = [SENTENCES[kind].format(view=view, domain=domain) for domain in DOMAIN_NAMES for view in names]
    tokens = tokenizer(
        said, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    mask = tokens.attention_mask if getattr(encoder.config, "use_attention_mask", False) else None
    return encoder(tokens.input_ids, attention_mask=mask)[0].unflatten(0, (len(DOMAIN_NAMES), len(names)))


class ClipEmbedder:
    """Photographs to CLIP's embedding and that of noise level 0, side by side, as Stable unCLIP's class label."""

    def __init__(self, folder: Path) -> None:
        from diffusers import DDPMScheduler
        from diffusers.models.embeddings import get_timestep_embedding
        from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
        from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

        self.processor = CLIPImageProcessor.from_pretrained(folder / "feature_extractor")
        self.encoder: Any = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder").eval()
        self.mean = StableUnCLIPImageNormalizer.from_pretrained(folder / "image_normalizer").mean.detach()
        noise: Any = DDPMScheduler.from_pretrained(folder / "image_noising_scheduler")
        self.kept = float(noise.alphas_cumprod[0]) ** 0.5
        width = self.encoder.config.projection_dim
        self.level = get_timestep_embedding(torch.zeros(1), width, flip_sin_to_cos=True, downscale_freq_shift=0)

    @torch.no_grad()
    def __call__(self, photos: Sequence[UInt8[np.ndarray, "_h _w 3"]]) -> Float[Tensor, "photos width"]:
        """One row a photograph."""
        pixels = self.processor(images=list(photos), return_tensors="pt").pixel_values.to(self.encoder.device)
        embedded = self.encoder(pixels).image_embeds.float().cpu()
        embedded = self.mean + self.kept * (embedded - self.mean)
        return torch.cat([embedded, self.level.expand(len(embedded), -1)], dim=1)
