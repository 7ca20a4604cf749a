"""How the embedded multi-view model is trained from scratch on scans: autoencoder, denoiser, skeleton net.

The autoencoder is the nano generator's kind (training/nano_autoencoder.py), fitted to views. The denoiser learns velocities at
uniform times; some photographs are silenced, so that it can be guided. The skeleton net learns from true latents with some noise.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor

from posedreamer.drpose.multiview import Conditions, predict, repeat_conditions, silenced, stack_views
from posedreamer.drpose.multiview_unet import DOMAINS, Layout, MultiViewUNet
from posedreamer.drpose.reward import map_error, wanted_maps
from posedreamer.drpose.reward_forms import PER_DIAGONAL
from posedreamer.drpose.scan_data import Scans
from posedreamer.drpose.skeleton import FROM_OUTPUT
from posedreamer.drpose.views import VIEWS
from posedreamer.strict import Positive, PositiveFloat, Share, Strict
from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, device_of, torch_generator
from posedreamer.training.loop_config import LoopConfig
from posedreamer.training.nano_autoencoder import PatchKernel, to_signed
from posedreamer.training.nano_config import AutoencoderConfig

Encoder = Callable[[np.ndarray], Tensor]  # uint8 pictures (n, h, w, 3) -> latents
DENOISER, SKELETON, JOINTS, PAIRS = "multiview", "skeleton", "joints", "pairs"
NEAREST_MISS = 0.15  # share of the way to another pose
EMBEDDING_WIDTH = 1280
WHITE = 255


class MultiViewDenoiserConfig(Strict):
    """channels: of the UNet's levels, which all attend; word_width: of the fixed words; silent_share: of photographs that are silenced;
    body_weight: extra weight of latent cells on the body.
    """

    channels: tuple[Positive, ...] = (64, 112)
    heads: Positive = 4
    groups: Positive = 16
    time_channels: Positive = 192
    word_width: Positive = 32
    silent_share: Share = 0.1
    body_weight: Annotated[float, Field(ge=0.0)] = 3.0
    loop: LoopConfig


class SkeletonConfig(Strict):
    """noise: most of what is added to the latents, so that the net sees through what a denoiser leaves behind. checkpoint: whose latents it
    reads, a folder as of `checkpoints.open_multiview`; none: those of the run's own autoencoder.
    """

    noise: PositiveFloat = 0.3
    checkpoint: Path | None = None
    loop: LoopConfig


class TrainMultiViewConfig(Strict):
    """everyday: scans that autoencoder and denoiser are trained on; scans: of all poses, for the skeleton net. Devices, threads and precision
    as in TrainNanoConfig.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    everyday: Path
    scans: Path
    size: Positive = 128
    threads: Positive = 2
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    autoencoder: AutoencoderConfig
    denoiser: MultiViewDenoiserConfig
    skeleton: SkeletonConfig


class ViewPictures(NamedTuple):
    """Views as single pictures (scan, domain, view), and maps that show where bodies are, in red: nothing of them is a head."""

    images: UInt8[np.ndarray, "pictures h w 3"]
    maps: UInt8[np.ndarray, "pictures h w 3"]

    @classmethod
    def of(cls, scans: Scans, count: int) -> "ViewPictures":
        """Of the first scans."""
        pictures = np.stack([scans.normals[:count], scans.colors[:count]], axis=1)
        images = pictures.reshape(-1, *pictures.shape[3:])
        maps = np.zeros_like(images)
        maps[..., 0] = 255 * (images < WHITE).any(axis=-1)
        return cls(images, maps)


class MultiViewData(NamedTuple):
    """What the denoiser is trained on. embeddings: of the scans' photographs; encode: the autoencoder's encoder."""

    scans: Scans
    embeddings: Float[Tensor, "count width"]
    words: Float[Tensor, "domains views tokens channels"]
    encode: Encoder

    def latents(self, rows: np.ndarray) -> Float[Tensor, "subjects domains views c h w"]:
        """Of all views of these scans."""
        return view_latents(self.scans, rows, self.encode)

    def conditions(self, rows: np.ndarray) -> Conditions:
        """What a batch of these scans is told."""
        photos = self.encode(self.scans.photos[rows])
        return repeat_conditions(photos, self.embeddings[torch.from_numpy(rows)], self.words)


def kernel_encoder(kernel: PatchKernel) -> Encoder:
    """The embedded autoencoder's encoder, on the kernel's device."""
    return lambda pictures: kernel.encode(to_signed(pictures).to(kernel.weight.device))


def view_latents(scans: Scans, rows: np.ndarray, encode: Encoder) -> Float[Tensor, "subjects domains views c h w"]:
    """True latents of all views of these scans."""
    pictures = np.stack([scans.normals[rows], scans.colors[rows]], axis=1)
    return encode(pictures.reshape(-1, *pictures.shape[3:])).unflatten(0, pictures.shape[:3])


