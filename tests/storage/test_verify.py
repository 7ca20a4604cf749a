import json
from dataclasses import replace

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.sample import Sample, Verdict
from posedreamer.storage.index import read_shard_index
from posedreamer.storage.provenance import describe_body
from posedreamer.storage.shard import read_groups_of, write_shard, write_shard_files
from posedreamer.storage.verify import verify_run


def rewrite(run, true_samples, edit):
    """The run with an untrue second sample, written anew: every hash, count and row fits it."""
    samples = [true_samples[0], edit(true_samples[1]), *true_samples[2:]]
    write_shard(run, 0, 0, samples, {}, body=describe_body(load_body()))


def rewrite_members(run, edit):
    """The run with the kept tar's members [(name, content)] edited, and its hash computed anew."""
    tars = {}
    for folder in ("shards", "rejects"):
        groups = read_groups_of(run / folder / "000000.tar")
        tars[folder] = [(f"{key}.{suffix}", data) for key, group in groups for suffix, data in group.items()]
    write_shard_files(run, 0, 0, edit(tars["shards"]), tars["rejects"], read_shard_index(run, 0), {})


def verify(run):
    return verify_run(run, load_body())


def test_a_true_run_is_true(true_run):
    report = verify(true_run)
    assert report.is_true
    assert (report.shards, report.samples, report.problems, report.unfinished) == (1, 4, (), ())
    assert str(report) == "4 samples in 1 shards: 100 % true"


@pytest.mark.parametrize("name", ["shards/000000.tar", "rejects/000000.tar", "shards/000000.parquet"])
def test_any_changed_byte_is_noticed(true_run, name):
    path = true_run / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    report = verify(true_run)
    assert not report.is_true
    assert any(problem.where == name and problem.reason.startswith("sha256") for problem in report.problems)


def turned(sample):
    body_pose = sample.label.parameters.body_pose.copy()
    body_pose[17, 0] += 0.02
    return with_label(sample, parameters=replace(sample.label.parameters, body_pose=body_pose))


def with_label(sample, **changes):
    return replace(sample, label=replace(sample.label, **changes))


def moved(sample):
    parameters = sample.label.parameters
    return with_label(sample, parameters=replace(parameters, transl=parameters.transl + np.array([0.005, 0, 0], "f4")))


def without_a_column(sample):
    mask = sample.condition.mask.copy()
    mask[:, np.flatnonzero(mask.any(axis=0))[-1]] = False
    return replace(sample, condition=replace(sample.condition, mask=mask))


def in_swapped_size(sample):
    return with_label(sample, width=sample.label.height, height=sample.label.width)


def with_wide_image(sample):
    return replace(sample, image=replace(sample.image, rgb=sample.image.rgb.transpose(1, 0, 2).copy()))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (turned, "joints_cam: "),
        (moved, "joints_cam: "),
        (without_a_column, "mask: "),
        (in_swapped_size, "size: json says height, width (96, 128)"),
        (with_wide_image, "size: json says height, width (128, 96); {'jpg': (96, 128)}"),
        (lambda sample: with_label(sample, bbox=sample.label.bbox + np.float32(1)), "bbox: "),
        (lambda sample: with_label(sample, K=sample.label.K * np.array([[1.01], [1.0], [1.0]])), "keypoints: "),
    ],
)  # fmt: skip
def test_an_untrue_label_is_found_though_every_hash_fits(true_run, true_samples, edit, reason):
    rewrite(true_run, true_samples, edit)
    report = verify(true_run)
    assert report.bad_keys == [true_samples[1].key]
    assert any(problem.reason.startswith(reason) for problem in report.problems), report
    assert true_samples[1].key in str(report)


def test_rejected_samples_are_checked_too(true_run, true_samples):
    samples = [*true_samples[:3], turned(true_samples[3])]
    write_shard(true_run, 0, 0, samples, {}, body=describe_body(load_body()))
    assert verify(true_run).bad_keys == [true_samples[3].key]


@pytest.mark.parametrize(
    ("suffix", "old", "new", "reason"),
    [
        ("json", b'"oks": 0.9', b'"oks": 0.8', "score_oks: the index says 0.9, the json 0.8"),
        ("json", b'"oks": 0.9', b'"iou": 0.9', "scores of the index that the json lacks: ['score_oks']"),
        ("json", b'"tree"', b'"boat"', "tags: "),
        ("json", b'"shirt"', b'"skirt"', "attributes: "),
        ("json", b'"seed": 1', b'"seed": 2', "seed: "),
        ("json", b'"kept"', b'"rejected"', "json: key"),
        ("json", b'"neutral"', b'"female"', "json: body"),
        ("json", b'"condition": "xyz"', b'"condition": "zyx"', "json: key"),
        ("json", b'"width"', b'"breadth"', "record: json: missing or unknown fields"),
        ("mask.png", None, b"", "mask.png: 0 bytes"),
        ("label.npz", None, b"PK", "label.npz: not a readable npz"),
        ("jpg", None, b"\xff\xd8", "jpg: 2 bytes"),
    ],
)
def test_a_member_that_contradicts_the_index_or_the_schema_is_found(true_run, true_samples, suffix, old, new, reason):
    name = f"{true_samples[1].key}.{suffix}"

    def edit(members):
        replaced = [(n, (new if old is None else data.replace(old, new)) if n == name else data) for n, data in members]
        assert replaced != members
        return replaced

    rewrite_members(true_run, edit)
    report = verify(true_run)
    assert report.bad_keys == [true_samples[1].key]
    assert any(problem.reason.startswith(reason) for problem in report.problems), report


