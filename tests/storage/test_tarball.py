import io
import tarfile

import pytest

from posedreamer.storage.tarball import members_to_tar, read_groups, read_members

MEMBERS = [("a.jpg", b"x" * 700), ("a.json", b"{}"), ("b.jpg", b""), ("b.json", b"[]")]


def read(data: bytes) -> list[tuple[str, bytes]]:
    return list(read_members(io.BytesIO(data), "shard.tar"))


def tar_of(*entries: tarfile.TarInfo, **options) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for entry in entries:
            archive.addfile(entry, io.BytesIO(b"\0" * entry.size))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, "/etc/passwd" if kind != tarfile.REGTYPE else ""
    return info


def test_what_is_written_is_read_and_tarfile_agrees():
    data = members_to_tar(MEMBERS)
    assert read(data) == MEMBERS
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        infos = archive.getmembers()
    assert [info.name for info in infos] == [name for name, _ in MEMBERS]
    assert {(info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode) for info in infos} == {
        (0, 0, 0, "", "", 0o644)
    }


def test_tars_of_other_writers_are_read():
    with_time = entry("a.txt", size=3)
    with_time.mtime = 1.5  # makes an extended header
    assert read(tar_of(with_time, format=tarfile.PAX_FORMAT)) == [("a.txt", b"\0\0\0")]
    assert read(tar_of(entry("a.txt", size=3), format=tarfile.GNU_FORMAT)) == [("a.txt", b"\0\0\0")]


def test_members_are_grouped_by_key():
    groups = list(read_groups(io.BytesIO(members_to_tar([*MEMBERS, ("c.label.npz", b"n")])), "shard.tar"))
    assert groups == [
        ("a", {"jpg": b"x" * 700, "json": b"{}"}),
        ("b", {"jpg": b"", "json": b"[]"}),
        ("c", {"label.npz": b"n"}),
    ]


@pytest.mark.parametrize("length", range(0, 4100, 97))
def test_a_truncated_tar_is_an_error_wherever_it_was_cut(length):
    data = members_to_tar(MEMBERS)[:length]  # the end mark begins at byte 4096
    with pytest.raises(ValueError, match=r"shard.tar: byte \d+, after member .*truncated"):
        read(data)


def test_the_error_names_the_member_that_was_cut():
    with pytest.raises(ValueError, match=r"byte 0, after member \(none\): .* member a.jpg has 488 of 700 bytes"):
        read(members_to_tar(MEMBERS)[:1000])


def test_a_damaged_header_is_an_error_not_an_end():
    data = bytearray(members_to_tar(MEMBERS))
    data[1536 + 4] ^= 1
    with pytest.raises(ValueError, match=r"byte 1536, after member a.jpg: the archive is damaged"):
        read(bytes(data))


@pytest.mark.parametrize(
    "name", ["a.pyd", "a.pkl", "a.PICKLE", "a.pt", "a.pth", "a.label.pkl.gz", "a.pth.zst", "a.pt.npz"]
)
def test_pickles_are_refused_whatever_is_in_them(name):
    with pytest.raises(ValueError, match="pickles are never read"):
        read(members_to_tar([("a.json", b""), (name, b"")]))


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "b/a.jpg", "a..jpg", "a\\b.jpg", "nosuffix", ".hidden", "a."])
def test_names_that_are_no_plain_members_are_refused(name):
    with pytest.raises(ValueError, match="is not a plain"):
        read(members_to_tar([(name, b"")]))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, b"S"],
)
def test_links_devices_folders_and_sparse_files_are_refused(kind):
    data = tar_of(entry("a.jpg", kind), format=tarfile.USTAR_FORMAT)
    with pytest.raises(ValueError, match=r"expected a plain file|not a plain"):  # a folder's name ends in a slash
        read(data)


def test_extended_headers_must_not_rename_or_resize():
    renamed = entry("a.jpg")
    renamed.pax_headers = {"path": "../../x.jpg"}
    with pytest.raises(ValueError, match=r"sets \['path'\]"):
        read(tar_of(renamed, format=tarfile.PAX_FORMAT))
    with pytest.raises(ValueError, match=r"sets \['path'\]"):
        read(tar_of(entry("k" * 120 + ".jpg"), format=tarfile.PAX_FORMAT))


def test_a_header_that_claims_gigabytes_is_refused_before_reading():
    header = entry("a.jpg", size=2**40).tobuf(format=tarfile.GNU_FORMAT)
    with pytest.raises(ValueError, match="expected at most"):
        read(header)


def test_keys_that_come_apart_or_twice_are_refused():
    apart = [("a.jpg", b""), ("b.jpg", b""), ("a.json", b"")]
    with pytest.raises(ValueError, match="key a: its members do not stand together"):
        list(read_groups(io.BytesIO(members_to_tar(apart)), "shard.tar"))
    with pytest.raises(ValueError, match=r"member a.jpg comes twice"):
        list(read_groups(io.BytesIO(members_to_tar([("a.jpg", b""), ("a.jpg", b"")])), "shard.tar"))
