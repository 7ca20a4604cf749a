"""shards/README.md and the storage code say the same, and its snippets read what the code writes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import parameters_from_arrays
from posedreamer.geometry.cameras import make_K
from posedreamer.geometry.skeletons import COCO_KEYPOINTS, OUTPUT_JOINTS
from posedreamer.rendering.conditions import draw_condition
from posedreamer.rendering.label import draw_label
from posedreamer.sample import PARAMETER_SHAPES, Condition, Label, Picture, Prompt, Sample, Verdict
from posedreamer.storage.arrays import LABEL_ARRAYS
from posedreamer.storage.codec import CONVENTIONS_VERSION, IMAGE_SUFFIXES, MEMBER_SUFFIXES, sample_to_record
from posedreamer.storage.images import QUALITY
from posedreamer.storage.index import RECORD_COLUMNS, SCORE_PREFIX
from posedreamer.storage.provenance import describe_body
from posedreamer.storage.shard import write_shard
from posedreamer.storage.tarball import REFUSED_SUFFIXES

README = (Path(__file__).parents[1] / "shards" / "README.md").read_text()


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """Cells of the first table of a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(cells: list[str]) -> set[str]:
    """What stands in backticks in the cells."""
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_the_version_is_that_of_the_code():
    assert f"Conventions version **{CONVENTIONS_VERSION}**" in README
    assert f"quality {QUALITY}" in section("Members of a sample")


def test_members_are_those_of_the_code_in_order():
    names = [row[0].strip("`") for row in rows("Members of a sample")]
    assert names == [f"<key>.{suffix}" for suffix in (IMAGE_SUFFIXES[0], *MEMBER_SUFFIXES)]
    for suffix in IMAGE_SUFFIXES[1:]:
        assert f"`.{suffix}`" in section("Members of a sample")
    refused = set(re.search(r"refuse `([^`]+)`", section("Members of a sample"))[1].replace(".", "").split())
    assert refused <= REFUSED_SUFFIXES


def test_arrays_are_those_of_the_code_in_order_with_type_and_shape():
    table = [(row[0].strip("`"), row[1], row[2]) for row in rows("Arrays of `<key>.label.npz`")]
    assert table == [(name, str(spec.dtype), str(spec.shape)) for name, spec in LABEL_ARRAYS.items()]


def test_fields_and_columns_are_those_of_the_code():
    fields = words([row[0] for row in rows("Fields of `<key>.json`")])
    assert fields == sample_to_record(Sample("k", 0), None).keys()
    columns = words([row[0] for row in rows("Columns of the index")])
    assert f"{SCORE_PREFIX}<name>" in columns
    not_columns = {"conventions", "body", "verdict", "scores"}
    assert (fields - not_columns) | (columns - {f"{SCORE_PREFIX}<name>"}) == RECORD_COLUMNS.keys()


def test_joint_lists_are_those_of_the_code():
    blocks = re.findall(r"```\n(.*?)```", section("Conventions"), re.DOTALL)
    for block, names in zip(blocks, (OUTPUT_JOINTS, COCO_KEYPOINTS), strict=True):
        assert " ".join(block.split()) == ", ".join(f"{index} {name}" for index, name in enumerate(names))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """runs/demo of the snippets: seven kept samples of true geometry, of which only the last has every score."""
    folder = tmp_path_factory.mktemp("doc")
    body, (width, height) = load_body(), (64, 96)
    K = make_K(110.0, width, height)
    samples = []
    for place in range(7):
        arrays = {name: 0.1 * np.random.default_rng(place).normal(size=s) for name, s in PARAMETER_SHAPES.items()}
        arrays |= {"global_orient": np.array([np.pi, 0.0, 0.0]), "transl": np.array([0.0, 0.3, 3.5])}
        parameters = parameters_from_arrays(arrays)
        drawn = draw_label(body, parameters, K, width, height)
        xyz = draw_condition("xyz", body, drawn)
        arrays = {
            name: getattr(drawn, name) for name in ("joints_cam", "keypoints", "visible", "coco_keypoints", "bbox")
        }
        label = Label(parameters, K, np.eye(4), **arrays, width=width, height=height, source="library", tags=())
        samples.append(
            Sample(
                key=f"3f9c2a17-r00-000000-{place:04d}",
                run_seed=0,
                label=label,
                prompt=Prompt("a person", {"top": "shirt"}),
                condition=Condition("xyz", xyz, xyz, drawn.mask, drawn.depth_mm),
                image=Picture(xyz, "nano", place),
                scores={"oks": 0.9, "oks_joint_nose": 0.5 if place == 6 else None},
                verdict=Verdict("kept"),
            )
        )
    write_shard(folder / "runs/demo", 0, 0, samples, {}, body=describe_body(body))
    (folder / "runs/demo/run.json").write_text("{}")
    return folder


SNIPPETS = re.findall(r"```python\n(.*?)```", section("Reading it"), re.DOTALL)
CHECKS = {
    "posedreamer": "assert batch['image'].shape == (7, 96, 64, 3), batch['image'].shape",
    "webdataset": "assert count == 7",
    "datasets": (
        "import numpy as np; samples = list(people)\n"
        "assert len(samples) == 7 and samples[6]['json']['scores']['oks_joint_nose'] == 0.5\n"
        "assert np.array(first['depth.png']).max() > 3000 and np.shape(first['label.npz']['joints_cam']) == (127, 3)\n"
        "plain = datasets.load_dataset('webdataset', data_files={'train': 'runs/demo/shards/*.tar'}, streaming=True)\n"
        "assert next(iter(plain['train']))['__key__'].startswith('3f9c2a17')"
    ),
}


@pytest.mark.parametrize(("snippet", "name"), list(zip(SNIPPETS, CHECKS, strict=True)), ids=list(CHECKS))
def test_the_snippets_read_what_the_code_writes(run, snippet, name):
    environment = {**os.environ, "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(run / "cache")}
    command = [sys.executable, "-c", f"{snippet}\n{CHECKS[name]}"]
    done = subprocess.run(command, cwd=run, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_record_holds_what_the_page_says(run):
    stats = json.loads((run / "runs/demo/shards/000000.json").read_text())
    assert stats["attempted"] == stats["kept"] + stats["rejected"] + stats["failed"] == 7
