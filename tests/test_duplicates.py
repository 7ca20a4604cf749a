"""Near copies are found wherever they stand and only the first stays; what is merely alike is no copy."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import ROOT, posedreamer

from posedreamer.bodies.catalog import load_body
from posedreamer.duplicates import (
    HASH_BITS,
    LEAST_COSINE,
    close_pairs,
    find_duplicates,
    kept_pictures,
    picture_hash,
    reject_duplicates,
)
from posedreamer.refilter import changed_verdicts
from posedreamer.sample import Picture, make_key
from posedreamer.stages.filtering.stage import FilteringStage
from posedreamer.storage.index import read_index
from posedreamer.storage.manifest import open_run
from posedreamer.storage.provenance import describe_body, make_manifest
from posedreamer.storage.shard import write_shard
from posedreamer.storage.stats import read_stats

sys.path.append(str(Path(__file__).parent / "report"))
from report_runs import CONFIG, make_sample


def test_close_pairs_are_those_that_every_comparison_finds():
    """Against comparing each with each, on hashes that are few bits apart."""
    rng = np.random.default_rng(0)
    hashes = []
    for centre in rng.integers(0, 2**63, 12).tolist():
        for flips in range(HASH_BITS + 4):
            value = centre
            for bit in rng.choice(64, flips, replace=False).tolist():
                value ^= 1 << bit
            hashes.append(value)
    named = [(str(place), hashes[place]) for place in rng.permutation(len(hashes))]
    expected = {
        (later, earlier)
        for place, (later, value) in enumerate(named)
        for earlier, other in named[:place]
        if (value ^ other).bit_count() <= HASH_BITS
    }
    assert set(close_pairs(iter(named))) == expected and len(expected) > 50


def test_of_many_equal_hashes_each_is_paired_with_the_first():
    assert close_pairs(iter([("a", 5), ("b", 5), ("c", 5)])) == [("b", "a"), ("c", "a")]


def test_the_hash_forgives_what_copying_does(copies):
    original = picture_hash(copies[0])
    assert all((picture_hash(copy) ^ original).bit_count() <= HASH_BITS for copy in copies)
    assert (picture_hash(copies[0][:, ::-1].copy()) ^ original).bit_count() > HASH_BITS


@pytest.fixture(scope="module")
def copies() -> list[np.ndarray]:
    """A picture as it is, a little brighter, from a JPEG of quality 80, and enlarged and reduced again."""
    rgb = pictures()[0]
    jpeg = cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)
    resized = cv2.resize(cv2.resize(rgb, None, fx=1.3, fy=1.3), rgb.shape[1::-1], interpolation=cv2.INTER_AREA)
    return [rgb, (rgb * 0.97 + 6).astype(np.uint8), np.asarray(jpeg), resized]


def pictures() -> list[np.ndarray]:
    """Those of the sample run."""
    return [rgb for _, rgb in kept_pictures(ROOT / "shards" / "sample")]


def test_the_sample_run_repeats_nothing():
    assert posedreamer("duplicates", str(ROOT / "shards" / "sample")).strip() == "0 duplicates"


@pytest.fixture
def run(tmp_path, copies):
    """Two shards: three pictures; then a copy of the first, another picture, and a copy of the second's copy."""
    body = load_body()
    open_run(tmp_path, make_manifest(CONFIG.identity(), CONFIG.hash, body, {}))
    others = pictures()[1:]
    shown = [[copies[0], others[0], others[1]], [copies[1], others[2], copies[2]]]
    for shard, row in enumerate(shown):
        samples = []
        for place, rgb in enumerate(row):
            sample = make_sample(make_key(CONFIG.key_hash, 0, shard, place), "kept", None, 0.9, place, "xyz")
            samples.append(
                replace(sample, image=Picture(cv2.resize(rgb, (48, 48), interpolation=cv2.INTER_AREA), "test", 0))
            )
        write_shard(tmp_path, shard, 0, samples, {}, body=describe_body(body))
    return tmp_path


def test_copies_across_shards_are_rejected_but_for_the_first_and_stay_so(run):
    keys = read_index(run).column("key").to_pylist()
    found = find_duplicates(run)
    assert [(one.key, one.original) for one in found] == [(keys[3], keys[0]), (keys[5], keys[0])]
    assert all(one.cosine > LEAST_COSINE for one in found)
    reject_duplicates(run, found)
    index = read_index(run)
    reasons = dict(zip(index.column("key").to_pylist(), index.column("reason").to_pylist(), strict=True))
    assert {key for key, reason in reasons.items() if reason == "duplicate"} == {keys[3], keys[5]}
    assert (read_stats(run, 1).kept, read_stats(run, 1).rejected) == (1, 2)
    assert find_duplicates(run) == []
    assert changed_verdicts(index, FilteringStage([]), "here") == {}  # which keeps whatever it is asked about
