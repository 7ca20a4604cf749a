"""What a run was made from, gathered for its manifest: config, code, package versions, body, assets, weights."""

import hashlib
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import posedreamer
from posedreamer.bodies.body import BodyModel
from posedreamer.storage.codec import CONVENTIONS_VERSION

# The packages whose version can change a byte of a shard.
BYTES_PACKAGES = (
    "controlnet-aux", "diffusers", "lightgbm", "numba", "numpy", "opencv-python-headless", "peft", "pillow", "pyarrow",
    "pyrender", "roma", "scipy", "timm", "torch", "transformers",
)  # fmt: skip
PACKAGE_DIRECTORY = Path(__file__).parents[1]
HAND_RULE = "flat_hand_mean=False: hand rotation vectors are added to the body model's mean hand"
_WHAT_HASHES = {
    "config_hash": "sha256 of the config's canonical JSON; keys start with eight digits of the same without `filters`",
    "code.sources": "sha256 over the names and contents of the package's .py files, in order",
    "body.sha256": "sha256 of the body model's file",
    "assets": "sha256 of each file in the package's assets",
    "weights": "what each model that is not embedded is named by: a revision, or the sha256 of its files",
    "shards/*.json sha256": "sha256 of each file of the shard, but that json",
}


def make_manifest(
    config: Mapping[str, Any], config_hash: str, body: BodyModel, weights: Mapping[str, str]
) -> dict[str, Any]:
    """The content of run.json, for `manifest.open_run`.

    config: what identifies the run (Config.identity). weights: name -> revision or hash of models that are not embedded.
    """
    assets = PACKAGE_DIRECTORY / "assets"
    left, right = body.get_buffer("hand_mean").flatten(1).tolist()
    return {
        "conventions": CONVENTIONS_VERSION,
        "config": dict(config),
        "config_hash": config_hash,
        "code": {
            "version": posedreamer.__version__,
            "commit": _commit(),
            "sources": _hash_tree(PACKAGE_DIRECTORY.rglob("*.py")),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in BYTES_PACKAGES}},
        "body": {**describe_body(body), "left_hand_mean": left, "right_hand_mean": right},
        "assets": {str(path.relative_to(assets)): hash_file(path) for path in _sorted_files(assets.rglob("*"))},
        "weights": dict(sorted(weights.items())),
        "what_hashes": _WHAT_HASHES,
    }


def describe_body(body: BodyModel) -> dict[str, str]:
    """What each sample says of its body model, so that a bare tar explains itself."""
    return {"name": body.name, "sha256": body.sha256, "gender": body.gender, "hands": HAND_RULE}


def hash_file(path: Path) -> str:
    """sha256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash_tree(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in _sorted_files(paths):
        digest.update(f"{path.relative_to(PACKAGE_DIRECTORY).as_posix()} {hash_file(path)}\n".encode())
    return digest.hexdigest()


def _sorted_files(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)


def _commit() -> str | None:
    """The commit of the source checkout; None for an installed package, which its version names."""
    git = shutil.which("git")
    if git is None or not (PACKAGE_DIRECTORY.parent / ".git").exists():
        return None
    command = [git, "-C", str(PACKAGE_DIRECTORY.parent), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
