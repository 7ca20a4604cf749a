"""From a photograph to six views of its subject, normals and colours: latent diffusion with a UNet of several views.

The photograph conditions in three ways, as in PSHuman: its latents lie beside those of every view, an embedding of it is added to
that of the time, and fixed words say of each picture which view and domain it is.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Num, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor

from posedreamer import torchvision_shim
from posedreamer.drpose.multiview_unet import DOMAINS, UNET_FILE, Layout, MultiViewUNet, load_multiview
from posedreamer.drpose.rollout import Denoiser, Plan, roll_out
from posedreamer.estimators.features import FeatureExtractor
from posedreamer.training.nano_autoencoder import to_pixels, to_signed

torchvision_shim.install()

WORDS = "words.safetensors"
LAYOUT = "layout.json"
STEPS = 20  # of DDIM, as in DrPose
LEADING_SIGNAL = 1e-3  # of a schedule that does not end in pure noise


class Conditions(NamedTuple):
    """What the UNet is told of each picture of a batch (domain, subject, view): rows are those of its input."""

    latents: Float[Tensor, "images c h w"]
    embedding: Float[Tensor, "images width"]
    words: Float[Tensor, "images tokens channels"]


class MultiViewModel(NamedTuple):
    """The parts of a model, all on one device. words: of each domain and view; embedder: photographs to embeddings.

    scheduler: its noise schedule and what its predictions are; scaling: of the autoencoder's latents; identity: names the UNet's weights.
    """

    unet: MultiViewUNet
    vae: Any
    scheduler: Any
    words: Float[Tensor, "domains views tokens channels"]
    embedder: Any
    scaling: float = 1.0
    identity: str = ""

    @property
    def layout(self) -> Layout:
        """Of the UNet's batch."""
        return self.unet.layout


@torch.no_grad()
def encode(model: MultiViewModel, pictures: UInt8[np.ndarray, "images h w 3"]) -> Float[Tensor, "images c h2 w2"]:
    """Latents of pictures, the autoencoder's mean where it gives a distribution."""
    signed = to_signed(pictures).to(next(model.vae.parameters()).device)
    encoded = model.vae.encode(signed)
    latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    return latents * model.scaling


@torch.no_grad()
def decode(
    model: MultiViewModel, latents: Float[Tensor, "images c h w"]
) -> UInt8[np.ndarray, "subjects domains views h2 w2 3"]:
    """Pictures of a batch's latents."""
    shown = to_pixels(model.vae.decode(latents / model.scaling).sample)
    return np.ascontiguousarray(shown.reshape(len(DOMAINS), -1, model.layout.views, *shown.shape[1:]).swapaxes(0, 1))


def stack_views(views: Num[Tensor, "subjects domains views ..."]) -> Num[Tensor, "images ..."]:
    """The order of the UNet's batch: all normals, subject by subject, then all colours."""
    return views.transpose(0, 1).flatten(0, 2)


def unstack_views(images: Num[Tensor, "images ..."], views: int) -> Num[Tensor, "subjects domains views ..."]:
    """The inverse of `stack_views`."""
    return images.unflatten(0, (len(DOMAINS), -1, views)).transpose(0, 1)


def without_face(images: Num[Tensor, "images ..."], layout: Layout) -> Num[Tensor, "images_of_bodies ..."]:
    """A batch without PSHuman's enlarged faces; as it is where there are none."""
    if not layout.has_face:
        return images
    return stack_views(unstack_views(images, layout.views)[:, :, : layout.level_views])


def condition_on(model: MultiViewModel, photos: Sequence[UInt8[np.ndarray, "_h _w 3"]]) -> Conditions:
    """What a batch is told of its subjects' photographs, which have the size of a view."""
    latents, embedding = encode(model, np.stack(photos)), model.embedder(photos)
    return repeat_conditions(latents, embedding, model.words)


def repeat_conditions(
    latents: Float[Tensor, "subjects c h w"],
    embedding: Float[Tensor, "subjects width"],
    words: Float[Tensor, "domains views tokens channels"],
) -> Conditions:
    """One photograph a subject, said to all its pictures, and each picture's own words."""
    views, count = words.shape[1], len(latents)

    def repeated(values: Tensor) -> Tensor:
        return values.repeat_interleave(views, dim=0).repeat(len(DOMAINS), *[1] * (values.ndim - 1))

    return Conditions(
        repeated(latents), repeated(embedding), words[:, None].expand(-1, count, -1, -1, -1).flatten(0, 2)
    )


def silenced(conditions: Conditions, chosen: Bool[Tensor, " subjects"], views: int) -> Conditions:
    """The chosen subjects' photographs as zeros, what guidance is drawn away from."""
    kept = (~chosen).repeat_interleave(views).repeat(len(DOMAINS)).to(conditions.latents)
    return conditions._replace(
        latents=conditions.latents * kept[:, None, None, None], embedding=conditions.embedding * kept[:, None]
    )


