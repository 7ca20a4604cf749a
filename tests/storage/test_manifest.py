import copy
import json

import pytest

from posedreamer.storage.manifest import open_run, read_manifest

MANIFEST = {
    "config": {"seed": 1, "filters": {"order": ["oks"], "oks": {"min": 0.5}}, "sources": [{"kind": "library"}]},
    "code": {"commit": "a", "sources": "b"},
    "versions": {"numpy": "2.4.6"},
}


def changed(*path, value):
    manifest = copy.deepcopy(MANIFEST)
    node = manifest
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = value
    return manifest


def test_a_run_is_made_and_gone_on_with(tmp_path):
    run = tmp_path / "run"
    open_run(run, MANIFEST)
    before = (run / "run.json").read_bytes()
    open_run(run, copy.deepcopy(MANIFEST))
    open_run(run, changed("code", "commit", value="c"))
    assert (run / "run.json").read_bytes() == before
    assert read_manifest(run) == MANIFEST


def test_tuples_and_lists_are_the_same_in_a_manifest(tmp_path):
    open_run(tmp_path, changed("config", "filters", "order", value=("oks",)))
    open_run(tmp_path, MANIFEST)


@pytest.mark.parametrize(
    ("manifest", "line"),
    [
        (changed("config", "filters", "oks", "min", value=0.6), "config.filters.oks.min: 0.5 -> 0.6"),
        (changed("config", "seed", value=None), "config.seed: 1 -> null"),
        (changed("config", "sources", 0, "kind", value="motion"), 'config.sources[0].kind: "library" -> "motion"'),
        (changed("config", "filters", "order", value=["oks", "flat"]), 'config.filters.order: ["oks"] -> ["oks", "flat"]'),
        (changed("versions", "torch", value="2"), 'versions.torch: (absent) -> "2"'),
        (changed("versions", value={}), 'versions.numpy: "2.4.6" -> (absent)'),
        (changed("code", "sources", value="x"), 'code.sources: "b" -> "x"'),
    ],
)  # fmt: skip
def test_a_directory_of_another_run_is_refused_field_by_field_and_left_alone(tmp_path, manifest, line):
    open_run(tmp_path, MANIFEST)
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / ".000001.tar.1-a.part").write_bytes(b"")
    with pytest.raises(ValueError, match="belongs to another run") as caught:
        open_run(tmp_path, manifest)
    assert [text.strip() for text in str(caught.value).splitlines()[1:] if "versions: " not in text] == [line]
    assert read_manifest(tmp_path) == MANIFEST
    assert len(list((tmp_path / "shards").iterdir())) == 1


def test_leftovers_are_removed_when_a_run_is_gone_on_with(tmp_path):
    open_run(tmp_path, MANIFEST)
    for folder in ("shards", "rejects"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ".000001.tar.1-a.part").write_bytes(b"")
        (tmp_path / folder / "000001.tar").write_bytes(b"")
    open_run(tmp_path, MANIFEST)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert left == ["rejects/000001.tar", "run.json", "shards/000001.tar"]


def test_shards_without_a_manifest_are_nobodys_to_write_into(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/000000.tar").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds shards but no run\.json"):
        open_run(tmp_path, MANIFEST)


def test_a_directory_that_is_no_run_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"is not a run: it has no run\.json"):
        read_manifest(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(MANIFEST)[:-5])
    with pytest.raises(ValueError, match=r"run\.json: "):
        read_manifest(tmp_path)
