"""Stable Diffusion 1.5, XL and FLUX.1 pipelines with a ControlNet, by folder or hub id; the only file here that imports diffusers.

A model is one of: `nano` (embedded), a folder in diffusers' format, a hub id `owner/name` or `owner/name@revision`. It either
is a ControlNet pipeline, or a plain one to which `controlnet` (folder or hub id) is added. A folder may hold
`posedreamer.json`, in which a model or adapter made for one encoding of the condition map names it; another is refused.

The pipelines' safety checker is left out: prompts come from a fixed grammar of dressed people, and a picture that the
checker blackens would enter the counts as a generator's failure. Pictures are filtered by measurement, in stage 4.
"""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from safetensors import safe_open
from safetensors.torch import load_file

from posedreamer import torchvision_shim
from posedreamer.pretrained import find_pretrained, hash_weights
from posedreamer.rendering.conditions import condition_renderer_id

torchvision_shim.install()
logger = logging.getLogger(__name__)

EMBEDDED = {"nano": Path(__file__).parents[2] / "assets" / "nano"}
FACTS = "posedreamer.json"
CONTROLNET = "controlnet"
LORA_METADATA = "lora_adapter_metadata"  # diffusers' name


class Model(NamedTuple):
    """A loaded pipeline and its name: repository@commit, or folder name@sha256 of its weights, joined by `+`."""

    pipeline: Any
    identity: str


class Drawing(NamedTuple):
    """How pictures are drawn: solver steps, guidance (up to 1: none), weight of the ControlNet, negative prompt.

    FLUX.1 was distilled to be told the guidance and is drawn in one pass: it takes no negative prompt.
    """

    steps: int
    guidance: float
    controlnet_scale: float
    negative_prompt: str


def load_model(
    model: str, controlnet: str | None, condition: str, adapters: Sequence[str], dtype: torch.dtype, device: str
) -> Model:
    """Loads the pipeline with its adapters onto the device. Nothing is read from the hub when all parts are folders.

    A missing folder, a pipeline of another kind, a missing ControlNet, or a model made for another condition raise ValueError.
    """
    import diffusers

    folder, identity = resolve(model)
    name = _pipeline_class(folder, model)
    parts: dict[str, Any] = {}
    if controlnet is not None:
        controlnet_folder, controlnet_identity = resolve(controlnet)
        check_condition(controlnet_folder, condition)
        net = diffusers.FluxControlNetModel if name.startswith("Flux") else diffusers.ControlNetModel
        parts["controlnet"] = net.from_pretrained(controlnet_folder, dtype=dtype, use_safetensors=True)
        identity += "+" + controlnet_identity
    elif "ControlNet" not in name:
        raise ValueError(f"generator {model}: a {name} has no ControlNet of its own; give one (generator.controlnet)")
    check_condition(folder, condition)
    if name.startswith("Flux"):
        kind = diffusers.FluxControlNetPipeline
    elif name.startswith("StableDiffusionXL"):
        kind, parts["add_watermarker"] = diffusers.StableDiffusionXLControlNetPipeline, False
    else:
        kind = diffusers.StableDiffusionControlNetPipeline
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True, **parts)
    base = identity
    for place, adapter in enumerate(adapters):
        adapter_folder, adapter_identity = resolve(adapter)
        check_condition(adapter_folder, condition)
        warn_of_other_base(adapter_folder, base)
        load_adapter(pipeline, adapter_folder, f"adapter_{place}")
        identity += "+" + adapter_identity
    use_adapters(pipeline, [f"adapter_{place}" for place in range(len(adapters))])
    pipeline.set_progress_bar_config(disable=True)
    logger.info("generator %s: %s", name, identity)
    return Model(pipeline.to(device), identity)


def outline_nets(model: str, controlnet: str | None) -> dict[str, Any]:
    """UNet or transformer, and ControlNet, of a pipeline: their layers without any weights, at no cost."""
    import diffusers

    folder, _ = resolve(model)
    is_flux = _pipeline_class(folder, model).startswith("Flux")
    control_folder = folder / CONTROLNET if controlnet is None else resolve(controlnet)[0]
    if is_flux:
        kinds: dict[str, Any] = {
            "transformer": diffusers.FluxTransformer2DModel,
            CONTROLNET: diffusers.FluxControlNetModel,
        }
    else:
        kinds = {"unet": diffusers.UNet2DConditionModel, CONTROLNET: diffusers.ControlNetModel}
    with torch.device("meta"):
        return {
            name: kind.from_config(kind.load_config(control_folder if name == CONTROLNET else folder / name))
            for name, kind in kinds.items()
        }


