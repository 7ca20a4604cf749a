"""The parts of the nano generator, built from a config: all of them plain diffusers and transformers classes.

Text attends in the UNet only, which saves weights. Weights are drawn from torch's global generator: seed it first.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from posedreamer import torchvision_shim
from posedreamer.bodies.catalog import load_body
from posedreamer.rendering.conditions import xyz_colors
from posedreamer.stages.generation.diffusers_backend import FACTS
from posedreamer.training.nano_autoencoder import add_space_to_depth
from posedreamer.training.nano_config import AutoencoderConfig, DenoiserConfig, TextConfig
from posedreamer.training.nano_crops import HEAD_FROM

torchvision_shim.install()

MODULES = ("unet", "controlnet", "text_encoder")  # trained together; the autoencoder is trained before
WORD_DEVIATION = 0.4  # of the token embeddings at the start; CLIP's 0.02 is as quiet as its positions
PATCH_GAIN = 1.4  # with it SiLU leaves values in the middle of [0, 1] about as they are
PATCH_NOISE = 0.02
HEAD_SLOPES, BODY_SLOPES = (10.0, 40.0), (4.0, 16.0)  # the map is 1 from end to end of the body, a head is 0.14 high
POOLING_HEADS = 4  # of the attention that pools the text for the embedding of the time step


def build_autoencoder(config: AutoencoderConfig) -> nn.Module:
    """An AutoencoderTiny without any nonlinearity in the encoder; `patch_transform` is what its weights are set from."""
    from diffusers import AutoencoderTiny

    levels = len(config.blocks)
    return AutoencoderTiny(
        encoder_block_out_channels=(3 * (config.factor // 2) ** 2,) * levels,
        num_encoder_blocks=(0,) * levels,
        decoder_block_out_channels=(config.width,) * levels,
        num_decoder_blocks=config.blocks,
        latent_channels=config.latent_channels,
        scaling_factor=1.0,
    )


def build_text_encoder(config: TextConfig, tokenizer: Any) -> nn.Module:
    """A CLIPTextModel with loud words.

    With CLIP's own start the denoiser never learned to listen (5,000 steps, the right prompt no better than another's);
    with this one the loss in pure noise parts after 75 steps (0.223 with the right prompts, 0.256 with others).
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.width,
            intermediate_size=4 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=WORD_DEVIATION)  # pyright: ignore[reportArgumentType]
    return model


