"""Files of a run, on local disk or at a URL (fsspec): whole or not at all.

Local: a temporary name in the same directory, fsync, atomic rename. Object stores: one put, which is atomic by itself.
"""

import errno
import logging
import os
import uuid
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

logger = logging.getLogger(__name__)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY_SUFFIX = ".part"


def join(root: str | Path, name: str) -> str:
    """`root/name`, for a path or a URL."""
    return f"{str(root).rstrip('/')}/{name}"


def write_file(path: str | Path, data: bytes) -> None:
    """Puts `data` at a path or URL, replacing what is there; a reader sees the old file or the new one, never half of it.

    A full disk is an OSError that names the file; the temporary file is removed and what stood there before still stands.
    """
    filesystem, inside = open_filesystem(path)
    if isinstance(filesystem, LocalFileSystem):
        _write_local(Path(inside), data)
    else:
        filesystem.pipe_file(inside, data)


def read_file(path: str | Path) -> bytes:
    """The whole file; FileNotFoundError when there is none."""
    filesystem, inside = open_filesystem(path)
    return filesystem.cat_file(inside)


def remove_file(path: str | Path) -> None:
    """Removes a file; that there is none is fine."""
    if file_exists(path):
        filesystem, inside = open_filesystem(path)
        filesystem.rm_file(inside)


def file_exists(path: str | Path) -> bool:
    """Whether there is such a file now; listings that an object store's client remembers are not asked."""
    filesystem, inside = open_filesystem(path)
    filesystem.invalidate_cache()
    return filesystem.isfile(inside)


def list_files(directory: str | Path, suffix: str) -> list[str]:
    """Sorted names of the files directly in a directory that end so; none when there is no such directory."""
    filesystem, inside = open_filesystem(directory)
    filesystem.invalidate_cache()
    if not filesystem.isdir(inside):
        return []
    entries = filesystem.ls(inside, detail=True)
    names = [entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "file"]
    return sorted(name for name in names if name.endswith(suffix))


def remove_leftovers(directory: str | Path) -> list[str]:
    """Removes the temporary files that killed writers left in a directory; returns their names."""
    names = list_files(directory, _TEMPORARY_SUFFIX)
    for name in names:
        remove_file(join(directory, name))
        logger.info("removed %s, left by a killed writer", join(directory, name))
    return names


def open_filesystem(path: str | Path) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path inside it."""
    return fsspec.url_to_fs(str(path))


def _write_local(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{_TEMPORARY_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in _FULL:
            raise
        message = f"the disk is full: {path} ({len(data)} bytes) was not written; finished shards are whole, run again"
        raise OSError(error.errno, message) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    # Without it a power cut can undo the rename.
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