def predict(unet: Any, latents: Float[Tensor, "images c h w"], times: Tensor, conditions: Conditions) -> Tensor:
    """The UNet's output. times: one, or one a picture."""
    given = torch.cat([latents, conditions.latents], dim=1)
    return unet(
        given, times, encoder_hidden_states=conditions.words, class_labels=conditions.embedding, return_dict=False
    )[0]


class Timetable(NamedTuple):
    """times: of the steps of a drawing, falling; signal: sqrt(alpha_bar) there."""

    times: tuple[int, ...]
    signal: tuple[float, ...]


def draw_timetable(scheduler: Any, steps: int) -> Timetable:
    """Evenly spaced from the noisiest time (trailing spacing, Lin et al. 2023)."""
    count = scheduler.config.num_train_timesteps
    times = tuple(round(count - count * step / steps) - 1 for step in range(steps))
    return Timetable(times, tuple(float(scheduler.alphas_cumprod[time]) ** 0.5 for time in times))


def velocity_denoiser(
    unet: Any, scheduler: Any, timetable: Timetable, conditions: Conditions, guidance: float = 1.0, views: int = 6
) -> Denoiser:
    """The UNet as `roll_out` asks it, whatever its predictions are. guidance: 1 asks once a step, more asks twice."""
    kind = scheduler.config.prediction_type
    if kind not in ("v_prediction", "epsilon"):
        raise ValueError(
            f"multi-view model: predictions of the kind {kind!r} are not known, expected v_prediction or epsilon"
        )
    subjects = len(conditions.latents) // (len(DOMAINS) * views)
    nothing = silenced(conditions, torch.ones(subjects, dtype=torch.bool, device=conditions.latents.device), views)

    def denoise(latents: Tensor, step: int) -> Tensor:
        time = torch.tensor(timetable.times[step], device=latents.device)
        predicted = predict(unet, latents, time, conditions)
        if guidance != 1.0:
            plain = predict(unet, latents, time, nothing)
            predicted = plain + guidance * (predicted - plain)
        if kind == "v_prediction":
            return predicted
        signal = max(timetable.signal[step], LEADING_SIGNAL)
        loudness = (1.0 - signal**2) ** 0.5
        return signal * predicted - loudness * (latents - loudness * predicted) / signal

    return denoise


@torch.no_grad()
def draw_latents(
    model: MultiViewModel,
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]],
    noise: Float[Tensor, "images c cells_h cells_w"],
    steps: int = STEPS,
    guidance: float = 1.0,
) -> Float[Tensor, "images c cells_h cells_w"]:
    """Clean latents of all views of the subjects of photographs, by DDIM from this noise."""
    timetable = draw_timetable(model.scheduler, steps)
    conditions = condition_on(model, photos)
    denoiser = velocity_denoiser(model.unet, model.scheduler, timetable, conditions, guidance, model.layout.views)
    return roll_out(denoiser, noise, timetable.signal, Plan((), steps - 1, False)).clean


def draw_views(
    model: MultiViewModel,
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]],
    noise: Float[Tensor, "images c cells_h cells_w"],
    steps: int = STEPS,
    guidance: float = 1.0,
) -> UInt8[np.ndarray, "subjects domains views h w 3"]:
    """`draw_latents`, decoded: views as the model stores them."""
    return decode(model, draw_latents(model, photos, noise, steps, guidance))


class FeatureEmbedder:
    """Photographs to the 1280 numbers of EfficientNet-Lite0."""

    def __init__(self) -> None:
        self.extractor = FeatureExtractor().setup()

    def __call__(self, photos: Sequence[UInt8[np.ndarray, "_h _w 3"]]) -> Float[Tensor, "photos 1280"]:
        """One row a photograph."""
        return torch.from_numpy(self.extractor.extract(list(photos)))


def load_nano_multiview(folder: Path) -> MultiViewModel:
    """The embedded model, or another that `save_nano_multiview` wrote."""
    from diffusers import AutoencoderTiny, DDIMScheduler

    layout = Layout(**json.loads((folder / LAYOUT).read_text()))
    unet = load_multiview(folder / "unet", layout).float().eval()
    vae = AutoencoderTiny.from_pretrained(folder / "vae", dtype=torch.float32).eval()
    words = load_file(folder / WORDS)["words"].float()
    digest = hashlib.sha256((folder / "unet" / UNET_FILE).read_bytes()).hexdigest()
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    return MultiViewModel(unet, vae, scheduler, words, FeatureEmbedder(), identity=f"multiview:{digest[:16]}")


def save_nano_multiview(model: MultiViewModel, folder: Path) -> None:
    """Writes unet, vae, scheduler, words and layout, in float16."""
    model.unet.half().save_pretrained(folder / "unet")
    model.vae.half().save_pretrained(folder / "vae")
    model.scheduler.save_pretrained(folder / "scheduler")
    save_file({"words": model.words.half().contiguous()}, folder / WORDS)
    (folder / LAYOUT).write_text(json.dumps(model.layout._asdict(), indent=2) + "\n")
