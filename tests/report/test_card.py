"""The card says what the run is, its code blocks run, and croissant.json points at what is there."""

import gc
import hashlib
import json
import re
import warnings

import pyarrow.parquet as pq
import pytest
import yaml
from report_runs import ATTEMPTS, CONFIG, write_run

from posedreamer.report.card import card, licences, size_category, write_card
from posedreamer.report.croissant import KEY_OF_FILE
from posedreamer.report.statistics import run_statistics
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.shard import read_groups_of

KEPT = sum(attempt[1] == "kept" for attempt in ATTEMPTS)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    run_dir = write_run(tmp_path_factory.mktemp("runs") / "run")
    write_card(run_dir)
    return run_dir


@pytest.fixture(scope="module")
def text(run_dir):
    return (run_dir / "README.md").read_text()


def test_the_front_matter_is_yaml_with_licence_size_and_files(text):
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "apache-2.0"
    assert front["size_categories"] == ["n<1K"]
    assert front["configs"][0]["data_files"] == "shards/*.tar"


def test_the_figures_are_those_of_the_run(text, run_dir):
    statistics = run_statistics(run_dir)
    for name, value in statistics["reasons"].items():
        assert f"| {name} | {value} |" in text
    assert f"| kept | {KEPT} |" in text
    assert CONFIG.hash[:8] in text


def test_every_code_block_runs_and_finds_the_kept_samples(text, run_dir, monkeypatch):
    monkeypatch.chdir(run_dir)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    scope, seen = {}, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves closing its files to the collector
        for block in blocks:
            scope["count"] = 0
            exec(re.sub(r"(for sample in .*:\n)", r"\1    count += 1\n", block), scope)
            seen.append(scope["count"])
        rows = scope["table"].num_rows
        scope.clear()
        gc.collect()
    assert seen[:2] == [KEPT, KEPT]
    assert rows == len(ATTEMPTS)


def test_a_source_that_is_not_free_makes_the_licence_other(run_dir):
    manifest, statistics = read_manifest(run_dir), run_statistics(run_dir)
    config = manifest["config"]
    for changed in (
        {"body": "/models/SMPLX_NEUTRAL.npz"},
        {"generator": {**config["generator"], "model": "some/model"}},
        {"generator": {**config["generator"], "adapters": ["adapter"]}},
        {"sampling": {**config["sampling"], "sources": [{"kind": "motion", "path": "/data/amass", "weight": 1.0}]}},
        {"sampling": {**config["sampling"], "labels_of": "/data/another_run"}},
    ):
        assert not all(row[3] for row in licences({**manifest, "config": {**config, **changed}}))
    for model in ("nano", "renderer", "second_renderer"):
        own = {**config, "generator": {**config["generator"], "model": model}}
        assert all(row[3] for row in licences({**manifest, "config": own}))
    assert "license: other" in card(manifest, statistics, "other")


@pytest.mark.parametrize(("kept", "word"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (5_000_000, "n>1M")])
def test_sizes(kept, word):
    assert size_category(kept) == word


def test_every_file_of_croissant_is_there_with_its_hash(run_dir):
    metadata = json.loads((run_dir / "croissant.json").read_text())
    files = {item["@id"]: item for item in metadata["distribution"] if item["@type"] == "cr:FileObject"}
    on_disk = {f"shards/{path.name}" for path in (run_dir / "shards").iterdir() if path.suffix != ".json"}
    assert set(files) == on_disk
    for name, item in files.items():
        assert item["sha256"] == hashlib.sha256((run_dir / name).read_bytes()).hexdigest()


def test_croissant_names_each_member_and_column_once_and_only_existing_parts(run_dir):
    metadata = json.loads((run_dir / "croissant.json").read_text())
    ids = [item["@id"] for item in metadata["distribution"]]
    fields = {record["name"]: record["field"] for record in metadata["recordSet"]}
    ids += [field["@id"] for group in fields.values() for field in group]
    assert len(ids) == len(set(ids))
    references = re.findall(r'"@id": "([^"]+)"', json.dumps(metadata["recordSet"]))
    assert set(references) <= {*ids, *fields}
    columns = {field["source"]["extract"]["column"] for field in fields["index"]}
    assert columns == set(pq.read_schema(run_dir / "shards" / "000000.parquet").names)
    (_, members), *_ = read_groups_of(run_dir / "shards" / "000000.tar")
    globs = {item["includes"].removeprefix("*.") for item in metadata["distribution"] if item["@type"] == "cr:FileSet"}
    assert globs == set(members)
    assert re.search(KEY_OF_FILE, "3f9c-r00-000012-0007.label.npz")[1] == "3f9c-r00-000012-0007"


def test_a_run_that_keeps_nothing_has_a_card(tmp_path):
    write_card(write_run(tmp_path / "empty", ATTEMPTS[6:12]))
    metadata = json.loads((tmp_path / "empty" / "croissant.json").read_text())
    assert [record["name"] for record in metadata["recordSet"]] == ["index"]
