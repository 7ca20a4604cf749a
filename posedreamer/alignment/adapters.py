"""LoRA adapters of a denoiser's nets: made, kept in diffusers' format, switched off for the reference.

The reference of the preference loss is the same nets without the adapter, so there is no second copy of them; after a first
round it is the nets with the adapter that the pairs were drawn with, which then stays beside the one in training.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import save_file

from posedreamer.alignment.denoisers import Denoiser
from posedreamer.stages.generation.diffusers_backend import CONTROLNET, FACTS, LORA_METADATA, load_adapter

LORA_FILE = "pytorch_lora_weights.safetensors"  # diffusers' name
POLICY, REFERENCE = "policy", "reference"


def add_adapter(
    denoiser: Denoiser, rank: int, alpha: int, targets: Mapping[str, Sequence[str]], start: Path | None, seed: int
) -> None:
    """Freezes the nets and adds the adapter that is trained.

    targets: net (unet or transformer, controlnet) -> names of layers, as peft matches them. start: the folder of an adapter to go
    on from, which becomes the reference, too; of the same rank and layers. A net or layer that is not there is a ValueError.
    """
    strange = sorted(set(targets) - set(denoiser.nets))
    if strange or not targets:
        raise ValueError(f"alignment: adapter for {strange or 'no net'}; this pipeline has {sorted(denoiser.nets)}")
    denoiser.pipeline.vae.requires_grad_(False)
    denoiser.requires_grad_(False)
    torch.manual_seed(seed)  # peft draws the first weights from the global generator
    for name, layers in targets.items():
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(layers), init_lora_weights="gaussian")
        denoiser.nets[name].add_adapter(config, adapter_name=POLICY)
        cast_training_params(denoiser.nets[name])  # to float32: steps of 1e-5 vanish in half precision
    if start is None:
        return
    _load_into_policy(denoiser, start, REFERENCE)
    _use(denoiser, POLICY)


@contextlib.contextmanager
def as_reference(denoiser: Denoiser) -> Iterator[None]:
    """Within, the nets predict what they did before training."""
    adapted = _adapted(denoiser)
    has_start = any(REFERENCE in net.peft_config for net in adapted.values())
    try:
        if has_start:
            _use(denoiser, REFERENCE)
        else:
            for net in adapted.values():
                net.disable_adapters()
        yield
    finally:
        for net in adapted.values():
            net.enable_adapters()
        _use(denoiser, POLICY)


def save_adapter(denoiser: Denoiser, folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes the adapter in training as `generator.adapters` takes it: diffusers' format, and its facts in posedreamer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, net in _adapted(denoiser).items():
        weights, config = get_peft_model_state_dict(net, adapter_name=POLICY), net.peft_config[POLICY].to_dict()
        if name == CONTROLNET:  # no part of a pipeline's LoRA, in diffusers
            (folder / CONTROLNET).mkdir(exist_ok=True)
            metadata = {"format": "pt", LORA_METADATA: json.dumps(config, sort_keys=True, default=sorted)}
            save_file(weights, folder / CONTROLNET / LORA_FILE, metadata)
        else:
            layers = {f"{name}_lora_layers": weights, f"{name}_lora_adapter_metadata": config}
            denoiser.pipeline.save_lora_weights(str(folder), **layers)
    (folder / FACTS).write_text(json.dumps(dict(facts), indent=1, sort_keys=True) + "\n")


def resume_adapter(denoiser: Denoiser, folder: Path) -> None:
    """Puts the weights that `save_adapter` wrote into the adapter in training; bit for bit."""
    _load_into_policy(denoiser, folder, "resumed")
    _use(denoiser, POLICY)
    for net in _adapted(denoiser).values():
        net.delete_adapters("resumed")


def _load_into_policy(denoiser: Denoiser, folder: Path, name: str) -> None:
    """Loads an adapter under a name, and copies its weights to the policy; ValueError when it is of another shape."""
    load_adapter(denoiser.pipeline, folder, name)
    for part, net in _adapted(denoiser).items():
        own = get_peft_model_state_dict(net, adapter_name=POLICY)
        found = get_peft_model_state_dict(net, adapter_name=name) if name in net.peft_config else {}
        unlike = sorted(key for key in own.keys() | found.keys() if key not in found or key not in own)
        if unlike or any(found[key].shape != own[key].shape for key in own):
            told = f"such as {unlike[0]}" if unlike else "another rank"
            raise ValueError(
                f"alignment: {folder} does not fit the adapter of the {part} in training: other layers, {told}"
            )
        set_peft_model_state_dict(net, found, adapter_name=POLICY)


def _adapted(denoiser: Denoiser) -> dict[str, Any]:
    """The nets that have the adapter in training."""
    return {name: net for name, net in denoiser.nets.items() if POLICY in getattr(net, "peft_config", {})}


def _use(denoiser: Denoiser, adapter: str) -> None:
    for net in _adapted(denoiser).values():
        net.set_adapter(adapter)
