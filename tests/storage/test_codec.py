import json
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedreamer.sample import Prompt, Sample, Verdict
from posedreamer.storage.codec import decode_samples, encode_samples, members_to_sample, sample_to_members


def assert_same(left, right):
    """Equal types, values and array types, all the way down."""
    if is_dataclass(left):
        assert type(left) is type(right)
        for field in fields(left):
            assert_same(getattr(left, field.name), getattr(right, field.name))
    elif isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    else:
        assert left == right


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_travel_is_exact_for_samples_in_any_state(make_sample, data):
    sent = []
    for place in range(data.draw(st.integers(0, 3))):
        kind = data.draw(st.sampled_from(["xyz", "openpose", "depth"]))
        size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
        sample = make_sample(
            place, data.draw(st.sampled_from(["kept", "rejected", "failed", "pending"])), kind, 3, size
        )
        absent = data.draw(st.sets(st.sampled_from(["label", "prompt", "condition", "image"])))
        scores = data.draw(st.dictionaries(TEXT, st.none() | st.floats(allow_nan=False, allow_infinity=False)))
        if "prompt" not in absent:
            sample = replace(sample, prompt=Prompt(data.draw(TEXT), data.draw(st.dictionaries(TEXT, TEXT))))
        sent.append(replace(sample, scores=scores, **dict.fromkeys(absent)))
    received = decode_samples(encode_samples(sent))
    assert len(received) == len(sent)
    for left, right in zip(sent, received, strict=True):
        assert_same(left, right)
    assert encode_samples(received) == encode_samples(sent)


def test_a_score_that_could_not_be_measured_is_none(make_sample):
    sample = replace(make_sample(), scores={"oks": float("nan"), "pve": 0.1 + 0.2})
    (received,) = decode_samples(encode_samples([sample]))
    assert received.scores == {"oks": None, "pve": 0.1 + 0.2}
    with pytest.raises(ValueError, match="score pve is inf"):
        encode_samples([replace(sample, scores={"pve": float("inf")})])


@pytest.mark.parametrize("image_format", ["jpg", "png", "webp"])
def test_released_members_are_those_of_the_contract(make_sample, body_record, image_format):
    sample = make_sample(kind="openpose")
    members = sample_to_members(sample, image_format, body_record)
    suffixes = (image_format, "json", "label.npz", "condition.png", "mask.png", "depth.png")
    assert [name for name, _ in members] == [f"{sample.key}.{suffix}" for suffix in suffixes]
    assert json.loads(members[1][1])["body"] == body_record
    assert sample_to_members(sample, image_format, body_record) == members


def test_a_released_sample_comes_back(make_sample, body_record):
    sample = make_sample()
    members = {name.partition(".")[2]: data for name, data in sample_to_members(sample, "png", body_record)}
    assert_same(members_to_sample(sample.key, members, "shard", None), sample)


def test_jpeg_keeps_a_smooth_picture_close(make_sample, body_record):
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    rgb = np.stack([np.tile(ramp, (64, 1)), np.tile(ramp[:, None], (1, 64)), np.full((64, 64), 90, np.uint8)], axis=-1)
    sample = make_sample(size=(64, 64))
    sample = replace(sample, image=replace(sample.image, rgb=rgb))
    members = {name.partition(".")[2]: data for name, data in sample_to_members(sample, "jpg", body_record)}
    read = members_to_sample(sample.key, members, "shard", None).image.rgb
    assert np.abs(read.astype(int) - rgb).max() <= 6  # quality 95; exchanged channels would differ by 100 and more


def test_a_control_map_that_is_not_stored_is_drawn_again_or_asked_for(make_sample, body_record):
    sample = make_sample(kind="openpose")
    members = {name.partition(".")[2]: data for name, data in sample_to_members(sample, "png", body_record)}
    with pytest.raises(ValueError, match=r"control map \(openpose\) is not stored"):
        members_to_sample(sample.key, members, "shard", None)
    drawn = members_to_sample(sample.key, members, "shard", lambda kind, label: sample.condition.control)
    assert_same(drawn, sample)


def test_what_a_shard_cannot_hold_is_refused(make_sample, body_record):
    sample = make_sample()
    with pytest.raises(ValueError, match=r"0000: a stored sample needs label, image"):
        sample_to_members(replace(sample, label=None, image=None), "jpg", body_record)
    with pytest.raises(ValueError, match="a key has 1-80 letters"):
        encode_samples([Sample("a.b", 0)])
    with pytest.raises(ValueError, match="its control is not its xyz map"):
        encode_samples([replace(sample, condition=replace(sample.condition, control=~sample.condition.xyz))])
    wide = replace(sample.label, K=sample.label.K.astype(np.float32))
    with pytest.raises(ValueError, match="label array K: got float32"):
        encode_samples([replace(sample, label=wide)])


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        ("json", None, "no json member"),
        ("json", b"{}", "missing or unknown fields"),
        ("json", b"\xff", "json: "),
        ("mask.png", None, "no mask.png"),
        ("jpg", b"", "one sample's"),
        ("condition.png", b"not a png", "no readable image"),
        ("notes.txt", b"", "one sample's"),
    ],
)
def test_a_sample_that_lacks_or_exceeds_the_contract_is_refused(make_sample, body_record, suffix, content, message):
    sample = make_sample()
    members = {name.partition(".")[2]: data for name, data in sample_to_members(sample, "png", body_record)}
    if content is None:
        del members[suffix]
    else:
        members[suffix] = content
    with pytest.raises(ValueError, match=f"shard: key {sample.key}: .*{message}"):
        members_to_sample(sample.key, members, "shard", None)


def test_another_conventions_version_is_refused(make_sample, body_record):
    sample = make_sample()
    members = {name.partition(".")[2]: data for name, data in sample_to_members(sample, "png", body_record)}
    members["json"] = members["json"].replace(b'"conventions": "1"', b'"conventions": "2"')
    with pytest.raises(ValueError, match="conventions version '2', expected '1'"):
        members_to_sample(sample.key, members, "shard", None)


def test_empty_samples_travel():
    sent = [Sample("k-0", 3), Sample("k-1", 3, verdict=Verdict("failed", "bad: pose"))]
    for left, right in zip(sent, decode_samples(encode_samples(sent)), strict=True):
        assert_same(left, right)
