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
from posedreamer.drpose.scans import (
    ScanMaker,
    Subject,
    draw_photo,
    draw_subject,
    draw_views,
    make_scan_maker,
    subject_joints,
)
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

    families: of the pose library, and `clips`; None: all of them.
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
    return write_chunk(folder, chunk, lambda rows: render_scans(embedded_maker(split, families), seed, size, rows))


def render_scans(maker: ScanMaker, seed: int, size: int, rows: Sequence[int]) -> Rows:
    """Arrays and lists of these rows, each drawn from (seed, row)."""
    found: dict[str, list[Any]] = {name: [] for name in (*ARRAYS, "attributes", "tags")}
    poses: dict[int, PoseDraw] = {}
    for row in rows:
        place = row // SHARING
        if place not in poses:
            poses[place] = _draw_pose(maker, seed, place)
        subject = draw_subject(maker, poses[place], seed, _key(maker, row))
        views = draw_views(subject, size)
        found["photos"].append(draw_photo(subject, size, generator_for(seed, _key(maker, row), "photo")))
        found["colors"].append(views.colors)
        found["normals"].append(views.normals)
        joints, diagonal = subject_joints(subject)
        found["joints"].append(joints)
        found["diagonal"].append(np.float32(diagonal))
        found["attributes"].append(dict(subject.attributes))
        found["tags"].append(list(subject.tags))
    return {name: np.stack(found.pop(name)) for name in ARRAYS}, found


def redraw_subject(maker: ScanMaker, seed: int, row: int) -> Subject:
    """The subject of a row, which the data set does not keep."""
    return draw_subject(maker, _draw_pose(maker, seed, row // SHARING), seed, _key(maker, row))


def open_scans(folder: Path, count: int | None = None, split: Split | None = None) -> Scans:
    """The first `count` rows, or all. What is missing, or another split than is wanted, is a ValueError that says which."""
    arrays, said = open_packed(folder, ARRAYS, count, split)
    columns: dict[str, Any] = {**arrays, **said}
    return Scans(**columns)


def _draw_pose(maker: ScanMaker, seed: int, place: int) -> PoseDraw:
    return maker.source.draw(generator_for(seed, f"{maker.split}-{place:07d}", "pose"))


def _key(maker: ScanMaker, row: int) -> str:
    return f"{maker.split}-{row:07d}"


@functools.cache
def embedded_maker(split: Split, families: tuple[str, ...] | None) -> ScanMaker:
    """What scans of the embedded body are drawn from; made once a process."""
    return make_scan_maker(load_body(), load_wardrobe(), split, families)
