"""Which tars a path means: a run, a folder, one tar, a glob, a brace pattern; on disk or at a URL."""

import re
from pathlib import Path

from posedreamer.storage.files import file_exists, join, list_files, open_filesystem
from posedreamer.storage.manifest import MANIFEST_NAME
from posedreamer.storage.stats import finished_shards

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*)\}")


def find_tars(path: str | Path) -> list[str]:
    """The tars that `path` means, in order; none is a ValueError.

    A run directory: the kept samples of its finished shards. Another directory: each tar in it. `{000000..000011}` and
    `{a,b}` are spelled out, `*`, `?` and `[...]` are matched.
    """
    tars = [tar for pattern in expand_braces(str(path)) for tar in _find(pattern)]
    if not tars:
        raise ValueError(f"{path}: no tar found; expected a run, a folder of tars, a tar, a glob or a brace pattern")
    return tars


def expand_braces(pattern: str) -> list[str]:
    """`a{08..10}{x,y}` as a08x, a08y, a09x, ...: a range keeps the zeros of its first number."""
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    first, last, words = match.groups()
    if words is None:
        choices = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    else:
        choices = words.split(",")
    head, tail = pattern[: match.start()], pattern[match.end() :]
    return [head + choice + rest for choice in choices for rest in expand_braces(tail)]


def _find(pattern: str) -> list[str]:
    filesystem, inside = open_filesystem(pattern)
    if any(sign in inside for sign in "*?["):
        return [filesystem.unstrip_protocol(name) for name in sorted(filesystem.glob(inside)) if name.endswith(".tar")]
    if inside.endswith(".tar"):
        return [pattern]
    if file_exists(join(pattern, MANIFEST_NAME)):
        kept = {name.removesuffix(".tar") for name in list_files(join(pattern, "shards"), ".tar")}
        return [join(pattern, f"shards/{n:06d}.tar") for n in finished_shards(pattern) if f"{n:06d}" in kept]
    return [join(pattern, name) for name in list_files(pattern, ".tar")]
