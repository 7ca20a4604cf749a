"""Pretrained models from outside: a folder, or a hub id with an optional commit; safetensors alone, pinned by what they hold."""

import hashlib
import re
from pathlib import Path

HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?")
FILES = ("*.json", "*.txt", "*.safetensors", "*.model")


def find_pretrained(model: str, what: str) -> tuple[Path, str]:
    """The local folder of a model, fetched from the hub if it is an id, and its identity: name@sha256 of weights, or repository@commit.

    what: names the model in errors. ValueError for what is neither a folder with safetensors nor a hub id.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder, f"{folder.name}@{hash_weights(folder, what)}"
    match = HUB_ID.fullmatch(model)
    if match is None:
        raise ValueError(f"{what} {model!r}: no such folder, and no hub id (owner/name, or owner/name@revision)")
    import huggingface_hub

    snapshot = huggingface_hub.snapshot_download(match["repo"], revision=match["revision"], allow_patterns=list(FILES))
    return Path(snapshot), f"{match['repo']}@{Path(snapshot).name}"


def hash_weights(folder: Path, what: str) -> str:
    """`sha256:` and 16 hex digits over names and bytes of all safetensors and JSON files of the folder."""
    digest = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json"))
    if not any(path.suffix == ".safetensors" for path in files):
        raise ValueError(f"{what}: {folder} holds no safetensors weights")
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return "sha256:" + digest.hexdigest()[:16]