def build_multiview(config: MultiViewDenoiserConfig, latent_channels: int, cells: int) -> MultiViewUNet:
    """The embedded model's UNet, fresh: weights from torch's global generator. All levels attend to words and to each other."""
    levels = len(config.channels)
    unet: Any = MultiViewUNet(
        sample_size=cells,
        in_channels=2 * latent_channels,
        out_channels=latent_channels,
        layers_per_block=1,
        block_out_channels=config.channels,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        norm_num_groups=config.groups,
        cross_attention_dim=config.word_width,
        attention_head_dim=config.heads,  # read as the number of heads (diffusers' old naming)
        resnet_time_scale_shift="scale_shift",
        time_embedding_dim=config.time_channels,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=EMBEDDING_WIDTH,
    )
    return unet.lay_out(Layout())


def draw_words(width: int, generator: torch.Generator) -> Float[Tensor, "domains views tokens channels"]:
    """Fixed words for each picture of a subject: one of the domain, one of the view."""
    domains, views = (torch.randn(count, width, generator=generator) for count in (len(DOMAINS), len(VIEWS)))
    pairs = [torch.stack([domain, view]) for domain in domains for view in views]
    return torch.stack(pairs).unflatten(0, (len(DOMAINS), len(VIEWS)))


def build_multiview_scheduler() -> Any:
    """Stable Diffusion's noise schedule, ending in pure noise (Lin et al. 2023): else large white areas would show through to the end."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=False,
    )


def multiview_loss(
    data: MultiViewData, scheduler: Any, config: MultiViewDenoiserConfig, seed: int, precision: torch.dtype
) -> LossAt:
    """Mean square error of the velocity, more where the body is. The time is one for all pictures of a subject."""
    size, alphas = config.loop.batch_size, scheduler.alphas_cumprod

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        device = device_of(modules)
        rows = batch_at(seed, DENOISER, step, size, len(data.scans.photos))[part]
        clean, conditions = data.latents(rows), data.conditions(rows)
        times = torch.randint(len(alphas), (size,), generator=torch_generator(seed, DENOISER, step, "time"))[part]
        noise = torch.randn((size, *clean.shape[1:]), generator=torch_generator(seed, DENOISER, step, "noise"))[part]
        is_silent = torch.rand(size, generator=torch_generator(seed, DENOISER, step, "silence")) < config.silent_share
        noise = noise.to(clean)
        signal, loudness = (
            level.sqrt().to(clean)[:, None, None, None, None, None] for level in (alphas[times], 1 - alphas[times])
        )
        noisy, velocity = signal * clean + loudness * noise, signal * noise - loudness * clean
        conditions = Conditions(*(values.to(device) for values in silenced(conditions, is_silent[part], len(VIEWS))))
        of_image = stack_views(times[:, None, None].expand(clean.shape[:3]))
        with autocast(modules, precision):
            found = predict(modules["unet"], stack_views(noisy).to(device), of_image.to(device), conditions)
        weight = stack_views(body_weight(data.scans, rows, clean.shape[-1], config.body_weight)).to(device)
        return ((found.float() - stack_views(velocity).to(device)).square() * weight).mean()

    return loss_at


def body_weight(
    scans: Scans, rows: np.ndarray, cells: int, extra: float
) -> Float[Tensor, "subjects domains views 1 h w"]:
    """How much a latent cell counts: more where it touches the body; 1 on average over a subject."""
    body = torch.from_numpy((scans.normals[rows] < WHITE).any(axis=-1)).float()  # (subject, view, h, w)
    weight = 1.0 + extra * F.adaptive_max_pool2d(body, cells)
    weight = weight / weight.mean(dim=(1, 2, 3), keepdim=True)
    return weight[:, None, :, None].expand(-1, len(DOMAINS), -1, -1, -1, -1)


def reading_loss(
    stage: str, scans: Scans, encode: Encoder, config: SkeletonConfig, seed: int, precision: torch.dtype
) -> LossAt:
    """What a net that reads poses off true latents learns by, with a random amount of noise on each subject. stage: which net."""
    size = config.loop.batch_size

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        device = device_of(modules)
        rows = batch_at(seed, stage, step, size, len(scans.joints))
        clean = view_latents(scans, rows[part], encode)
        noise = torch.randn((size, *clean.shape[1:]), generator=torch_generator(seed, stage, step, "noise"))[part]
        amount = config.noise * torch.rand(size, generator=torch_generator(seed, stage, step, "amount"))[part]
        noisy = clean + amount.to(clean)[:, None, None, None, None, None] * noise.to(clean)
        latents = stack_views(noisy).to(device)
        joints = torch.from_numpy(scans.joints[rows][:, FROM_OUTPUT]).to(device)
        with autocast(modules, precision):
            if stage == SKELETON:
                logits = modules["net"](latents).float()
                return map_error(logits, wanted_maps(joints[part], logits.shape[-1])).mean()
            if stage == JOINTS:
                return PER_DIAGONAL * (modules["net"](latents) - joints[part]).norm(dim=-1).mean()
            # Other poses, and those between: near misses are what a reward must tell.
            share = NEAREST_MISS + (1 - NEAREST_MISS) * torch.rand(
                size, generator=torch_generator(seed, stage, step, "miss")
            )
            missed = torch.lerp(joints, joints.roll(1, dims=0), share.to(device)[:, None, None])[part]
            right, wrong = (modules["net"](latents, pose).float() for pose in (joints[part], missed))
            return (F.softplus(-right) + F.softplus(wrong)).mean()

    return loss_at
