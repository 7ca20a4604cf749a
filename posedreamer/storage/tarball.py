"""Tar archives in fixed bytes, and a reader that trusts nothing.

Written: plain ustar, mtime 0, owner 0, mode 0644, members in the order given. Read: from the first byte on, never
extracted to disk, and refused with the byte and key where something is off: links, devices, paths, pickles, a missing end.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

# Formats whose readers run code that the file carries; refused under any further suffix too (`x.pyd.gz`).
REFUSED_SUFFIXES = frozenset({"pyd", "pkl", "pickle", "pt", "pth", "joblib", "dill"})
MAX_MEMBER_BYTES = 1 << 30
_BLOCK = 512
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)
_PAX_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE)


@runtime_checkable
class ByteStream(Protocol):
    """An open binary file, local or remote."""

    def read(self, size: int, /) -> bytes: ...


def members_to_tar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An uncompressed tar of (name, content) pairs: the same pairs give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def read_members(stream: ByteStream, where: str) -> Iterator[tuple[str, bytes]]:
    """The (name, content) pairs of an uncompressed tar, in order, one in memory at a time.

    where: the archive's name for errors. Anything but plain files with plain names is a ValueError, and so is an archive
    that stops before its end mark.
    """
    offset, last = 0, "(none)"
    while True:
        header = stream.read(_BLOCK)
        if len(header) == _BLOCK and not any(header):
            return
        place = f"{where}: byte {offset}, after member {last}"
        try:
            entry = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            state = "truncated" if len(header) < _BLOCK else "damaged"
            raise ValueError(f"{place}: the archive is {state}: {error}") from error
        if not 0 <= entry.size <= MAX_MEMBER_BYTES:
            raise ValueError(f"{place}: member of {entry.size} bytes, expected at most {MAX_MEMBER_BYTES}")
        padded = -(-entry.size // _BLOCK) * _BLOCK
        if entry.type in _PAX_HEADERS:
            _check_pax(stream.read(padded)[: entry.size], place)
        else:
            check_member_name(entry.name, place)
            if entry.type not in _REGULAR:
                raise ValueError(f"{place}: member {entry.name!r} is a link, device or folder, expected a plain file")
            data = stream.read(padded)
            if len(data) < padded:
                raise ValueError(
                    f"{place}: the archive is truncated: member {entry.name} has {min(len(data), entry.size)} of "
                    f"{entry.size} bytes"
                )
            yield entry.name, data[: entry.size]
            last = entry.name
        offset += _BLOCK + padded


def read_groups(stream: ByteStream, where: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, {suffix: content}) of each sample in a shard, in order; `a.label.npz` is suffix `label.npz` of key `a`.

    A member that comes twice, or a key whose members do not stand together, is a ValueError.
    """
    seen: set[str] = set()
    key, group = None, {}
    for name, data in read_members(stream, where):
        stem, _, suffix = name.partition(".")
        if stem != key:
            if key is not None:
                yield key, group
            if stem in seen:
                raise ValueError(f"{where}: key {stem}: its members do not stand together, or it comes twice")
            seen.add(stem)
            key, group = stem, {}
        if suffix in group:
            raise ValueError(f"{where}: key {key}: member {name} comes twice")
        group[suffix] = data
    if key is not None:
        yield key, group


def check_member_name(name: str, where: str) -> None:
    """ValueError for a name that leaves the folder, has no key or suffix, or belongs to a pickle."""
    stem, dot, suffix = name.partition(".")
    if not stem or not dot or not suffix or any(part in name for part in ("/", "\\", "\0", "..")):
        raise ValueError(f"{where}: member {name!r} is not a plain `<key>.<suffix>` name")
    refused = REFUSED_SUFFIXES.intersection(suffix.lower().split("."))
    if refused:
        raise ValueError(f"{where}: member {name!r} is a pickle ({', '.join(sorted(refused))}); pickles are never read")


def _check_pax(content: bytes, where: str) -> None:
    # Other writers put times there, which are harmless; a path or a size would replace what the plain header says.
    keywords = {line.partition(b" ")[2].partition(b"=")[0] for line in content.splitlines()}
    refused = keywords & {b"path", b"linkpath", b"size"} or {
        word for word in keywords if word.startswith(b"GNU.sparse")
    }
    if refused:
        raise ValueError(f"{where}: extended header sets {sorted(word.decode() for word in refused)}; not read here")
