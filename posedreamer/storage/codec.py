"""A `Sample` as the members of a tar, and back.

One serialisation, two uses. A released shard holds finished samples with the image in the configured format. Between the
stages travel lists of samples, finished or not, with a lossless image and the control map where it is not the xyz map; there
every part may be missing, and what comes back equals what was sent.
"""

import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from posedreamer.sample import Condition, Label, Picture, Prompt, Sample, Verdict
from posedreamer.storage.arrays import arrays_to_label, arrays_to_npz, label_to_arrays, npz_to_arrays
from posedreamer.storage.images import ImageFormat, decode_gray, decode_rgb, encode_gray, encode_rgb
from posedreamer.storage.tarball import members_to_tar, read_groups

CONVENTIONS_VERSION = "1"
IMAGE_SUFFIXES = ("jpg", "png", "webp")
# In the order they have in a shard, after the image.
MEMBER_SUFFIXES = ("json", "label.npz", "condition.png", "mask.png", "depth.png")
CONTROL_SUFFIX = "control.png"
KEY_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,80}")

# How a shard that lacks the control map draws it again from the label: (kind, label) -> control.
DrawControl = Callable[[str, Label], UInt8[np.ndarray, "h w 3"]]


def sample_to_members(
    sample: Sample, image_format: ImageFormat, body: Mapping[str, str], fast: bool = False
) -> list[tuple[str, bytes]]:
    """(name, content) of each released member of a sample that has all its parts, in the order of the contract.

    body: name, sha256, gender and hand-mean rule of the body model (manifest.describe_body).
    """
    missing = [part for part in ("label", "prompt", "condition", "image") if getattr(sample, part) is None]
    if missing:
        raise ValueError(f"sample {sample.key}: a stored sample needs {', '.join(missing)}")
    return _members(sample, image_format, dict(body), with_control=False, fast=fast)


def members_to_sample(key: str, members: Mapping[str, bytes], where: str, draw_control: DrawControl | None) -> Sample:
    """The sample of a key's members {suffix: content}; a released image comes back as its format kept it.

    where: shard or origin, named in errors. draw_control: asked for the control map when the generator was given another
    kind than xyz and the members do not hold it; without it that is a ValueError.
    """
    place = f"{where}: key {key}"
    record = read_record(members, place)
    images = [suffix for suffix in IMAGE_SUFFIXES if suffix in members]
    unknown = members.keys() - {*MEMBER_SUFFIXES, CONTROL_SUFFIX, *IMAGE_SUFFIXES}
    if unknown or len(images) > 1 or record["key"] != key:
        raise ValueError(f"{place}: got members {sorted(members)} and json key {record['key']!r}; not one sample's")
    label = None
    if "label.npz" in members:
        arrays = npz_to_arrays(members["label.npz"], f"{place}: label.npz")
        label = arrays_to_label(arrays, record["width"], record["height"], record["source"], tuple(record["tags"]))
    prompt = None if record["prompt"] is None else Prompt(record["prompt"], record["attributes"])
    image = None
    if images:
        rgb = decode_rgb(members[images[0]], f"{place}: {images[0]}")
        image = Picture(rgb, record["generator"], record["seed"], record["candidate"])
    return Sample(
        key=key,
        run_seed=record["run_seed"],
        label=label,
        prompt=prompt,
        condition=_read_condition(members, record["condition"], label, place, draw_control),
        image=image,
        scores=record["scores"],
        verdict=Verdict(record["verdict"]["status"], record["verdict"]["reason"]),
    )


def encode_samples(samples: Sequence[Sample]) -> bytes:
    """A list of samples, finished or not, as the bytes that travel between stages; same samples, same bytes."""
    members = []
    for sample in samples:
        members += _members(sample, "png", None, with_control=True, fast=True)
    return members_to_tar(members)


def decode_samples(data: bytes) -> list[Sample]:
    """The inverse of `encode_samples`, exact but for a score of NaN, which comes back as None."""
    groups = read_groups(io.BytesIO(data), "samples in travel")
    return [members_to_sample(key, members, "samples in travel", None) for key, members in groups]


def sample_to_record(sample: Sample, body: Mapping[str, str] | None) -> dict[str, Any]:
    """What `<key>.json` says: everything of a sample that is neither array nor image. A missing part is null."""
    label, prompt, image = sample.label, sample.prompt, sample.image
    return {
        "key": sample.key,
        "conventions": CONVENTIONS_VERSION,
        "run_seed": sample.run_seed,
        "body": body,
        "width": label and label.width,
        "height": label and label.height,
        "source": label and label.source,
        "tags": label and list(label.tags),
        "prompt": prompt and prompt.text,
        "attributes": prompt and dict(prompt.attributes),
        "condition": sample.condition and sample.condition.kind,
        "generator": image and image.generator,
        "seed": image and image.seed,
        "candidate": image and image.candidate,
        "scores": clean_scores(sample),
        "verdict": {"status": sample.verdict.status, "reason": sample.verdict.reason},
    }


