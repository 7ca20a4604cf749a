import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from posedreamer import open_shards
from posedreamer.storage.arrays import LABEL_ARRAYS
from posedreamer.storage.reader import DEFAULT_FIELDS, MAP_FIELDS, RECORD_FIELDS
from posedreamer.storage.shard import write_shard

NUM_SHARDS, SHARD_SIZE = 5, 4


@pytest.fixture(scope="module")
def run(tmp_path_factory, make_sample, body_record):
    """Five shards of three kept samples and a rejected one; a sixth without a done mark, a seventh that keeps nothing."""
    folder = tmp_path_factory.mktemp("reader") / "run"
    for shard in range(NUM_SHARDS + 1):
        statuses = ["kept", "kept", "rejected", "kept"]
        samples = [make_sample(place, status, shard=shard) for place, status in enumerate(statuses)]
        write_shard(folder, shard, 0, samples, {}, body=body_record, image_format="png")
    (folder / f"shards/{NUM_SHARDS:06d}.json").unlink()
    write_shard(folder, NUM_SHARDS + 1, 0, [make_sample(0, "rejected")], {}, body=body_record)
    (folder / "run.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def expected_keys():
    return {f"3f9c2a17-r00-{shard:06d}-{place:04d}" for shard in range(NUM_SHARDS) for place in (0, 1, 3)}


def keys_of(dataset, **options) -> list[str]:
    loader = DataLoader(dataset, batch_size=None, **options)
    return [item["key"] for item in loader]


def test_a_sample_is_what_was_written(run, make_sample):
    item = next(iter(open_shards(run, fields=(*MAP_FIELDS, *LABEL_ARRAYS, *RECORD_FIELDS))))
    sample = make_sample(0)
    np.testing.assert_array_equal(item["image"], sample.image.rgb)
    np.testing.assert_array_equal(item["condition"], sample.condition.xyz)
    np.testing.assert_array_equal(item["mask"], sample.condition.mask)
    np.testing.assert_allclose(item["depth"], sample.condition.depth_mm / 1000, rtol=1e-6)
    np.testing.assert_array_equal(item["body_pose"], sample.label.parameters.body_pose)
    np.testing.assert_array_equal(item["K"], sample.label.K)
    assert (item["mask"].dtype, item["depth"].dtype, item["visible"].dtype) == (bool, np.float32, bool)
    assert (item["prompt"], item["seed"], item["width"]) == (sample.prompt.text, sample.image.seed, 24)
    assert item["tags"] == list(sample.label.tags)
    assert item["attributes"] == sample.prompt.attributes
    assert item["scores"]["oks"] == sample.scores["oks"]
    assert np.isnan(item["scores"]["difficulty"])


@pytest.mark.parametrize("workers", [0, 2])
def test_default_fields_make_batches(run, workers):
    batches = list(DataLoader(open_shards(run), batch_size=4, num_workers=workers))
    batch = batches[0]
    assert batch.keys() == {"key", *DEFAULT_FIELDS}
    assert (batch["image"].shape, batch["image"].dtype) == ((4, 32, 24, 3), torch.uint8)
    assert (batch["joints_cam"].shape, batch["mask"].dtype) == ((4, 127, 3), torch.bool)
    assert len(batch["prompt"]) == 4


@pytest.mark.parametrize("split", ["shard", "sample"])
@pytest.mark.parametrize("shuffle", [0, 3])
@pytest.mark.parametrize(("workers", "ranks"), [(0, 1), (2, 1), (0, 3), (2, 2), (0, 7)])
def test_each_sample_is_seen_once_over_all_workers_and_ranks(
    run, expected_keys, monkeypatch, split, shuffle, workers, ranks
):
    shares = []
    for rank in range(ranks):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(ranks))
        shares.append(keys_of(open_shards(run, fields=(), shuffle=shuffle, split=split), num_workers=workers))
    assert Counter(key for share in shares for key in share) == Counter(expected_keys)
    if split == "sample":
        sizes = [len(share) for share in shares]
        assert max(sizes) - min(sizes) <= max(workers, 1)


def test_an_initialised_process_group_counts_more_than_the_environment(run, expected_keys, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    keys = []
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        share = keys_of(open_shards(run, fields=()))
        assert 0 < len(share) < len(expected_keys)
        keys += share
    assert sorted(keys) == sorted(expected_keys)


def test_shuffling_is_seeded_and_differs_by_epoch(run, expected_keys):
    dataset = open_shards(run, fields=(), shuffle=4, seed=1)
    first, again = keys_of(dataset), keys_of(dataset)
    assert first == again
    assert first != sorted(first)
    assert keys_of(open_shards(run, fields=(), shuffle=4, seed=2)) != first
    dataset.set_epoch(1)
    assert keys_of(dataset) != first
    assert set(keys_of(dataset)) == expected_keys
    by_shard = open_shards(run, fields=(), shuffle=1)  # a buffer of one sample: only the shards change places
    first = keys_of(by_shard)
    by_shard.set_epoch(1)
    assert keys_of(by_shard) != first
    assert keys_of(open_shards(run, fields=())) == sorted(expected_keys)


def test_workers_that_live_on_see_the_epoch(run):
    dataset = open_shards(run, fields=(), shuffle=4)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, persistent_workers=True)
    first = [item["key"] for item in loader]
    dataset.set_epoch(1)
    assert [item["key"] for item in loader] != first


def test_members_that_are_not_asked_for_are_not_decoded(run, monkeypatch):
    monkeypatch.setattr("posedreamer.storage.reader.decode_rgb", None)
    monkeypatch.setattr("posedreamer.storage.reader.read_record", None)
    item = next(iter(open_shards(run, fields=["keypoints", "mask"])))
    assert item.keys() == {"key", "keypoints", "mask"}


def test_a_path_may_be_a_run_a_folder_a_tar_a_glob_or_braces(run, expected_keys):
    unfinished = f"{run}/shards/{NUM_SHARDS:06d}.tar"
    assert set(keys_of(open_shards(run, fields=()))) == expected_keys
    assert len(open_shards(run / "shards").tars) == NUM_SHARDS + 1
    assert open_shards(unfinished).tars == [unfinished]
    assert len(open_shards(f"{run}/shards/00000[0-2].tar").tars) == 3
    assert open_shards(f"{run}/{{shards,rejects}}/{{000001..000002}}.tar").tars == [
        f"{run}/{folder}/00000{shard}.tar" for folder in ("shards", "rejects") for shard in (1, 2)
    ]
    assert set(keys_of(open_shards(f"file://{run}", fields=()))) == expected_keys
    assert set(keys_of(open_shards(f"file://{run}/shards/00000[0-4].tar", fields=()))) == expected_keys


def test_wrong_arguments_are_refused(run, tmp_path):
    with pytest.raises(ValueError, match="no tar found"):
        open_shards(tmp_path)
    with pytest.raises(ValueError, match=r"unknown fields \['joints2d'\]"):
        open_shards(run, fields=["joints2d"])
    with pytest.raises(ValueError, match="got shuffle -1"):
        open_shards(run, shuffle=-1)


def test_a_truncated_shard_is_an_error_that_names_it(run, tmp_path):
    whole = (run / "shards/000000.tar").read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.tar: byte \d+, after member 3f9c2a17-r00-000000-\d+.*: .*truncated"):
        list(open_shards(cut))


def test_import_posedreamer_imports_no_torch():
    code = "import sys, posedreamer; assert 'torch' not in sys.modules; posedreamer.open_shards; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONWARNINGS": ""})
