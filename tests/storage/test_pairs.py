"""Preference pairs: what goes in comes back, bytes and all; other things are refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posedreamer.sample import Picture, Sample
from posedreamer.storage.codec import sample_to_members
from posedreamer.storage.pairs import pair_to_members, read_pair_facts, read_pairs, write_pairs
from posedreamer.storage.shard import read_groups_of


def candidate(sample: Sample, number: int) -> Sample:
    """Another picture of the sample's label."""
    rgb = np.random.default_rng(number).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    return replace(sample, key=f"{sample.key}-c{number}", image=Picture(rgb, "nano@abc", number, number))


def stored(sample: Sample, body: dict[str, str]) -> dict[str, bytes]:
    return {name.partition(".")[2]: data for name, data in sample_to_members(sample, "png", body)}


def test_pairs_come_back_as_the_samples_they_were_made_of(tmp_path: Path, make_sample, body_record) -> None:
    better, worse = (candidate(make_sample(3, status), number) for status, number in (("kept", 5), ("rejected", 2)))
    members = [stored(sample, body_record) for sample in (better, worse)]
    write_pairs(tmp_path, 7, [pair_to_members(*members, "here")], {"labels": 1})
    (pair,) = read_pairs(tmp_path / "pairs" / "000007.tar")
    assert pair.key == f"{make_sample(3).key}-c5-c2"
    for found, members_of, sent in zip((pair.chosen, pair.rejected), members, (better, worse), strict=True):
        assert stored(found, body_record) == members_of
        assert found.verdict == sent.verdict
    assert read_pair_facts(tmp_path, 7)["labels"] == 1 and read_pair_facts(tmp_path, 8) is None
    first = (tmp_path / "pairs" / "000007.tar").read_bytes()
    write_pairs(tmp_path, 7, [pair_to_members(*members, "here")], {"labels": 1})
    assert (tmp_path / "pairs" / "000007.tar").read_bytes() == first
    write_pairs(tmp_path, 7, [], {"labels": 1})
    assert not (tmp_path / "pairs" / "000007.tar").exists()


def test_the_label_is_stored_once(tmp_path: Path, make_sample, body_record) -> None:
    pair = [stored(candidate(make_sample(1), number), body_record) for number in (0, 1)]
    write_pairs(tmp_path, 0, [pair_to_members(*pair, "here")], {})
    ((_, members),) = read_groups_of(tmp_path / "pairs" / "000000.tar")
    assert list(members) == [
        "chosen.png",
        "rejected.png",
        "json",
        "label.npz",
        "condition.png",
        "mask.png",
        "depth.png",
    ]
    record = json.loads(members["json"])
    assert (record["chosen"]["candidate"], record["rejected"]["candidate"]) == (0, 1)
    assert "scores" not in record and record["prompt"] == "a person in a red top"


def test_samples_of_two_labels_are_no_pair(make_sample, body_record) -> None:
    one, other = (stored(candidate(make_sample(place), place), body_record) for place in (0, 1))
    with pytest.raises(ValueError, match="no candidates of one label"):
        pair_to_members(one, other, "here")
    with pytest.raises(ValueError, match="no candidates of one label"):
        pair_to_members(one, one, "here")
    moved = {**stored(candidate(make_sample(0), 1), body_record), "label.npz": other["label.npz"]}
    with pytest.raises(ValueError, match=r"label.npz.* differ"):
        pair_to_members(one, moved, "here")


def test_a_shard_of_samples_is_no_tar_of_pairs(true_run: Path) -> None:
    with pytest.raises(ValueError, match="is this a tar of pairs"):
        list(read_pairs(true_run / "shards" / "000000.tar"))


def test_candidates_of_two_prompts_are_no_pair(make_sample, body_record) -> None:
    one, other = candidate(make_sample(0), 0), candidate(make_sample(0), 1)
    other = replace(other, prompt=replace(other.prompt, text="a dancer"))
    with pytest.raises(ValueError, match=r"\['prompt'\] differ"):
        pair_to_members(stored(one, body_record), stored(other, body_record), "here")
    cut = {name: data for name, data in stored(other, body_record).items() if name != "mask.png"}
    with pytest.raises(ValueError, match=r"here: a candidate has no mask\.png"):
        pair_to_members(stored(one, body_record), cut, "here")
