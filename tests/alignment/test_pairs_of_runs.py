"""Which candidates make a pair, against the naive rule; and the pairs of a run."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedreamer.alignment.pairs import PairRule, choose_pairs, make_pairs
from posedreamer.bodies.catalog import load_body
from posedreamer.sample import Condition, Label, Picture, Prompt, Sample, Verdict, make_key
from posedreamer.storage.arrays import LABEL_ARRAYS, arrays_to_label
from posedreamer.storage.manifest import open_run
from posedreamer.storage.pairs import read_pairs
from posedreamer.storage.provenance import make_manifest
from posedreamer.storage.shard import write_shard

BODY = {"name": "open", "sha256": "0" * 64, "gender": "neutral", "hands": "flat_hand_mean=False"}
SCORES = st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.3, 0.5, 0.54, 0.55, 0.56, 0.9])), max_size=6)


@given(scores=SCORES)
def test_best_against_worst_as_the_paper_does_it(scores: list[float | None]) -> None:
    choice = choose_pairs({f"k-c{n}": [score] for n, score in enumerate(scores)}, PairRule())
    known = [score for score in scores if score is not None]
    if len(known) < 2:
        assert choice.reason == "too_few"
    elif max(known) < 0.5:
        assert choice.reason == "winner_poor"
    elif max(known) - min(known) < 0.05:
        assert choice.reason == "gap_small"
    else:
        ((chosen, rejected),) = choice.pairs
        assert scores[int(chosen[3:])] == max(known) and scores[int(rejected[3:])] == min(known)


@given(scores=SCORES, most=st.one_of(st.none(), st.integers(1, 9)))
def test_more_pairs_are_those_of_the_widest_gaps(scores: list[float | None], most: int | None) -> None:
    choice = choose_pairs({f"k-c{n}": [score] for n, score in enumerate(scores)}, PairRule(most=most))
    gaps = [
        a - b for a, b in itertools.permutations([s for s in scores if s is not None], 2) if a >= 0.5 and a - b >= 0.05
    ]
    found = [scores[int(a[3:])] - scores[int(b[3:])] for a, b in choice.pairs]  # type: ignore[operator]
    assert found == sorted(gaps, reverse=True)[:most]


def test_judges_must_agree() -> None:
    rule = PairRule(scores=("oks", "other"))
    assert choose_pairs({"a": [0.9, 0.2], "b": [0.5, 0.6]}, rule).reason == "judges_disagree"
    assert choose_pairs({"a": [0.9, 0.7], "b": [0.5, 0.6]}, rule).pairs == (("a", "b"),)
    # The best and the worst are not agreed upon; the next pair is.
    assert choose_pairs({"a": [0.9, 0.7], "b": [0.5, 0.6], "c": [0.4, 0.8]}, rule).pairs == (("a", "b"),)
    assert choose_pairs({"a": [0.9, 0.7], "b": [0.5, None]}, rule).reason == "too_few"


def write_run(folder: Path, scores: list[list[float]], keep_rejects: bool = True) -> Path:
    """Shards of two labels each; a label has as many candidates as scores, kept from 0.85 on."""
    open_run(folder, make_manifest({"body": "open"}, "3f9c2a17", load_body(), {}))
    for shard in range(0, len(scores), 2):
        samples = [
            candidate(shard // 2, place, number, score)
            for place, label in enumerate(scores[shard : shard + 2])
            for number, score in enumerate(label)
        ]
        write_shard(folder, shard // 2, 0, samples, {}, body=BODY, keep_rejects=keep_rejects)
    return folder


def candidate(shard: int, place: int, number: int, score: float) -> Sample:
    rng = np.random.default_rng([shard, place])
    arrays = {name: np.zeros(spec.shape, spec.dtype) for name, spec in LABEL_ARRAYS.items()}
    arrays["betas"] = rng.normal(size=10).astype(np.float32)
    label: Label = arrays_to_label(arrays, 8, 8, "library", (("yoga", "dance")[place], "tree"))
    xyz = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    condition = Condition("xyz", xyz, xyz, np.ones((8, 8), bool), np.ones((8, 8), np.uint16))
    rgb = np.full((8, 8, 3), 10 * number, np.uint8)
    verdict = Verdict("kept") if score >= 0.85 else Verdict("rejected", "oks_low")
    return Sample(
        make_key("3f9c2a17", 0, shard, place, number), 7, label, Prompt("a person", {}), condition,
        Picture(rgb, "nano@abc", number, number), {"oks": score}, verdict,
    )  # fmt: skip


def test_the_pairs_of_a_run(tmp_path: Path) -> None:
    run = write_run(tmp_path, [[0.9, 0.2, 0.6], [0.9, 0.88, 0.89], [0.4, 0.1, 0.2], [0.3, 0.9, 0.9]])
    report = make_pairs(run, PairRule())
    assert (report["labels"], report["candidates"], report["pairs"]) == (4, 12, 2)
    assert report["labels_without_pair"] == {"gap_small": 1, "winner_poor": 1}
    assert report["families"] == {"dance": 1, "yoga": 1}
    assert list(report["gap"].values()) == pytest.approx([0.6, 0.625, 0.65, 0.675, 0.7])
    (first,), (second,) = (read_pairs(run / "pairs" / f"00000{shard}.tar") for shard in (0, 1))
    assert (first.chosen.scores["oks"], first.rejected.scores["oks"]) == (0.9, 0.2)
    assert (second.chosen.key[-2:], second.rejected.key[-2:]) == ("c1", "c0")
    assert abs(int(first.rejected.image.rgb.mean()) - 10) <= 1

    written = {path: path.stat().st_mtime_ns for path in (run / "pairs").iterdir()}
    assert make_pairs(run, PairRule()) == report
    assert {path: path.stat().st_mtime_ns for path in (run / "pairs").iterdir()} == written
    assert make_pairs(run, PairRule(least_gap=0.65))["pairs"] == 1
    assert not (run / "pairs" / "000001.tar").exists()


def test_what_pairs_cannot_be_made_of(tmp_path: Path) -> None:
    run = write_run(tmp_path / "thrown", [[0.9, 0.2]], keep_rejects=False)
    with pytest.raises(
        ValueError, match=r"has not stored \['3f9c2a17-r00-000000-0000-c1'\]; pairs need storage.keep_rejects"
    ):
        make_pairs(run, PairRule())
    with pytest.raises(ValueError, match="shard 000000 has no score_oks_second"):
        make_pairs(run, PairRule(scores=("oks", "oks_second")))
    with pytest.raises(ValueError, match="no finished shard"):
        make_pairs(tmp_path / "nothing", PairRule())
