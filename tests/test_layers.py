"""Imports point one way: a layer imports only what stands before it, stages never each other, heavy packages stay home."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "posedreamer"
LAYERS: list[set[str]] = [
    {
        "torchvision_shim",
        "pretrained",
        "sample",
        "seeds",
        "strict",
        "filters_config",
        "engine_config",
        "config",
        "geometry",
    },
    {"bodies", "rendering", "metrics"},
    {"estimators", "storage"},
    {"stages.sampling", "stages.generation", "stages.mining", "stages.filtering"},
    {"training", "alignment", "curation", "drpose", "report", "doctor"},
    {
        "factory",
        "planning",
        "watch",
        "progress",
        "cluster",
        "curriculum",
        "line",
        "mine",
        "refilter",
        "duplicates",
        "gates",
        "coco_export",
    },
    {"experiment"},
    {"cli"},
]
# Within a layer these pairs are allowed: one is built on the other.
NEIGHBOURS = {
    ("config", "strict"),
    ("config", "filters_config"),
    ("filters_config", "strict"),
    ("config", "engine_config"),
    ("engine_config", "strict"),
    ("rendering", "bodies"),
    ("factory", "planning"),
    ("factory", "watch"),
    ("factory", "cluster"),
    ("line", "factory"),
    ("line", "gates"),
    ("line", "curriculum"),
    ("line", "progress"),
    ("mine", "curriculum"),
    ("refilter", "duplicates"),
    ("drpose", "training"),
    ("alignment", "training"),
}
HEAVY_OWNERS = {
    "ray": {"factory.py", "cluster.py"},
    "diffusers": {"stages/generation", "training", "alignment", "drpose"},
    "transformers": {"stages/generation", "estimators", "training", "alignment", "drpose"},
    "pyrender": {"rendering/opengl.py"},
    "OpenGL": {"rendering/opengl.py"},
    "controlnet_aux": {"rendering/conditions.py", "rendering/openpose.py"},
    "lightgbm": {"stages/mining"},
    "trl": {"alignment"},
    "peft": {"alignment", "drpose"},
    "anny": {"bodies/building"},
    "smplx": set(),
    "open_clip": {"estimators"},
    "pickle": set(),
}  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return f"stages.{parts[1]}" if parts[0] == "stages" and len(parts) > 2 else parts[0]


def unit_of_module(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "posedreamer" or len(parts) == 1:
        return None
    return f"stages.{parts[2]}" if parts[1] == "stages" and len(parts) > 2 else parts[1]


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "posedreamer"
                else {str(node.module)}
            )
    return names


def layer_of(unit: str) -> int:
    layers = [index for index, units in enumerate(LAYERS) if unit in units]
    assert layers, f"{unit} has no layer in tests/test_layers.py"
    return layers[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = unit_of(path)
    if own in ("__init__", "stages"):
        return
    for module in imports_of(path):
        other = unit_of_module(module)
        if other is None or other == own or (own, other) in NEIGHBOURS:
            continue
        same_first_layer = layer_of(own) == layer_of(other) == 0
        assert layer_of(other) < layer_of(own) or same_first_layer, f"{own} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_stay_with_their_owners(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    for module in imports_of(path):
        owners = HEAVY_OWNERS.get(module.split(".")[0])
        if owners is not None:
            assert any(relative.startswith(owner) for owner in owners), f"{relative} imports {module}"


def test_every_directory_is_a_package() -> None:
    for path in FILES:
        assert (path.parent / "__init__.py").is_file(), f"{path.parent} has no __init__.py"