def build_denoiser(
    config: DenoiserConfig, text_width: int, latent_channels: int, latent_size: int
) -> tuple[nn.Module, nn.Module]:
    """UNet and ControlNet. The ControlNet's output convolutions start at zero, as in its paper.

    The pooled text is added to the embedding of the time step, which scales and shifts every residual block of both (Dhariwal
    and Nichol 2021, adaptive group norm): a limb is half a cell wide where the text attends, and it is the ControlNet that
    knows which limb a cell is of. Without scale and text in the ControlNet the loss of step 500 was .148 instead of .144.
    Attention is computed plainly: at so few cells PyTorch's fused kernel is slower (46 pictures a second in training, 55
    without it).
    """
    from diffusers import ControlNetModel, UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    if not len(config.channels) == len(config.attention) == len(config.heads):
        raise ValueError(f"denoiser: channels, attention and heads differ in length: {config}")
    shared = {
        "in_channels": latent_channels,
        "layers_per_block": 1,
        "block_out_channels": config.channels,
        "norm_num_groups": config.groups,
        "cross_attention_dim": text_width,
        "resnet_time_scale_shift": "scale_shift",
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": POOLING_HEADS,
        "attention_head_dim": config.heads,  # read as the number of heads (diffusers' old naming)
    }
    down = tuple("CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in config.attention)
    up = tuple("CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(config.attention))
    unet = UNet2DConditionModel(
        sample_size=latent_size,
        out_channels=latent_channels,
        down_block_types=down,
        up_block_types=up,
        time_embedding_dim=config.time_channels,
        **shared,
    )
    controlnet = ControlNetModel(
        down_block_types=("DownBlock2D",) * len(config.channels),
        mid_block_type="UNetMidBlock2D",
        conditioning_embedding_out_channels=config.condition_channels,
        **shared,
    )
    keep_patches(controlnet.controlnet_cond_embedding)
    add_hinges(controlnet.controlnet_cond_embedding.conv_in)
    unet.set_attn_processor(AttnProcessor())
    controlnet.set_attn_processor(AttnProcessor())
    return unet, controlnet


@torch.no_grad()
def keep_patches(embedding: Any) -> None:
    """Makes a ControlNet's embedding of the map begin with every pixel of a patch in a channel of its own.

    Convolutions that halve the size begin as space to depth, the others as the identity, as far as their channels reach; all of
    them learn. What a body's edge looks like within a cell of 8 x 8 pixels is known to the map alone: a net that was given the
    map and the coarse latents told .69 of the variance of the fine ones there after 400 steps, .66 from random weights.
    """
    for layer in (embedding.conv_in, *embedding.blocks):
        layer.weight.normal_(std=PATCH_NOISE)
        layer.bias.zero_()
        if layer.stride == (1, 1):
            for channel in range(min(layer.in_channels, layer.out_channels)):
                layer.weight[channel, channel, 1, 1] += PATCH_GAIN
        else:
            add_space_to_depth(layer, layer.in_channels, PATCH_GAIN)


@torch.no_grad()
def add_hinges(layer: Any) -> None:
    """Lets the channels of a map's first convolution that are not the map's own colours tell single places of the body.

    Each is, before its SiLU, a sloping plane through the colour of a vertex: it says on which side of it a pixel lies, sharply
    enough for eyes and hairlines in half of them, which go through the head and rise towards the crown. A residual net that
    learnt heads from maps for two minutes told .45 of the variance of the fine channels with them, .40 without.
    """
    colors = torch.from_numpy(np.array(xyz_colors(load_body())))
    head = colors[colors[:, 1] >= HEAD_FROM]
    for channel in range(layer.in_channels, layer.out_channels):
        is_head = channel % 2 == 0
        points, (flat, steep) = (head, HEAD_SLOPES) if is_head else (colors, BODY_SLOPES)
        point = points[int(torch.randint(len(points), (1,)))]
        direction = torch.nn.functional.normalize(torch.randn(3), dim=0)
        if is_head and direction[1] < 0:
            direction = -direction
        slope = flat * (steep / flat) ** torch.rand(1)
        layer.weight[channel] = 0.0
        layer.weight[channel, :, 1, 1] = slope * direction
        layer.bias[channel] = -slope * (direction @ point)


def start_from(modules: Mapping[str, nn.Module], folder: Path) -> None:
    """Copies the weights of an exported pipeline (any of MODULES, or `vae`) into modules of the same shapes; others: ValueError."""
    for name, module in modules.items():
        path = min((folder / name).glob("*.safetensors"), default=None)
        if path is None:
            raise ValueError(f"train_nano: no weights of {name} in {folder}; expected {name}/*.safetensors")
        found = load_file(path)
        shapes = [{key: tuple(tensor.shape) for key, tensor in state.items()} for state in (found, module.state_dict())]
        strange = sorted({key for key, _ in shapes[0].items() ^ shapes[1].items()})
        if strange:
            there, expected = ([f"{key} {shape.get(key)}" for key in strange[:5]] for shape in shapes)
            raise ValueError(
                f"train_nano: {path} is no start for this config: {', '.join(there)}; expected {', '.join(expected)}"
            )
        module.load_state_dict(found)


def build_scheduler() -> Any:
    """LCM on Stable Diffusion's noise schedule, but ending in pure noise; velocity prediction.

    Without the rescaling (Lin et al. 2023) the last step still shows the colours of large areas at this size: the model
    reads them there, never asks the text, and when sampling takes the noise's own tints for colours.
    """
    from diffusers import LCMScheduler

    return LCMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )


def build_pipeline(modules: Mapping[str, nn.Module], autoencoder: nn.Module, tokenizer: Any) -> Any:
    """A StableDiffusionControlNetPipeline of the parts, in evaluation mode; it has no safety checker."""
    from diffusers import StableDiffusionControlNetPipeline

    parts: dict[str, Any] = {
        **{name: modules[name] for name in MODULES},
        "vae": autoencoder,
        "tokenizer": tokenizer,
        "scheduler": build_scheduler(),
        "safety_checker": None,
        "feature_extractor": None,
    }
    pipeline = StableDiffusionControlNetPipeline(**parts, requires_safety_checker=False)
    for module in (*modules.values(), autoencoder):
        module.eval()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_pipeline(pipeline: Any, folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes the pipeline in float16 safetensors, and `posedreamer.json` with the facts about it, into a new folder.

    The text encoder's config says float32, because transformers would otherwise load it in half precision and the rest not.
    """
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    config_path = folder / "text_encoder" / "config.json"
    config = json.loads(config_path.read_text())
    config["dtype"] = "float32"
    config_path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (folder / FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
