import errno
import json
from dataclasses import replace

import numpy as np
import pytest

from posedreamer.sample import Sample, Verdict
from posedreamer.storage import shard as shard_module
from posedreamer.storage.codec import encode_samples
from posedreamer.storage.index import read_index, samples_to_table
from posedreamer.storage.shard import read_groups_of, read_shard, write_shard, write_shard_files
from posedreamer.storage.stats import finished_shards, is_done, read_stats


@pytest.fixture
def samples(make_sample):
    return [
        make_sample(0),
        make_sample(1, "rejected"),
        make_sample(2),
        Sample("3f9c2a17-r00-000000-0003", 7, verdict=Verdict("failed", "bad_pose: NaN in body_pose")),
        replace(make_sample(4, "rejected"), image=None),
    ]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_written_is_read(tmp_path, samples, body_record):
    stats = write_shard(tmp_path, 12, 1, samples, {"sampling": 2.5}, body=body_record, image_format="png")
    assert stats == read_stats(tmp_path, 12)
    assert (stats.attempted, stats.kept, stats.rejected, stats.failed) == (5, 2, 2, 1)
    assert stats.reasons == {"bad_pose": 1, "oks_low": 2}
    kept = list(read_shard(tmp_path / "shards/000012.tar"))
    assert encode_samples(kept) == encode_samples([samples[0], samples[2]])
    rejected = list(read_shard(tmp_path / "rejects/000012.tar"))
    assert encode_samples(rejected) == encode_samples([samples[1]])
    assert finished_shards(tmp_path) == [12]


def test_two_writes_give_the_same_bytes_but_for_the_seconds(tmp_path, samples, body_record):
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        write_shard(tmp_path / name, 0, 0, samples, {"sampling": seconds}, body=body_record)
    a, b = contents(tmp_path / "a"), contents(tmp_path / "b")
    stats_a, stats_b = (json.loads(files.pop("shards/000000.json")) for files in (a, b))
    assert a == b
    assert a.keys() == {"rejects/000000.tar", "shards/000000.tar", "shards/000000.parquet"}
    assert stats_a.pop("seconds") != stats_b.pop("seconds")
    assert stats_a == stats_b


def test_a_shard_that_keeps_nothing_has_no_tar_even_after_an_earlier_attempt(tmp_path, samples, body_record):
    write_shard(tmp_path, 0, 0, samples, {}, body=body_record)
    stats = write_shard(tmp_path, 0, 0, [samples[1]], {}, body=body_record, keep_rejects=False)
    assert contents(tmp_path).keys() == {"shards/000000.parquet", "shards/000000.json"}
    assert stats.sha256.keys() == {"shards/000000.parquet"}
    assert is_done(tmp_path, 0)


@pytest.mark.parametrize("fails_at", [0, 1, 2, 3])
def test_a_write_that_is_killed_leaves_no_done_mark_and_the_next_one_completes_it(
    tmp_path, samples, body_record, monkeypatch, fails_at
):
    write_shard(tmp_path / "whole", 0, 0, samples, {}, body=body_record)
    written = []

    def dying_write(path, data):
        if len(written) == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        shard_module_write(path, data)

    shard_module_write = shard_module.write_file
    monkeypatch.setattr(shard_module, "write_file", dying_write)
    with pytest.raises(OSError, match="No space"):
        write_shard(tmp_path / "run", 0, 0, samples, {}, body=body_record)
    assert len(written) == fails_at
    assert finished_shards(tmp_path / "run") == []
    assert read_index(tmp_path / "run").num_rows == 0
    monkeypatch.undo()
    write_shard(tmp_path / "run", 0, 0, samples, {}, body=body_record)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_failed_repeat_of_a_finished_shard_costs_nothing_unless_it_differs(
    tmp_path, samples, body_record, monkeypatch
):
    write_shard(tmp_path, 0, 0, samples, {}, body=body_record)
    before = contents(tmp_path)

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shard_module, "write_file", full)
    with pytest.raises(OSError, match="No space"):
        write_shard(tmp_path, 0, 0, samples, {}, body=body_record)
    assert contents(tmp_path) == before
    with pytest.raises(OSError, match="No space"):
        write_shard(tmp_path, 0, 0, samples[:2], {}, body=body_record)
    assert not is_done(tmp_path, 0)


def test_a_derived_shard_copies_members_byte_for_byte(tmp_path, samples, body_record):
    write_shard(tmp_path / "a", 0, 0, samples, {}, body=body_record)
    members = [
        (f"{key}.{suffix}", data)
        for key, group in read_groups_of(tmp_path / "a/shards/000000.tar")
        for suffix, data in group.items()
    ]
    table = samples_to_table([samples[0], samples[2]], 0, 0)
    write_shard_files(tmp_path / "b", 0, 0, members, [], table, {})
    assert (tmp_path / "a/shards/000000.tar").read_bytes() == (tmp_path / "b/shards/000000.tar").read_bytes()


def test_samples_without_a_verdict_and_repeated_keys_are_refused(tmp_path, samples, make_sample, body_record):
    with pytest.raises(ValueError, match=r"shard 000000: samples without a verdict: \['3f9c2a17-r00-000000-0009'\]"):
        write_shard(tmp_path, 0, 0, [make_sample(9, "pending")], {}, body=body_record)
    with pytest.raises(ValueError, match="keys come twice"):
        write_shard(tmp_path, 0, 0, [samples[0], samples[0]], {}, body=body_record)
    assert contents(tmp_path) == {}


def test_stats_that_do_not_add_up_are_refused(tmp_path, samples, body_record):
    write_shard(tmp_path, 0, 0, samples, {}, body=body_record)
    path = tmp_path / "shards/000000.json"
    path.write_text(path.read_text().replace('"kept": 2', '"kept": 3'))
    with pytest.raises(ValueError, match="attempted 5, expected 3 kept"):
        read_stats(tmp_path, 0)


def test_a_run_may_live_at_a_url(samples, body_record):
    stats = write_shard("memory://shard/run", 0, 0, samples, {}, body=body_record, image_format="png")
    assert read_stats("memory://shard/run", 0) == stats
    (first, _) = read_shard("memory://shard/run/shards/000000.tar")
    np.testing.assert_array_equal(first.image.rgb, samples[0].image.rgb)
    assert read_index("memory://shard/run").num_rows == 5