def clean_scores(sample: Sample) -> dict[str, float | None]:
    """Scores by name, sorted; what could not be measured (None or NaN) is None. An infinite score is a ValueError."""
    scores = {}
    for name, value in sorted(sample.scores.items()):
        if value is not None and math.isinf(value):
            raise ValueError(f"sample {sample.key}: score {name} is {value}, expected a finite number or None")
        scores[name] = None if value is None or math.isnan(value) else float(value)
    return scores


def record_to_json(record: Mapping[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, floats that read back exactly, no NaN."""
    return json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def read_record(members: Mapping[str, bytes], where: str) -> dict[str, Any]:
    """The json member, with all its fields there and the conventions those of this code; otherwise ValueError."""
    if "json" not in members:
        raise ValueError(f"{where}: no json member, got {sorted(members)}")
    try:
        record = json.loads(members["json"])
    except ValueError as error:  # bad utf-8 included
        raise ValueError(f"{where}: json: {error}") from error
    expected = sample_to_record(Sample("x", 0), None).keys()
    if not isinstance(record, dict) or record.keys() != expected:
        odd = sorted(record.keys() ^ expected) if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"{where}: json: missing or unknown fields: {odd}")
    if record["conventions"] != CONVENTIONS_VERSION:
        raise ValueError(f"{where}: conventions version {record['conventions']!r}, expected {CONVENTIONS_VERSION!r}")
    return record


def _members(
    sample: Sample, image_format: ImageFormat, body: dict[str, str] | None, with_control: bool, fast: bool
) -> list[tuple[str, bytes]]:
    key, condition = sample.key, sample.condition
    if not KEY_PATTERN.fullmatch(key):
        raise ValueError(f"sample {key!r}: a key has 1-80 letters, digits, '-' or '_'")
    members = []
    if sample.image is not None:
        members.append((image_format, encode_rgb(sample.image.rgb, image_format, fast)))
    members.append(("json", record_to_json(sample_to_record(sample, body))))
    if sample.label is not None:
        members.append(("label.npz", arrays_to_npz(label_to_arrays(sample.label))))
    if condition is not None:
        members.append(("condition.png", encode_rgb(condition.xyz, "png", fast)))
        members.append(("mask.png", encode_gray(condition.mask.astype(np.uint8) * np.uint8(255), fast)))
        members.append(("depth.png", encode_gray(condition.depth_mm, fast)))
        if condition.kind != "xyz" and with_control:
            members.append((CONTROL_SUFFIX, encode_rgb(condition.control, "png", fast)))
        elif condition.kind == "xyz" and not np.array_equal(condition.control, condition.xyz):
            raise ValueError(f"sample {key}: the condition is of kind xyz, but its control is not its xyz map")
    return [(f"{key}.{suffix}", data) for suffix, data in members]


def _read_condition(
    members: Mapping[str, bytes], kind: str | None, label: Label | None, where: str, draw_control: DrawControl | None
) -> Condition | None:
    if kind is None:
        return None
    missing = [suffix for suffix in ("condition.png", "mask.png", "depth.png") if suffix not in members]
    if missing:
        raise ValueError(f"{where}: no {', '.join(missing)}, got {sorted(members)}")
    xyz = decode_rgb(members["condition.png"], f"{where}: condition.png")
    mask = decode_gray(members["mask.png"], np.uint8, f"{where}: mask.png")
    depth_mm = decode_gray(members["depth.png"], np.uint16, f"{where}: depth.png")
    if not ((mask == 0) | (mask == 255)).all():
        raise ValueError(f"{where}: mask.png: got values {np.unique(mask)[:5]}, expected 0 and 255")
    if kind == "xyz":
        control = xyz
    elif CONTROL_SUFFIX in members:
        control = decode_rgb(members[CONTROL_SUFFIX], f"{where}: {CONTROL_SUFFIX}")
    elif draw_control is not None and label is not None:
        control = draw_control(kind, label)
    else:
        raise ValueError(f"{where}: the control map ({kind}) is not stored; give a body to draw it again")
    return Condition(kind, control, xyz, mask == 255, depth_mm)
