"""A domain cut out of a run: `posedreamer curate DIR --domain yoga --out DST`.

The result is a run directory of the same contract. Keys and members are those of the source, byte for byte; the index holds
the rows of the samples taken; run.json is the source's with `derived` added, which says what was done; the source's own run.json
lies under sources/, and curation.parquet says of each sample why it was taken.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from posedreamer.curation.membership import Domain, Membership, decide, load_domain
from posedreamer.curation.pose_distance import PoseSet
from posedreamer.geometry.rotations import rotvec_to_rotmat
from posedreamer.stages.sampling.library import PoseLibrary, load_library
from posedreamer.storage.files import join, list_files, read_file, write_file
from posedreamer.storage.index import read_index, table_to_parquet
from posedreamer.storage.manifest import MANIFEST_NAME, open_run, read_manifest
from posedreamer.storage.shard import read_groups_of, write_shard_files

log = logging.getLogger(__name__)
SHARD_SIZE = 256


@dataclass(frozen=True)
class CurationReport:
    """What was taken. why: how many for which reason, of all kept samples (see membership.py)."""

    domain: str
    source: str
    out: str
    kept_in_source: int
    taken: int
    why: dict[str, int]
    shards: int


def curate(
    run_dir: str | Path,
    domain: str | Path,
    out_dir: str | Path,
    library: PoseLibrary | None = None,
    shard_size: int = SHARD_SIZE,
) -> CurationReport:
    """Writes the kept samples of a domain as a run directory of its own, and returns what was taken.

    domain: an embedded one by name, or a YAML file. library: the named poses (None: the embedded ones).
    No sample of the domain is a ValueError that names the nearest one; nothing is written then.
    """
    library = load_library() if library is None else library
    rules = load_domain(domain, library)
    index = read_index(run_dir)
    rows = index.take(np.flatnonzero(np.array(index.column("status").to_pylist()) == "kept"))
    decisions = decide(rules, library, index_poses(rows), rows.column("tags").to_pylist())
    taken = np.flatnonzero([decision.belongs for decision in decisions])
    if not len(taken):
        raise ValueError(_nothing_found(run_dir, domain, rules, rows, decisions))

    open_run(out_dir, derived_manifest(run_dir, domain, rules, library))
    _copy_sources(run_dir, out_dir)
    picked = rows.take(taken)
    write_file(join(out_dir, "curation.parquet"), table_to_parquet(_reasons(picked, [decisions[i] for i in taken])))
    shards = 0
    for shard, (round_index, table) in enumerate(_pack(picked, shard_size)):
        members = list(_members(run_dir, table))
        write_shard_files(out_dir, shard, round_index, members, [], _renumbered(table, shard), {})
        shards += 1
    why = dict(sorted(Counter(decision.why for decision in decisions).items()))
    report = CurationReport(str(domain), str(run_dir), str(out_dir), len(rows), len(taken), why, shards)
    log.info("%s of %s: %d of %d kept samples, %s", domain, run_dir, report.taken, report.kept_in_source, why)
    return report


def index_poses(rows: pa.Table) -> PoseSet:
    """The poses of index rows that have a label; roots are taken back from the camera frame to the world."""
    body_pose = _array(rows, "body_pose", (21, 3))
    up_cam = _array(rows, "T_cam_from_world", (4, 4))[:, :3, 1]
    root = rotvec_to_rotmat(_array(rows, "global_orient", (3,)))
    return PoseSet(body_pose, np.einsum("nij,ni->nj", root, up_cam))


def derived_manifest(run_dir: str | Path, domain: str | Path, rules: Domain, library: PoseLibrary) -> dict[str, Any]:
    """run.json of the subset: the source's, and under `derived` what was done, by which rules, to what."""
    source = read_manifest(run_dir)
    derived = {
        "operation": "curate",
        "domain": {"name": Path(domain).stem, **rules.model_dump(mode="json")},
        "library_sha256": library_hash(library),
        "version": metadata.version("posedreamer"),
        "sources": [{"config_hash": source["config_hash"], "run_json_sha256": _hash(_run_json(run_dir))}],
    }
    return {**source, "derived": derived}


