"""A curated run: the same samples under the same keys, byte for byte, and nothing else."""

import hashlib
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from pose_runs import Draw, write_run

from posedreamer.curation.domain import curate, index_poses
from posedreamer.curation.membership import library_poses
from posedreamer.curation.pose_distance import MIRROR, PoseSet
from posedreamer.geometry.rotations import compose_rotvec, mirror_rotvec
from posedreamer.stages.sampling.library import load_library
from posedreamer.storage.index import read_index
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.shard import read_groups_of, read_shard
from posedreamer.storage.stats import finished_shards, read_stats

LIBRARY = load_library()
NAMED = list(LIBRARY.poses.values())[::3]  # enough of every family, in a third of the time
TURN = np.array([0.0, 2.0, 0.0])


def library_draws(**changes):
    return [
        Draw(pose.body_pose, compose_rotvec(TURN, pose.global_orient), (pose.family, pose.name), **changes)
        for pose in NAMED
    ]


def groups(run_dir):
    return {
        key: members for path in sorted((run_dir / "shards").glob("*.tar")) for key, members in read_groups_of(path)
    }


def tree_hash(run_dir):
    return {
        str(path.relative_to(run_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run_dir.rglob("*"))
        if path.is_file()
    }


def test_yoga_samples_only_and_all_of_them_unchanged(tmp_path):
    run_dir = write_run(tmp_path / "run", library_draws())
    report = curate(run_dir, "yoga", tmp_path / "out", shard_size=10)
    source, taken = groups(run_dir), groups(tmp_path / "out")
    rows = read_index(run_dir)
    expected = {
        key for key, tags in zip(rows["key"].to_pylist(), rows["tags"].to_pylist(), strict=True) if "yoga" in tags
    }
    assert taken == {key: source[key] for key in expected}
    assert report.taken == len(expected) == sum(pose.family == "yoga" for pose in NAMED)
    assert report.why == {"tags": len(expected), "other_family": len(NAMED) - len(expected)}


def test_the_index_holds_the_rows_of_what_was_taken(tmp_path):
    run_dir = write_run(tmp_path / "run", library_draws())
    curate(run_dir, "yoga", tmp_path / "out", shard_size=10)
    source = {row["key"]: row for row in read_index(run_dir).to_pylist()}
    rows = read_index(tmp_path / "out").to_pylist()
    assert {row["key"] for row in rows} == set(groups(tmp_path / "out"))
    for row in rows:
        moved = {"shard", "place"}
        assert {k: v for k, v in row.items() if k not in moved} == {
            k: v for k, v in source[row["key"]].items() if k not in moved
        }
    for shard in finished_shards(tmp_path / "out"):
        stats, own = read_stats(tmp_path / "out", shard), [row for row in rows if row["shard"] == shard]
        assert stats.attempted == stats.kept == len(own)
        assert [row["place"] for row in own] == list(range(len(own)))
        assert {row["round"] for row in own} == {stats.round}
        tar = tmp_path / "out" / f"shards/{shard:06d}.tar"
        assert [sample.key for sample in read_shard(tar)] == [row["key"] for row in own]


def test_rejected_samples_are_never_taken(tmp_path):
    run_dir = write_run(tmp_path / "run", [*library_draws(), *library_draws(status="rejected")])
    report = curate(run_dir, "yoga", tmp_path / "out")
    assert report.kept_in_source == len(NAMED)
    assert set(read_index(tmp_path / "out")["status"].to_pylist()) == {"kept"}


def test_motion_frames_are_found_by_their_joints_from_any_side_and_mirrored(tmp_path):
    draws = library_draws(source="motion:clip.npz")
    frames = [draw._replace(tags=("clip",)) for draw in draws]
    flipped = [
        frame._replace(
            body_pose=mirror_rotvec(frame.body_pose[MIRROR]), global_orient=mirror_rotvec(frame.global_orient)
        )
        for frame in frames
    ]
    report = curate(write_run(tmp_path / "run", [*frames, *flipped]), "yoga", tmp_path / "out")
    assert report.why["near"] == report.taken == 2 * sum(pose.family == "yoga" for pose in NAMED)
    table = pq.read_table(tmp_path / "out" / "curation.parquet")
    assert max(table["joints_deg"].to_pylist()) < 0.01
    assert {LIBRARY.poses[name].family for name in table["nearest"].to_pylist()} == {"yoga"}


def test_poses_of_the_index_are_those_of_the_world_whatever_the_camera(tmp_path):
    expected = PoseSet(*(part[::3] for part in library_poses(LIBRARY)))
    found = index_poses(read_index(write_run(tmp_path / "run", library_draws())))
    assert np.allclose(found.body_pose, expected.body_pose, atol=1e-6)
    assert np.allclose(found.up, expected.up, atol=1e-5)


def test_run_json_says_what_was_done_and_keeps_the_source(tmp_path):
    run_dir = write_run(tmp_path / "run", library_draws())
    curate(run_dir, "yoga", tmp_path / "out")
    source, manifest = read_manifest(run_dir), read_manifest(tmp_path / "out")
    derived = manifest.pop("derived")
    assert manifest == source
    assert derived["domain"]["families"] == ["yoga"]
    (copy,) = (tmp_path / "out" / "sources").iterdir()
    assert json.loads(copy.read_text()) == source
    assert derived["sources"][0]["run_json_sha256"] == hashlib.sha256(copy.read_bytes()).hexdigest()


def test_the_same_again_gives_the_same_bytes_and_another_domain_is_refused(tmp_path):
    run_dir = write_run(tmp_path / "run", library_draws())
    curate(run_dir, "yoga", tmp_path / "out")
    before = tree_hash(tmp_path / "out")
    curate(run_dir, "yoga", tmp_path / "out")
    assert tree_hash(tmp_path / "out") == before
    (tmp_path / "sport.yaml").write_text("title: s\nfamilies: [sport]\nsimilarity: {joints_deg: 5, tilt_deg: 5}\n")
    with pytest.raises(ValueError, match=r"derived\.domain\.name"):
        curate(run_dir, tmp_path / "sport.yaml", tmp_path / "out")
    assert tree_hash(tmp_path / "out") == before


def test_a_subset_of_a_subset_keeps_every_source(tmp_path):
    run_dir = write_run(tmp_path / "run", library_draws())
    curate(run_dir, "yoga", tmp_path / "once")
    report = curate(tmp_path / "once", "yoga", tmp_path / "twice")
    assert groups(tmp_path / "twice") == groups(tmp_path / "once")
    assert report.why == {"tags": report.taken}
    assert len(list((tmp_path / "twice" / "sources").iterdir())) == 2


def test_nothing_of_the_domain_is_said_and_nothing_is_written(tmp_path):
    run_dir = write_run(tmp_path / "run", [draw for draw in library_draws() if "yoga" not in draw.tags])
    with pytest.raises(ValueError, match=r"none of \d+ kept samples belongs to yoga; the nearest"):
        curate(run_dir, "yoga", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_without_kept_samples_is_said_too(tmp_path):
    run_dir = write_run(tmp_path / "run", library_draws(status="rejected"))
    with pytest.raises(ValueError, match="none of 0 kept samples"):
        curate(run_dir, "yoga", tmp_path / "out")


def test_a_tar_that_lacks_an_indexed_sample_stops_the_work(tmp_path):
    run_dir = write_run(tmp_path / "run", library_draws())
    empty = b"\0" * 1024
    for path in (run_dir / "shards").glob("*.tar"):
        path.write_bytes(empty)
    with pytest.raises(ValueError, match="no tar holds them"):
        curate(run_dir, "yoga", tmp_path / "out")
