import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.storage import provenance
from posedreamer.storage.manifest import compare_manifests
from posedreamer.storage.provenance import BYTES_PACKAGES, describe_body, hash_file, make_manifest


@pytest.fixture(scope="module")
def manifest():
    return make_manifest({"seed": 1}, "3f9c", load_body(), {"sd15": "main@abc"})


def test_a_manifest_says_what_made_the_run(manifest):
    body = load_body()
    assert manifest["config"] == {"seed": 1}
    assert manifest["weights"] == {"sd15": "main@abc"}
    assert manifest["body"]["sha256"] == body.sha256
    assert len(manifest["body"]["left_hand_mean"]) == len(manifest["body"]["right_hand_mean"]) == 45
    assert manifest["assets"]["open_body/open.npz"] == body.sha256
    assert manifest["versions"].keys() == {"python", *BYTES_PACKAGES}
    assert describe_body(body).items() <= manifest["body"].items()


def test_the_same_run_has_the_same_manifest_and_changed_code_another(manifest, tmp_path, monkeypatch):
    again = make_manifest({"seed": 1}, "3f9c", load_body(), {"sd15": "main@abc"})
    assert compare_manifests(manifest, again) == []
    (tmp_path / "module.py").write_text("x = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE_DIRECTORY", tmp_path)
    other = make_manifest({"seed": 1}, "3f9c", load_body(), {"sd15": "main@abc"})
    assert any(line.startswith("code.sources: ") for line in compare_manifests(manifest, other))


def test_versions_are_told_of_packages_that_are_required():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    required = {re.split(r"[\[=]", line)[0] for line in project["dependencies"]}
    assert set(BYTES_PACKAGES) <= required


def test_a_file_is_hashed_whole(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 10**6)
    assert hash_file(tmp_path / "x") == hashlib.sha256(b"abc" * 10**6).hexdigest()
