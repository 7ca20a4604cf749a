"""The trained nets of a ControlNet pipeline, and how pictures, prompts and maps become their inputs: SD 1.5, SDXL, FLUX.

One interface for all families, so that the loss knows none of them: clean latents are mixed with noise at a time, the nets predict,
and a target says what they should have. For UNets the target is the scheduler's (epsilon, v or the latents themselves), for FLUX
the velocity noise - latents of a straight path (flow matching).

Condition and prompt go into every prediction, as the pipeline gives them: what is trained is the generator that will be drawn with.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from posedreamer.stages.generation.diffusers_backend import Drawing

Words = Mapping[str, Tensor]


class Denoiser(nn.Module):
    """Nets of a loaded pipeline. `nets` are those that an adapter may train; text encoders and autoencoder stay as they are.

    steps: train only at the times of that many solver steps, as for a student that sees no others; None: at all times.
    """

    pipeline: Any
    nets: Any
    scheduler: Any

    def __init__(self, pipeline: Any, nets: Mapping[str, nn.Module], drawing: Drawing, steps: int | None) -> None:
        super().__init__()
        self.nets = nn.ModuleDict(nets)
        self.drawing, self.steps = drawing, steps
        object.__setattr__(self, "pipeline", pipeline)  # not a part: its weights are not this module's

    @property
    def device(self) -> torch.device:
        return next(self.nets.parameters()).device

    @torch.no_grad()
    def encode(self, pictures: UInt8[np.ndarray, "batch h w 3"]) -> Float[Tensor, "batch c h2 w2"]:
        """Latents, scaled as the nets take them. Of a distribution the mean: encoded once, all errors have one target."""
        vae = self.pipeline.vae
        if vae.dtype == torch.float16:
            vae.float()  # SDXL's overflows in float16
        signed = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(vae.device, vae.dtype) / 127.5 - 1.0
        encoded = vae.encode(signed)
        latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        return (latents - (getattr(vae.config, "shift_factor", None) or 0.0)) * vae.config.scaling_factor

    @abstractmethod
    def words(self, prompts: Sequence[str]) -> Words:
        """What the nets are told of the prompts; first axis: prompts."""

    @abstractmethod
    def control(self, maps: UInt8[np.ndarray, "batch h w 3"]) -> Tensor:
        """What the ControlNet is given of the condition maps."""

    @abstractmethod
    def draw_times(self, count: int, generator: torch.Generator) -> Tensor:
        """Times to train at, in the family's own unit."""

    @abstractmethod
    def noise_level(self, times: Tensor) -> Float[Tensor, " batch"]:
        """0 for a clean picture, 1 for pure noise."""

    @abstractmethod
    def noised(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor: ...

    @abstractmethod
    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """What a perfect prediction would be."""

    @abstractmethod
    def forward(self, noisy: Tensor, times: Tensor, words: Words, control: Tensor) -> Tensor:
        """The nets' prediction, of the latents' shape."""

    def activation_checkpointing_enable(
        self,
        activation_checkpointing_kwargs: Mapping[str, Any] | None = None,
        every_n_layers: int = 1,
        offload: bool = False,
    ) -> None:
        """Asked for by the trainer (activation_checkpointing: true): less memory, a third more time. Diffusers' nets have no choice of layers."""
        if every_n_layers != 1 or offload:
            raise ValueError(
                f"alignment: activation checkpointing got {activation_checkpointing_kwargs}, expected no choice"
            )
        for net in self.nets.values():
            net.enable_gradient_checkpointing()


class UNetDenoiser(Denoiser):
    """Stable Diffusion 1.5 and XL. Times are steps of the scheduler, 0 to 999."""

    def __init__(self, pipeline: Any, drawing: Drawing, steps: int | None) -> None:
        import diffusers

        super().__init__(pipeline, {"unet": pipeline.unet, "controlnet": pipeline.controlnet}, drawing, steps)
        self.scheduler = diffusers.DDPMScheduler.from_config(pipeline.scheduler.config)
        self.is_xl = hasattr(pipeline, "text_encoder_2")

    @torch.no_grad()
    def words(self, prompts: Sequence[str]) -> Words:
        if not self.is_xl:
            return {"hidden": self.pipeline.encode_prompt(list(prompts), self.device, 1, False)[0]}
        hidden, _, pooled, _ = self.pipeline.encode_prompt(list(prompts), None, self.device, 1, False)
        return {"hidden": hidden, "pooled": pooled}

    def control(self, maps: UInt8[np.ndarray, "batch h w 3"]) -> Tensor:
        return torch.from_numpy(maps).permute(0, 3, 1, 2).to(self.device, self.pipeline.controlnet.dtype) / 255.0

    def draw_times(self, count: int, generator: torch.Generator) -> Tensor:
        if self.steps is None:
            return torch.randint(self.scheduler.config.num_train_timesteps, (count,), generator=generator)
        self.pipeline.scheduler.set_timesteps(self.steps)
        times = self.pipeline.scheduler.timesteps.cpu().long()
        return times[torch.randint(len(times), (count,), generator=generator)]

    def noise_level(self, times: Tensor) -> Float[Tensor, " batch"]:
        return (1.0 - self.scheduler.alphas_cumprod[times.cpu()]).sqrt().to(times.device)

    def noised(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        return self.scheduler.add_noise(latents, noise, times)

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        match self.scheduler.config.prediction_type:
            case "epsilon":
                return noise
            case "v_prediction":
                return self.scheduler.get_velocity(latents, noise, times)
            case "sample":
                return latents
            case other:
                raise ValueError(
                    f"alignment: the scheduler predicts {other!r}, expected epsilon, v_prediction or sample"
                )

    def forward(self, noisy: Tensor, times: Tensor, words: Words, control: Tensor) -> Tensor:
        told: dict[str, Any] = {"encoder_hidden_states": words["hidden"], "return_dict": False}
        if self.is_xl:
            height, width = control.shape[-2:]
            sizes = torch.tensor([height, width, 0, 0, height, width], device=noisy.device, dtype=noisy.dtype)
            told["added_cond_kwargs"] = {"text_embeds": words["pooled"], "time_ids": sizes.expand(len(noisy), 6)}
        scale = self.drawing.controlnet_scale
        down, middle = self.nets["controlnet"](noisy, times, controlnet_cond=control, conditioning_scale=scale, **told)
        added = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return self.nets["unet"](noisy, times, **added, **told)[0]


class FluxDenoiser(Denoiser):
    """FLUX.1 with a ControlNet. Times are the noise's share of the latents, 0 to 1, drawn logit-normal(0, 1) (papers: SD 3)."""

    def __init__(self, pipeline: Any, drawing: Drawing, steps: int | None) -> None:
        nets = {"transformer": pipeline.transformer, "controlnet": pipeline.controlnet}
        super().__init__(pipeline, nets, drawing, steps)

    @torch.no_grad()
    def words(self, prompts: Sequence[str]) -> Words:
        hidden, pooled, _ = self.pipeline.encode_prompt(list(prompts), None, self.device)
        return {"hidden": hidden, "pooled": pooled}

    def control(self, maps: UInt8[np.ndarray, "batch h w 3"]) -> Tensor:
        if self.pipeline.controlnet.input_hint_block is not None:
            return torch.from_numpy(maps).permute(0, 3, 1, 2).to(self.device, self.pipeline.vae.dtype) / 127.5 - 1.0
        return self._packed(self.encode(maps))

    def draw_times(self, count: int, generator: torch.Generator) -> Tensor:
        if self.steps is None:
            return torch.sigmoid(torch.randn(count, generator=generator))
        scheduler = self.pipeline.scheduler
        if scheduler.config.use_dynamic_shifting:
            raise ValueError(
                "alignment: this FLUX moves its steps with the size of pictures; train it at all times (steps: null)"
            )
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / self.steps, self.steps))
        return scheduler.sigmas[:-1][torch.randint(self.steps, (count,), generator=generator)]

    def noise_level(self, times: Tensor) -> Float[Tensor, " batch"]:
        return times

    def noised(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        share = times.reshape(-1, 1, 1, 1).to(latents)
        return (1.0 - share) * latents + share * noise

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        return noise - latents

    def forward(self, noisy: Tensor, times: Tensor, words: Words, control: Tensor) -> Tensor:
        net, controlnet, (height, width) = self.nets["transformer"], self.nets["controlnet"], noisy.shape[-2:]
        told = {
            "hidden_states": self._packed(noisy),
            "timestep": times.to(noisy),
            "pooled_projections": words["pooled"],
            "encoder_hidden_states": words["hidden"],
            "txt_ids": torch.zeros(words["hidden"].shape[1], 3, device=noisy.device, dtype=noisy.dtype),
            "img_ids": self.pipeline._prepare_latent_image_ids(
                len(noisy), height // 2, width // 2, noisy.device, noisy.dtype
            ),
            "return_dict": False,
        }
        guidance = torch.full((len(noisy),), self.drawing.guidance, device=noisy.device)
        double, single = controlnet(
            controlnet_cond=control,
            conditioning_scale=self.drawing.controlnet_scale,
            guidance=guidance if controlnet.config.guidance_embeds else None,
            **told,
        )
        packed = net(
            guidance=guidance if net.config.guidance_embeds else None,
            controlnet_block_samples=double,
            controlnet_single_block_samples=single,
            controlnet_blocks_repeat=controlnet.input_hint_block is not None,
            **told,
        )[0]
        factor = self.pipeline.vae_scale_factor
        return self.pipeline._unpack_latents(packed, height * factor, width * factor, factor)

    def _packed(self, latents: Float[Tensor, "batch c h w"]) -> Tensor:
        return self.pipeline._pack_latents(latents, *latents.shape)


def open_denoiser(pipeline: Any, drawing: Drawing, steps: int | None = None) -> Denoiser:
    """The nets of a loaded pipeline. One of another family is a ValueError."""
    kinds = {
        "StableDiffusionControlNetPipeline": UNetDenoiser,
        "StableDiffusionXLControlNetPipeline": UNetDenoiser,
        "FluxControlNetPipeline": FluxDenoiser,
    }
    name = type(pipeline).__name__
    if name not in kinds:
        raise ValueError(f"alignment: cannot train a {name}; expected one of {', '.join(kinds)}")
    return kinds[name](pipeline, drawing, steps)
