import errno
import os
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from posedreamer.storage import files
from posedreamer.storage.files import join, list_files, read_file, remove_file, remove_leftovers, write_file


@pytest.fixture(params=["disk", "memory"])
def root(request, tmp_path):
    if request.param == "disk":
        yield str(tmp_path / "run")
    else:
        yield "memory://files/run"
        fsspec.filesystem("memory").rm("/files", recursive=True)


def test_a_file_is_written_replaced_listed_and_removed(root):
    assert list_files(root, "") == []
    write_file(join(root, "shards/b.tar"), b"old")
    write_file(join(root, "shards/b.tar"), b"new")
    write_file(join(root, "shards/a.tar"), b"")
    write_file(join(root, "shards/a.json"), b"")
    assert read_file(join(root, "shards/b.tar")) == b"new"
    assert list_files(join(root, "shards"), ".tar") == ["a.tar", "b.tar"]
    remove_file(join(root, "shards/b.tar"))
    remove_file(join(root, "shards/b.tar"))
    assert list_files(join(root, "shards"), "") == ["a.json", "a.tar"]
    with pytest.raises(FileNotFoundError):
        read_file(join(root, "shards/b.tar"))


def test_names_are_listed_in_order_whatever_the_disk_says(tmp_path, monkeypatch):
    listed = LocalFileSystem.ls
    monkeypatch.setattr(LocalFileSystem, "ls", lambda *given, **options: listed(*given, **options)[::-1])
    for name in ("b.json", "a.json", "c.json"):
        write_file(tmp_path / name, b"")
        assert list_files(tmp_path, ".json") == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch, step):
    path = tmp_path / "a.tar"
    write_file(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((files.os, "fsync") if step == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match=r"the disk is full: .*a.tar \(3 bytes\) was not written") as caught:
        write_file(path, b"new")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PermissionError(errno.EACCES, "no")])
def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch, error):
    def stop(*_):
        raise error

    monkeypatch.setattr(files.os, "fsync", stop)
    with pytest.raises(type(error)):
        write_file(tmp_path / "a.tar", b"new")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_writers_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process tidies nothing
    monkeypatch.setattr(Path, "replace", lambda *_: os.kill)
    write_file(tmp_path / "a.tar", b"half")
    monkeypatch.undo()
    (tmp_path / "b.tar").write_bytes(b"whole")
    assert len(remove_leftovers(tmp_path)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["b.tar"]