def test_arrays_of_another_row_are_found(true_run, true_samples):
    # The labels of both kept samples are true, but stand under each other's key.
    def edit(members):
        by_name = dict(members)
        keys = [sample.key for sample in true_samples[:2]]
        mirror = dict(zip(keys, reversed(keys), strict=True))
        return [(name, by_name[f"{mirror[name.partition('.')[0]]}.{name.partition('.')[2]}"]) for name, _ in members]

    rewrite_members(true_run, edit)
    report = verify(true_run)
    assert report.bad_keys == [sample.key for sample in true_samples[:2]]
    assert any(problem.reason == "betas: the index says otherwise than label.npz" for problem in report.problems)


def test_missing_samples_members_and_order_are_found(true_run, true_samples):
    first, second = true_samples[0].key, true_samples[1].key
    rewrite_members(true_run, lambda members: members[:6])
    assert [(problem.key, problem.reason) for problem in verify(true_run).problems] == [
        (second, "kept in the index, but not in the tar")
    ]
    write_shard(true_run, 0, 0, true_samples, {}, body=describe_body(load_body()))
    rewrite_members(true_run, lambda members: members[6:] + members[:6])
    assert "order" in str(verify(true_run))
    write_shard(true_run, 0, 0, true_samples, {}, body=describe_body(load_body()))
    rewrite_members(true_run, lambda members: [member for member in members if member[0] != f"{first}.depth.png"])
    assert verify(true_run).bad_keys == [first]


def test_a_pickle_in_a_tar_is_reported_not_read(true_run, true_samples):
    key = true_samples[1].key
    rewrite_members(true_run, lambda members: [*members, (f"{key}.label.pkl", b"cos\nsystem\n")])
    report = verify(true_run)
    assert "pickles are never read" in str(report)


def test_a_truncated_tar_is_reported_with_its_byte_and_the_keys_it_lost(true_run, true_samples):
    path = true_run / "shards/000000.tar"
    path.write_bytes(path.read_bytes()[:8000])
    report = verify(true_run)
    assert true_samples[1].key in report.bad_keys
    assert any("truncated" in problem.reason for problem in report.problems)


@pytest.mark.parametrize("name", ["shards/000000.tar", "rejects/000000.tar", "shards/000000.parquet"])
def test_a_missing_file_is_reported(true_run, name):
    (true_run / name).unlink()
    assert any(problem.where == name and "not there" in problem.reason for problem in verify(true_run).problems)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("kept", 3, "attempted 5, expected 3 kept"),
        ("round", 1, "round: not what"),
        ("reasons", {}, "reasons: the index has"),
        ("sha256", {}, "expected no such file"),
    ],
)
def test_counts_that_do_not_fit_are_reported(true_run, field, value, reason):
    path = true_run / "shards/000000.json"
    stats = json.loads(path.read_text())
    stats[field] = value
    path.write_text(json.dumps(stats))
    report = verify(true_run)
    assert not report.is_true
    assert reason in str(report)


def test_a_key_in_two_shards_is_reported(true_run, true_samples):
    write_shard(true_run, 1, 0, true_samples[:1], {}, body=describe_body(load_body()))
    report = verify(true_run)
    assert [(problem.key, problem.reason) for problem in report.problems] == [
        (true_samples[0].key, "also in an earlier shard")
    ]


def test_unfinished_shards_are_named_but_no_untruth(true_run):
    (true_run / "shards/000001.tar").write_bytes(b"half")
    report = verify(true_run)
    assert report.is_true
    assert report.unfinished == ("shards/000001.tar",)


def test_a_shard_of_failures_is_true_and_a_run_without_shards_is_not(true_run):
    write_shard(true_run, 0, 0, [Sample("k", 0, verdict=Verdict("failed", "bad"))], {}, body={})
    assert verify(true_run).is_true
    for path in (true_run / "shards").iterdir():
        path.unlink()
    assert not verify(true_run).is_true


def test_another_body_or_no_run_is_refused(true_run, tmp_path):
    manifest = json.loads((true_run / "run.json").read_text())
    manifest["body"]["sha256"] = "0"
    (true_run / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="was made with the body"):
        verify(true_run)
    with pytest.raises(ValueError, match="is not a run"):
        verify(tmp_path / "nothing")
