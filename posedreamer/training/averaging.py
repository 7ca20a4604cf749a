"""Averages of models that were trained on from one ancestor: often better than each of them (Wortsman et al. 2022, "Model soups")."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def average_models(folders: Sequence[Path], shares: Sequence[float], out: Path) -> None:
    """Writes a folder whose safetensors are the weighted sums of the folders', in their precision; all else is the first folder's.

    ValueError when shares do not add up to 1, when `out` is there, or when the folders hold other files, weights or shapes.
    """
    if len(shares) != len(folders) or abs(sum(shares) - 1.0) > 1e-6:
        raise ValueError(
            f"average_models: {len(folders)} models want as many shares that add up to 1, got {list(shares)}"
        )
    if out.exists():
        raise ValueError(f"average_models: {out} is there already")
    names = [sorted(path.relative_to(folder) for path in folder.rglob("*.safetensors")) for folder in folders]
    for folder, found in zip(folders, names, strict=True):
        if found != names[0] or not found:
            raise ValueError(
                f"average_models: {folder} holds {[*map(str, found)]}, {folders[0]} {[*map(str, names[0])]}"
            )
    averaged = {name: _average([folder / name for folder in folders], shares) for name in names[0]}
    shutil.copytree(folders[0], out)
    for name, (tensors, metadata) in averaged.items():
        (out / name).unlink()
        save_file(tensors, out / name, metadata=metadata)


def _average(paths: Sequence[Path], shares: Sequence[float]) -> tuple[dict[str, torch.Tensor], dict[str, str] | None]:
    states = [load_file(path) for path in paths]
    for path, state in zip(paths, states, strict=True):
        shapes, expected = ({name: tuple(t.shape) for name, t in one.items()} for one in (state, states[0]))
        if shapes != expected:
            odd = sorted(name for name in {*shapes, *expected} if shapes.get(name) != expected.get(name))
            raise ValueError(f"average_models: {path} and {paths[0]} differ in the shape of {', '.join(odd[:3])}")
    with safe_open(paths[0], framework="pt") as file:
        metadata = file.metadata()
    mixed = {
        name: sum(
            (share * state[name].double() for share, state in zip(shares, states, strict=True)),
            start=torch.zeros_like(tensor, dtype=torch.float64),
        ).to(tensor.dtype)
        for name, tensor in states[0].items()
    }
    return mixed, metadata
