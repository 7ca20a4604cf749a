"""Preference pairs on disk: `pairs/000012.tar` beside the shards, `pairs/000012.json` written last.

    <key>.chosen.jpg <key>.rejected.jpg   the pictures, byte for byte as the shard has them
    <key>.json                            the record of a sample, with `chosen` and `rejected` for what belongs to one picture
    <key>.label.npz, .condition.png, .mask.png, .depth.png   the label that both were made from

The key is that of the label and the two candidates: `3f9c2a17-r00-000012-0007-c3-c5` prefers candidate 3 to candidate 5.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posedreamer.sample import Sample, split_key
from posedreamer.storage.codec import IMAGE_SUFFIXES, MEMBER_SUFFIXES, DrawControl, members_to_sample, record_to_json
from posedreamer.storage.files import file_exists, join, read_file, remove_file, write_file
from posedreamer.storage.shard import Members, read_groups_of
from posedreamer.storage.tarball import members_to_tar

SIDES = ("chosen", "rejected")
PICTURE_FIELDS = ("key", "generator", "seed", "candidate", "scores", "verdict")
_LABEL_SUFFIXES = tuple(suffix for suffix in MEMBER_SUFFIXES if suffix != "json")


@dataclass(frozen=True, eq=False)
class PreferencePair:
    """Two samples of one label, prompt and condition; what was asked for is seen better in `chosen`."""

    key: str
    chosen: Sample
    rejected: Sample


def pair_to_members(chosen: Mapping[str, bytes], rejected: Mapping[str, bytes], where: str) -> Members:
    """The members of a pair, from those of two stored samples {suffix: content}. Samples of two labels are a ValueError."""
    missing = [name for name in ("json", *_LABEL_SUFFIXES) if name not in chosen or name not in rejected]
    if missing:
        raise ValueError(f"{where}: a candidate has no {', '.join(missing)}")
    records = [json.loads(members["json"]) for members in (chosen, rejected)]
    (label, first), (other, second) = (split_key(record["key"]) for record in records)
    unlike = [suffix for suffix in _LABEL_SUFFIXES if chosen[suffix] != rejected[suffix]]
    unlike += [name for name in records[0] if name not in PICTURE_FIELDS and records[0][name] != records[1].get(name)]
    if label != other or first == second or unlike:
        keys = [record["key"] for record in records]
        raise ValueError(f"{where}: {keys} are no candidates of one label" + (f": {unlike} differ" if unlike else ""))
    key = f"{label}-c{first}-c{second}"
    shared = {name: value for name, value in records[0].items() if name not in PICTURE_FIELDS}
    sides = {side: {name: record[name] for name in PICTURE_FIELDS} for side, record in zip(SIDES, records, strict=True)}
    pictures = [
        (f"{key}.{side}.{suffix}", members[suffix])
        for side, members in zip(SIDES, (chosen, rejected), strict=True)
        for suffix in IMAGE_SUFFIXES
        if suffix in members
    ]
    record = (f"{key}.json", record_to_json({**shared, **sides, "key": key}))
    return [*pictures, record, *((f"{key}.{suffix}", chosen[suffix]) for suffix in _LABEL_SUFFIXES)]


def write_pairs(run_dir: str | Path, shard: int, pairs: Sequence[Members], facts: Mapping[str, Any]) -> None:
    """Writes the tar (none, when there are no pairs) and, last, its json: the facts and the tar's sha256."""
    tar, mark = (join(run_dir, f"pairs/{shard:06d}.{suffix}") for suffix in ("tar", "json"))
    remove_file(mark)
    if pairs:
        data = members_to_tar([member for members in pairs for member in members])
        write_file(tar, data)
        facts = {**facts, "sha256": hashlib.sha256(data).hexdigest()}
    else:
        remove_file(tar)
    write_file(mark, (json.dumps(facts, sort_keys=True, indent=1, allow_nan=False) + "\n").encode())


def read_pair_facts(run_dir: str | Path, shard: int) -> dict[str, Any] | None:
    """What was written with a shard's pairs; None while they are not finished."""
    path = join(run_dir, f"pairs/{shard:06d}.json")
    return json.loads(read_file(path)) if file_exists(path) else None


def read_pairs(path: str | Path, draw_control: DrawControl | None = None) -> Iterator[PreferencePair]:
    """The pairs of a tar. draw_control: as in `read_shard`."""
    for key, members in read_groups_of(path):
        where = f"{path}: key {key}"
        if "json" not in members:
            raise ValueError(f"{where}: no json member, got {sorted(members)}")
        record = json.loads(members["json"])
        if not isinstance(record, dict) or not all(isinstance(record.get(side), dict) for side in SIDES):
            raise ValueError(f"{where}: json: expected the fields {SIDES}; is this a tar of pairs?")
        chosen, rejected = (_side(record, members, side, where, draw_control) for side in SIDES)
        yield PreferencePair(key, chosen, rejected)


def _side(
    record: Mapping[str, Any], members: Mapping[str, bytes], side: str, where: str, draw_control: DrawControl | None
) -> Sample:
    shared = {name: value for name, value in record.items() if name not in (*SIDES, *PICTURE_FIELDS)}
    own = {suffix: members[f"{side}.{suffix}"] for suffix in IMAGE_SUFFIXES if f"{side}.{suffix}" in members}
    if not own:
        raise ValueError(f"{where}: no picture of the {side} side, got {sorted(members)}")
    label = {suffix: members[suffix] for suffix in _LABEL_SUFFIXES if suffix in members}
    parts = {**own, "json": record_to_json({**shared, **record[side]}), **label}
    return members_to_sample(record[side]["key"], parts, where, draw_control)