def load_adapter(pipeline: Any, folder: Path, name: str) -> None:
    """Adds the LoRA weights of a folder: those of UNet or transformer in diffusers' format, those of the ControlNet in a folder of
    their own beside them. A folder without either is a ValueError.
    """
    own, beside = (any(part.glob("*.safetensors")) for part in (folder, folder / CONTROLNET))
    if not own and not beside:
        raise ValueError(f"adapter {folder}: no safetensors in it, nor in {CONTROLNET}/")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # a second adapter is meant
        if own:
            pipeline.load_lora_weights(str(folder), adapter_name=name)
        if beside:
            (file,) = (folder / CONTROLNET).glob("*.safetensors")
            pipeline.controlnet.load_lora_adapter(
                load_file(file), prefix=None, adapter_name=name, metadata=lora_config(file)
            )


def lora_config(file: Path) -> dict[str, Any] | None:
    """What diffusers writes of the LoRA's settings into the file's header; None in files of other makers."""
    with safe_open(file, "pt") as content:
        metadata = content.metadata() or {}
    return json.loads(metadata[LORA_METADATA]) if LORA_METADATA in metadata else None


def use_adapters(pipeline: Any, names: Sequence[str]) -> None:
    """Adds up the loaded adapters of these names in whichever nets have them."""
    of_pipeline = {name for adapters in pipeline.get_list_adapters().values() for name in adapters}
    for module, known in (
        (pipeline, of_pipeline),
        (pipeline.controlnet, getattr(pipeline.controlnet, "peft_config", {})),
    ):
        chosen = [name for name in names if name in known]
        if chosen:
            module.set_adapters(chosen)


def warn_of_other_base(folder: Path, base: str) -> None:
    """Logs it when an adapter was trained on other weights: it may still be of use, but nobody measured that."""
    path = folder / FACTS
    trained_on = json.loads(path.read_text()).get("base") if path.is_file() else None
    if trained_on not in (None, base):
        logger.warning("adapter %s: trained on %s, used on %s", folder.name, trained_on, base)


def draw(
    model: Model,
    prompts: Sequence[str],
    maps: UInt8[np.ndarray, "batch h w 3"],
    seeds: Sequence[int],
    drawing: Drawing,
) -> Float32[np.ndarray, "batch h w 3"]:
    """Pictures in [0, 1], the size of their condition maps; may hold NaN when half precision overflowed.

    Each picture's noise comes from its own seed, on the CPU: neighbours in the batch and the device do not change it.
    """
    height, width = maps.shape[1:3]
    is_flux = type(model.pipeline).__name__.startswith("Flux")
    factor = model.pipeline.vae_scale_factor * (2 if is_flux else 1)  # FLUX packs 2 x 2 latents into a token
    if height % factor or width % factor:
        raise ValueError(f"generator: image size {width} x {height}, expected multiples of {factor}")
    shown = torch.from_numpy(maps.astype(np.float32) / 255.0).permute(0, 3, 1, 2)
    told: dict[str, Any] = {"control_image": 2.0 * shown - 1.0} if is_flux else {"image": shown}
    if drawing.guidance > 1.0 and not is_flux:
        told["negative_prompt"] = [drawing.negative_prompt] * len(prompts)
    return model.pipeline(
        prompt=list(prompts),
        height=height,
        width=width,
        num_inference_steps=drawing.steps,
        guidance_scale=drawing.guidance,
        controlnet_conditioning_scale=float(drawing.controlnet_scale),
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        output_type="np",
        **told,
    ).images.astype(np.float32)


def resolve(model: str) -> tuple[Path, str]:
    """The local folder of an embedded model or of another (pretrained.py), and its identity."""
    if model in EMBEDDED:
        return EMBEDDED[model], f"{model}@{hash_weights(EMBEDDED[model], 'generator')}"
    return find_pretrained(model, "generator")


def check_condition(folder: Path, condition: str) -> None:
    """ValueError when the folder's facts name another condition, or another encoding of it, than is drawn here."""
    path = folder / FACTS
    if not path.is_file():
        return
    facts = json.loads(path.read_text())
    drawn = condition_renderer_id(condition)
    if facts["condition_renderer"] != drawn:
        raise ValueError(
            f"generator {folder.name}: made for the condition {facts['condition_renderer']}, but maps are drawn as {drawn}"
        )


def _pipeline_class(folder: Path, model: str) -> str:
    index = folder / "model_index.json"
    if not index.is_file():
        raise ValueError(f"generator {model}: {index} is missing; expected a pipeline in diffusers' format")
    name = json.loads(index.read_text())["_class_name"]
    if not name.startswith(("StableDiffusion", "Flux")) or name.startswith("StableDiffusion3"):
        raise ValueError(f"generator {model}: expected a Stable Diffusion 1.5, XL or FLUX.1 pipeline, got {name}")
    return name
