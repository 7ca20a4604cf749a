"""The data set of scans, packed for fast reading (training/packed.py).

A folder holds `photos.npy` (uint8, count x size x size x 3), `colors.npy` and `normals.npy` (uint8, count x views x size x size x 3, as
stored: two views mirrored), `joints.npy` (float32, count x 127 x 3, subject's frame), `diagonal.npy` (float32, metres of that frame's
unit), `attributes.json` and `tags.json`. Neighbouring rows share a pose, by another body and camera: drawing poses is the dear part.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.drpose.scans import ScanMaker, draw_photo, draw_subject, draw_views, make_scan_maker, subject_joints
from posedreamer.drpose.views import VIEWS
from posedreamer.seeds import generator_for
from posedreamer.stages.sampling.sources import PoseDraw
from posedreamer.stages.sampling.splits import Split
from posedreamer.training.packed import Rows, RowType, create_packed, open_packed, write_chunk

ARRAYS = ("photos", "colors", "normals", "joints", "diagonal")
NUM_JOINTS = 127
SHARING = 2  # rows with one pose


class Scans(NamedTuple):
    """The first rows of a packed data set; arrays are memory maps."""

    photos: UInt8[np.ndarray, "count h w 3"]
    colors: UInt8[np.ndarray, "count views h w 3"]
    normals: UInt8[np.ndarray, "count views h w 3"]
    joints: Float32[np.ndarray, "count 127 3"]
    diagonal: Float32[np.ndarray, " count"]
    attributes: list[dict[str, str]]
    tags: list[list[str]]


def create_scans(
    folder: Path, split: Split, families: Sequence[str] | None, seed: int, size: int, count: int
) -> list[int]:
    """Makes the empty arrays, or checks that the folder holds the same data set begun earlier; returns all chunks.

    families: of the pose library; None: all of them, and the clips.
    """
    settings = {
        "split": split,
        "families": None if families is None else sorted(families),
        "seed": seed,
        "size": size,
        "count": count,
        "body_sha256": load_body().sha256,
    }
    arrays: dict[str, RowType] = {
        "photos": ((size, size, 3), "uint8"),
        "colors": ((len(VIEWS), size, size, 3), "uint8"),
        "normals": ((len(VIEWS), size, size, 3), "uint8"),
        "joints": ((NUM_JOINTS, 3), "float32"),
        "diagonal": ((), "float32"),
    }
    return create_packed(folder, settings, arrays)


def write_scans(folder: Path, split: Split, families: tuple[str, ...] | None, seed: int, size: int, chunk: int) -> bool:
    """Renders a chunk that is not there yet, into a folder made by `create_scans`."""
    return write_chunk(folder, chunk, lambda rows: render_scans(_embedded_maker(split, families), seed, size, rows))


def render_scans(maker: ScanMaker, seed: int, size: int, rows: Sequence[int]) -> Rows:
    """Arrays and lists of these rows, each drawn from (seed, row)."""
    found: dict[str, list[Any]] = {name: [] for name in (*ARRAYS, "attributes", "tags")}
    poses: dict[int, PoseDraw] = {}
    for row in rows:
        key, place = f"{maker.split}-{row:07d}", row // SHARING
        if place not in poses:
            poses[place] = maker.source.draw(generator_for(seed, f"{maker.split}-{place:07d}", "pose"))
        subject = draw_subject(maker, poses[place], seed, key)
        views = draw_views(subject, size)
        found["photos"].append(draw_photo(subject, size, generator_for(seed, key, "photo")))
        found["colors"].append(views.colors)
        found["normals"].append(views.normals)
        joints, diagonal = subject_joints(subject)
        found["joints"].append(joints)
        found["diagonal"].append(np.float32(diagonal))
        found["attributes"].append(dict(subject.attributes))
        found["tags"].append(list(subject.tags))
    return {name: np.stack(found.pop(name)) for name in ARRAYS}, found


def open_scans(folder: Path, count: int | None = None, split: Split | None = None) -> Scans:
    """The first `count` rows, or all. What is missing, or another split than is wanted, is a ValueError that says which."""
    arrays, said = open_packed(folder, ARRAYS, count, split)
    columns: dict[str, Any] = {**arrays, **said}
    return Scans(**columns)


@functools.cache
def _embedded_maker(split: Split, families: tuple[str, ...] | None) -> ScanMaker:
    return make_scan_maker(load_body(), load_wardrobe(), split, families)
