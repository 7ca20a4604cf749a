"""LoRA adapters of a denoiser's nets: made, kept in diffusers' format, switched off for the reference.

The reference of the preference loss is the same nets without the adapter, so there is no second copy of them; after a first
round it is the nets with the adapter that the pairs were drawn with, which then stays beside the one in training.
"""

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file

from posedreamer.alignment.denoisers import Denoiser
from posedreamer.stages.generation.diffusers_backend import CONTROLNET, FACTS, LORA_METADATA, lora_config
from posedreamer.storage.files import write_file

LORA_FILE = "pytorch_lora_weights.safetensors"  # diffusers' name
POLICY, REFERENCE = "policy", "reference"


def check_layers(nets: Any, targets: Mapping[str, Sequence[str]]) -> None:
    """ValueError when an adapter is to train a net or a layer that is not among these nets (name -> module)."""
    strange = sorted(set(targets) - set(nets))
    if strange or not targets:
        raise ValueError(f"alignment: adapter for {strange or 'no net'}; this pipeline has {sorted(nets)}")
    for name, layers in targets.items():
        known = [module for module, _ in nets[name].named_modules()]
        absent = [layer for layer in layers if not any(f".{module}".endswith(f".{layer}") for module in known)]
        if absent or not layers:
            raise ValueError(f"alignment: the {name} has no layer {', '.join(absent) or '(none given)'}")


def add_adapter(
    denoiser: Denoiser, rank: int, alpha: int, targets: Mapping[str, Sequence[str]], start: Path | None, seed: int
) -> None:
    """Freezes the nets and adds the adapter that is trained.

    targets: net (unet or transformer, controlnet) -> names of layers, as peft matches them. start: the folder of an adapter to go
    on from, which becomes the reference, too; of the same rank and layers. A net or layer that is not there is a ValueError.
    """
    check_layers(denoiser.nets, targets)
    denoiser.pipeline.vae.requires_grad_(False)
    denoiser.requires_grad_(False)
    torch.manual_seed(seed)  # peft draws the first weights from the global generator
    for name, layers in targets.items():
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(layers), init_lora_weights="gaussian")
        for adapter in (POLICY,) if start is None else (REFERENCE, POLICY):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Already found a `peft_config`")  # a second adapter is meant
                denoiser.nets[name].add_adapter(config, adapter_name=adapter)
            # Steps of 1e-5 vanish in half precision; and the reference is the policy of the round before, to the bit.
            cast_training_params(denoiser.nets[name])
    if start is not None:
        for adapter in (REFERENCE, POLICY):
            _put_weights(denoiser, start, adapter)
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
        weights, settings = get_peft_model_state_dict(net, adapter_name=POLICY), net.peft_config[POLICY].to_dict()
        # peft keeps names of layers in a set, whose order differs from process to process.
        config = {key: sorted(value) if isinstance(value, set) else value for key, value in settings.items()}
        if name == CONTROLNET:  # no part of a pipeline's LoRA, in diffusers
            (folder / CONTROLNET).mkdir(exist_ok=True)
            metadata = {"format": "pt", LORA_METADATA: json.dumps(config, sort_keys=True)}
            save_file(weights, folder / CONTROLNET / LORA_FILE, metadata)
        else:
            layers = {f"{name}_lora_layers": weights, f"{name}_lora_adapter_metadata": config}
            denoiser.pipeline.save_lora_weights(str(folder), **layers)
    write_file(folder / FACTS, (json.dumps(dict(facts), indent=1, sort_keys=True) + "\n").encode())


def resume_adapter(denoiser: Denoiser, folder: Path) -> None:
    """Puts the weights that `save_adapter` wrote into the adapter in training; bit for bit."""
    _put_weights(denoiser, folder, POLICY)


def _put_weights(denoiser: Denoiser, folder: Path, adapter: str) -> None:
    """Copies the weights of a saved adapter into one that is loaded; ValueError when they do not fit it."""
    saved, adapted = _read_adapter(folder), _adapted(denoiser)
    if saved.keys() != adapted.keys():
        raise ValueError(f"alignment: {folder} has weights for {sorted(saved)}, expected {sorted(adapted)}")
    for name, net in adapted.items():
        own, (weights, alpha) = get_peft_model_state_dict(net, adapter_name=adapter), saved[name]
        unlike = sorted(key for key in own.keys() | weights.keys() if key not in weights or key not in own)
        if unlike or any(weights[key].shape != own[key].shape for key in own):
            told = f"other layers, such as {unlike[0]}" if unlike else "another rank"
            raise ValueError(f"alignment: {folder} does not fit the adapter of the {name} in training: {told}")
        if alpha != net.peft_config[adapter].lora_alpha:
            raise ValueError(f"alignment: {folder} has alpha {alpha}, expected {net.peft_config[adapter].lora_alpha}")
        set_peft_model_state_dict(net, weights, adapter_name=adapter)


def _read_adapter(folder: Path) -> dict[str, tuple[dict[str, torch.Tensor], int | None]]:
    """Net -> weights by peft's names, and alpha, of what `save_adapter` wrote."""
    found: dict[str, tuple[dict[str, torch.Tensor], int | None]] = {}
    files = {"": folder / LORA_FILE, CONTROLNET: folder / CONTROLNET / LORA_FILE}
    for net, file in files.items():
        if not file.is_file():
            continue
        weights, config = load_file(file), lora_config(file) or {}
        for name in [net] if net else sorted({key.partition(".")[0] for key in weights}):
            prefix = "" if net else f"{name}."
            own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
            found[name] = (own, config.get(f"{prefix}lora_alpha"))
    if not found:
        raise ValueError(f"alignment: no safetensors in {folder}, nor in {CONTROLNET}/")
    return found


def _adapted(denoiser: Denoiser) -> dict[str, Any]:
    """The nets that have the adapter in training."""
    return {name: net for name, net in denoiser.nets.items() if POLICY in getattr(net, "peft_config", {})}


def _use(denoiser: Denoiser, adapter: str) -> None:
    for net in _adapted(denoiser).values():
        net.set_adapter(adapter)
