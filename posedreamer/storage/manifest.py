"""run.json: what made a run. A directory belongs to one manifest; another one is refused, never mixed in."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from posedreamer.storage.files import file_exists, join, list_files, read_file, remove_leftovers, write_file

MANIFEST_NAME = "run.json"
REFILTER_NAME = "refilter.json"  # there while verdicts are changed (refilter.py)
SUBDIRECTORIES = ("shards", "rejects", "pairs", "curriculum")
# The commit also changes with files that no sample depends on; code.sources is compared instead.
FREE_FIELDS = ("code.commit",)
_ABSENT = "(absent)"


def open_run(run_dir: str | Path, manifest: Mapping[str, Any]) -> None:
    """Makes a run directory, or goes on with one of the same manifest; removes what killed writers left.

    manifest: provenance.make_manifest. A directory of another manifest is a ValueError that lists the differing fields as
    `dotted.path: old -> new`; one that has shards but no manifest is a ValueError too. Nothing is changed then.
    """
    path = join(run_dir, MANIFEST_NAME)
    if file_exists(join(run_dir, REFILTER_NAME)):
        raise ValueError(
            f"{run_dir}: refiltering was cut short ({REFILTER_NAME}); finish it by the same `posedreamer refilter`"
        )
    if file_exists(path):
        differences = compare_manifests(read_manifest(run_dir), json.loads(_to_json(manifest)))
        if differences:
            listed = "\n  ".join(differences)
            raise ValueError(f"{run_dir} belongs to another run; use an empty directory. Differing fields:\n  {listed}")
    elif any(list_files(join(run_dir, folder), "") for folder in SUBDIRECTORIES):
        raise ValueError(f"{run_dir} holds shards but no {MANIFEST_NAME}; use an empty directory")
    else:
        write_file(path, _to_json(manifest))
    for folder in ("", *SUBDIRECTORIES):
        remove_leftovers(join(run_dir, folder) if folder else run_dir)


def read_manifest(run_dir: str | Path) -> dict[str, Any]:
    """The content of run.json; a directory without one is a ValueError."""
    path = join(run_dir, MANIFEST_NAME)
    try:
        return json.loads(read_file(path))
    except FileNotFoundError as error:
        raise ValueError(f"{run_dir} is not a run: it has no {MANIFEST_NAME}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def replace_manifest(run_dir: str | Path, manifest: Mapping[str, Any]) -> None:
    """Writes another run.json: what the run's verdicts are made by has changed."""
    write_file(join(run_dir, MANIFEST_NAME), _to_json(manifest))


def compare_manifests(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The fields that differ and matter, each as `dotted.path: old -> new`, sorted."""
    old_fields, new_fields = dict(_flatten(old)), dict(_flatten(new))
    return [
        f"{path}: {old_fields.get(path, _ABSENT)} -> {new_fields.get(path, _ABSENT)}"
        for path in sorted(old_fields.keys() | new_fields.keys())
        if path not in FREE_FIELDS and old_fields.get(path, _ABSENT) != new_fields.get(path, _ABSENT)
    ]


def _to_json(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _flatten(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping) and node:
        for name, child in node.items():
            yield from _flatten(child, f"{path}.{name}" if path else name)
    elif isinstance(node, list) and any(isinstance(child, Mapping | list) for child in node):
        for index, child in enumerate(node):
            yield from _flatten(child, f"{path}[{index}]")
    else:
        yield path, json.dumps(node, ensure_ascii=False)