def library_hash(library: PoseLibrary) -> str:
    """sha256 over names, families and angles of the named poses."""
    digest = hashlib.sha256()
    for pose in library.poses.values():
        digest.update(json.dumps([pose.name, pose.family]).encode())
        for array in (pose.body_pose, pose.global_orient):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()


def _pack(rows: pa.Table, shard_size: int) -> Iterator[tuple[int, pa.Table]]:
    """(round, rows) of each new shard: full ones of the same round, in the order of the source."""
    rounds = np.array(rows.column("round").to_pylist())
    for round_index in sorted(set(rounds.tolist())):
        of_round = np.flatnonzero(rounds == round_index)
        for start in range(0, len(of_round), shard_size):
            yield round_index, rows.take(of_round[start : start + shard_size])


def _members(run_dir: str | Path, rows: pa.Table) -> Iterator[tuple[str, bytes]]:
    wanted = dict.fromkeys(rows.column("key").to_pylist())
    found = set()
    for shard in dict.fromkeys(rows.column("shard").to_pylist()):
        path = join(run_dir, f"shards/{shard:06d}.tar")
        for key, members in read_groups_of(path):
            if key in wanted:
                found.add(key)
                yield from ((f"{key}.{suffix}", content) for suffix, content in members.items())
    if missing := [key for key in wanted if key not in found]:
        raise ValueError(f"{run_dir}: the index calls these samples kept, but no tar holds them: {missing[:5]}")


def _renumbered(rows: pa.Table, shard: int) -> pa.Table:
    """Rows with the number of the new shard and the places in it."""
    for name, values in (("shard", np.full(len(rows), shard)), ("place", np.arange(len(rows)))):
        place = rows.column_names.index(name)
        rows = rows.set_column(place, rows.field(name), pa.array(values.astype(np.int32)))
    return rows


def _reasons(rows: pa.Table, decisions: Sequence[Membership]) -> pa.Table:
    columns = {name: [getattr(decision, name) for decision in decisions] for name in Membership._fields[1:]}
    return pa.table({"key": rows.column("key"), **columns})


def _copy_sources(run_dir: str | Path, out_dir: str | Path) -> None:
    for name in list_files(join(run_dir, "sources"), ".json"):
        write_file(join(out_dir, f"sources/{name}"), read_file(join(run_dir, f"sources/{name}")))
    source = _run_json(run_dir)
    write_file(join(out_dir, f"sources/{_hash(source)[:16]}.json"), source)


def _nothing_found(
    run_dir: str | Path, domain: str | Path, rules: Domain, rows: pa.Table, decisions: Sequence[Membership]
) -> str:
    message = f"{run_dir}: none of {len(rows)} kept samples belongs to {domain}"
    if not decisions:
        return message
    closest = min(range(len(decisions)), key=lambda row: decisions[row].joints_deg)
    key, found = rows.column("key")[closest].as_py(), decisions[closest]
    return (
        f"{message}; the nearest to a named pose is {key}, {found.joints_deg:.1f} deg from {found.nearest}"
        f" ({found.why}); asked for are families {list(rules.families)}, or at most {rules.similarity.joints_deg:g} deg"
    )


def _array(rows: pa.Table, name: str, shape: tuple[int, ...]) -> np.ndarray:
    flat = (
        pa.concat_arrays([chunk.flatten() for chunk in rows.column(name).chunks])
        if len(rows)
        else pa.array([], pa.float64())
    )
    return flat.to_numpy(zero_copy_only=False).astype(np.float64).reshape(len(rows), *shape)


def _run_json(run_dir: str | Path) -> bytes:
    return read_file(join(run_dir, MANIFEST_NAME))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
