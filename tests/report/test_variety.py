"""Closed forms of variety: poses that do not differ but in where they look are one pose; pieces change nothing; balance is of entropy."""

import numpy as np
import pytest
from commands import ROOT
from scipy.spatial.transform import Rotation

from posedreamer.geometry.skeletons import NUM_BODY_JOINTS
from posedreamer.metrics.pose import in_body_frame, pck
from posedreamer.report.statistics import run_statistics
from posedreamer.report.variety import balance, kept_joints, pose_std_mm
from posedreamer.storage.index import read_index
from posedreamer.storage.stats import finished_shards

SAMPLE = ROOT / "shards" / "sample"


def test_turned_and_moved_it_is_the_same_pose():
    rng = np.random.default_rng(0)
    body = rng.normal(size=(NUM_BODY_JOINTS, 3))
    body -= body[0]
    turns = Rotation.random(5, rng=rng)
    joints = np.stack([turn.apply(body) for turn in turns]) + rng.normal(size=(5, 1, 3))
    found = in_body_frame(joints, turns.as_rotvec())
    np.testing.assert_allclose(found, np.broadcast_to(body, found.shape), atol=1e-9)
    assert pose_std_mm([found]) == pytest.approx(0, abs=1e-3)


def test_pieces_change_nothing_and_it_is_the_standard_deviation():
    joints = np.random.default_rng(0).normal(size=(50, NUM_BODY_JOINTS, 3))
    expected = 1000 * joints.std(axis=0).mean()
    assert pose_std_mm([joints]) == pytest.approx(expected)
    assert pose_std_mm([joints[:7], joints[7:7], joints[7:]]) == pytest.approx(expected, rel=1e-12)
    assert pose_std_mm([joints[:1]]) is None


def test_balance_in_closed_form():
    assert balance(["a", "b", "a", "b"]) == pytest.approx(1)
    assert balance(["a"] * 3 + ["b"]) == pytest.approx(0.8112781)
    assert balance(["a", "a"]) == 0


def test_points_near_enough_are_counted():
    found = np.array([[[0.0, 0], [3, 4], [9, 0], [0, 99]]])
    counts = np.array([[True, True, True, False]])
    assert pck(found, np.zeros_like(found), counts, np.array([10.0]), 0.5) == pytest.approx(2 / 3)
    assert np.isnan(pck(found, np.zeros_like(found), ~counts & False, np.array([10.0]), 0.5)).all()


def test_the_sample_run_tells_its_variety():
    statistics = run_statistics(SAMPLE)["variety"]
    kept = sum(len(kept_joints(SAMPLE, shard)) for shard in finished_shards(SAMPLE))
    assert kept == read_index(SAMPLE).column("status").to_pylist().count("kept")
    assert 20 < statistics["pose_std_mm"] < 400 and 0 < statistics["balance"]["top_color"] <= 1
