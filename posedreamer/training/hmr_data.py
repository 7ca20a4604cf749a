"""What the learner is trained on: the people of shards, packed so that they can be read in any order, and the crops drawn of them.

A pack is a folder: `pictures.bin` holds the encoded pictures as the shards do, one after the other, `labels.npz` where each
begins and its label arrays, `keys.json` the keys, and `pack.json`, written last, which tars went in. Shards are read once,
from wherever they are; a batch then costs nothing but its own pictures.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor

from posedreamer.bodies.body import BodyModel
from posedreamer.estimators.hmr import to_input
from posedreamer.estimators.mesh import cut_crop
from posedreamer.geometry.person_crop import CropCamera, look_at_person
from posedreamer.geometry.rotations import rotvec_to_rotmat
from posedreamer.geometry.skeletons import BODY_JOINTS, mirror_permutation
from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.storage.arrays import npz_to_arrays
from posedreamer.storage.codec import IMAGE_SUFFIXES, read_record
from posedreamer.storage.files import open_filesystem
from posedreamer.storage.images import decode_rgb
from posedreamer.storage.locate import find_tars
from posedreamer.storage.tarball import read_groups
from posedreamer.strict import differences
from posedreamer.training.hmr_config import AugmentConfig, DataConfig

LABELS = (*PARAMETER_SHAPES, "K", "bbox")
MIRROR = np.diag([-1.0, 1.0, 1.0])


class People(NamedTuple):
    """Pictures and labels, row by row. labels: arrays by name (LABELS), of the camera that took the picture."""

    pictures: UInt8[np.ndarray, " bytes"]
    starts: Int64[np.ndarray, " rows_and_end"]
    keys: list[str]
    labels: dict[str, np.ndarray]

    @property
    def num_rows(self) -> int:
        """Number of people."""
        return len(self.keys)

    def picture(self, row: int) -> UInt8[np.ndarray, "h w 3"]:
        """The decoded picture."""
        data = self.pictures[self.starts[row] : self.starts[row + 1]].tobytes()
        return decode_rgb(data, f"sample {self.keys[row]}")


def pack_people(parts: Sequence[DataConfig], folder: Path, body: BodyModel) -> People:
    """The people of the parts, one part after the other in the order of its tars, packed into `folder` if they are not yet.

    A part with fewer people than it should give, a sample of another body, or a folder made of other parts is a ValueError.
    """
    tars = [find_tars(part.source) for part in parts]
    made_of = {
        "parts": [{"tars": found, "samples": part.samples} for part, found in zip(parts, tars, strict=True)],
        "body": body.sha256,
    }
    if (folder / "pack.json").is_file():
        if strange := differences(json.loads((folder / "pack.json").read_text()), made_of):
            raise ValueError(f"pack {folder}: made of {strange}; choose another folder")
        return open_people(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    starts, keys, rows = [0], [], []
    with (folder / "pictures.bin").open("wb") as file:
        for where, key, members in _samples(parts, tars):
            record = read_record(members, where)
            if record["body"]["sha256"] != body.sha256:
                raise ValueError(f"{where}: body {record['body']['name']}, expected {body.name} {body.sha256[:12]}")
            suffix = next((suffix for suffix in IMAGE_SUFFIXES if suffix in members), None)
            if suffix is None or "label.npz" not in members:
                raise ValueError(f"{where}: needs a picture and label.npz, got {sorted(members)}")
            file.write(members[suffix])
            starts.append(starts[-1] + len(members[suffix]))
            keys.append(key)
            rows.append(npz_to_arrays(members["label.npz"], f"{where}: label.npz", list(LABELS)))
    if not keys:
        raise ValueError(f"no samples in {', '.join(part.source for part in parts)}")
    labels = {name: np.stack([row[name] for row in rows]) for name in LABELS}
    with (folder / "labels.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, **labels, starts=np.array(starts))
    (folder / "keys.json").write_text(json.dumps(keys))
    (folder / "pack.json").write_text(json.dumps(made_of | {"count": len(keys)}, indent=1) + "\n")
    return open_people(folder)


def open_people(folder: Path) -> People:
    """A finished pack; pictures stay on disk until they are read."""
    if not (folder / "pack.json").is_file():
        raise ValueError(f"pack {folder}: no pack.json; expected a folder that pack_people finished")
    with np.load(folder / "labels.npz", allow_pickle=False) as archive:
        labels = {name: archive[name] for name in LABELS}
        starts = archive["starts"]
    pictures = np.memmap(folder / "pictures.bin", dtype=np.uint8, mode="r")
    return People(np.asarray(pictures), starts, json.loads((folder / "keys.json").read_text()), labels)


def _samples(parts: Sequence[DataConfig], tars: Sequence[Sequence[str]]) -> Iterator[tuple[str, str, dict[str, bytes]]]:
    """Where each sample of the parts is, its key, and its members. Tars are read twice where a part gives a number of its people."""
    for part, found in zip(parts, tars, strict=True):
        chosen = None if part.samples is None else _chosen_keys(part.source, found, part.samples)
        for where, key, members in _groups(found):
            if chosen is None or key in chosen:
                yield where, key, members


def _groups(tars: Sequence[str]) -> Iterator[tuple[str, str, dict[str, bytes]]]:
    for tar in tars:
        filesystem, inside = open_filesystem(tar)
        with filesystem.open(inside, "rb") as stream:
            for key, members in read_groups(stream, tar):
                yield f"{tar}: key {key}", key, members


def _chosen_keys(source: str, tars: Sequence[str], count: int) -> set[str]:
    """The `count` keys whose hashes come first."""
    keys = sorted((key for _, key, _ in _groups(tars)), key=lambda key: hashlib.sha256(key.encode()).digest())
    if len(keys) < count:
        raise ValueError(f"{source}: {len(keys)} samples, expected at least {count}")
    return set(keys[:count])


class Targets(NamedTuple):
    """What the crops show, in their cameras' frames: rotations of the body's joints, betas, the root joint (metres), and the focal
    lengths (pixels).
    """

    rotmats: Float[Tensor, "batch 22 3 3"]
    betas: Float[Tensor, "batch 10"]
    root_cam: Float[Tensor, "batch 3"]
    focal: Float[Tensor, " batch"]

    def to(self, device: torch.device) -> "Targets":
        """The same on a device."""
        return Targets(*(values.to(device) for values in self))


class View(NamedTuple):
    """One crop of a person: its camera, and whether it is seen in a mirror that flips left and right."""

    camera: CropCamera
    is_mirrored: bool


def plain_view(people: People, row: int, size: int) -> View:
    """The crop that a learner is asked about."""
    return View(look_at_person(people.labels["bbox"][row].astype(np.float64), people.labels["K"][row], size), False)


def draw_view(people: People, row: int, size: int, augment: AugmentConfig, rng: np.random.Generator) -> View:
    """A crop that is off a little."""
    off = rng.uniform(-1.0, 1.0, 4)
    turns, mirrors = rng.random(2)
    camera = look_at_person(
        people.labels["bbox"][row].astype(np.float64),
        people.labels["K"][row],
        size,
        zoom=float(np.exp(augment.zoom * off[0])),
        shift=(float(augment.shift * off[1]), float(augment.shift * off[2])),
        roll=float(np.deg2rad(augment.roll_degrees) * off[3] * (turns < augment.roll_share)),
    )
    return View(camera, augment.mirror and bool(mirrors < 0.5))


def cut_views(
    people: People, rows: np.ndarray, views: Sequence[View], size: int
) -> UInt8[np.ndarray, "batch size size 3"]:
    """The pictures of the rows as their views show them."""
    crops = [cut_crop(people.picture(int(row)), view.camera, size) for row, view in zip(rows, views, strict=True)]
    return np.stack([crop[:, ::-1] if view.is_mirrored else crop for crop, view in zip(crops, views, strict=True)])


def targets_of(people: People, rows: np.ndarray, views: Sequence[View], body: BodyModel) -> Targets:
    """What the views show."""
    betas = torch.from_numpy(people.labels["betas"][rows].astype(np.float32))
    rests = body.rest_root(betas).double().numpy()
    rotvecs = np.concatenate([people.labels["global_orient"][rows][:, None], people.labels["body_pose"][rows]], axis=1)
    rotmats, roots = rotvec_to_rotmat(rotvecs), people.labels["transl"][rows].astype(np.float64) + rests
    swapped = mirror_permutation(BODY_JOINTS)
    for place, view in enumerate(views):
        turn = view.camera.R_crop_from_cam
        rotmats[place, 0], roots[place] = turn @ rotmats[place, 0], turn @ roots[place]
        if view.is_mirrored:
            rotmats[place] = MIRROR @ rotmats[place][swapped] @ MIRROR
            roots[place] = MIRROR @ roots[place]
    focal = np.array([view.camera.K[0, 0] for view in views])
    return Targets(_tensor(rotmats), betas, _tensor(roots), _tensor(focal))


def look_worse(
    crops: UInt8[np.ndarray, "batch size size 3"], augment: AugmentConfig, rng: np.random.Generator
) -> UInt8[np.ndarray, "batch size size 3"]:
    """Other light, contrast and tint, and rectangles of one colour in front of some."""
    count, size = crops.shape[:2]
    gain = 1.0 + augment.colour * rng.uniform(-1.0, 1.0, (count, 1, 1, 3))
    light = 128.0 * augment.colour * rng.uniform(-1.0, 1.0, (count, 1, 1, 1))
    changed = ((crops - 128.0) * gain + 128.0 + light).clip(0, 255).astype(np.uint8)
    for place in np.flatnonzero(rng.random(count) < augment.hidden_share):
        extent = np.maximum(1, (size * augment.hidden * rng.random(2)).astype(int))
        top, left = (int(rng.integers(0, size - side + 1)) for side in extent)
        changed[place, top : top + extent[0], left : left + extent[1]] = rng.integers(0, 256, 3)
    return changed


def training_batch(
    people: People,
    rows: np.ndarray,
    size: int,
    augment: AugmentConfig,
    body: BodyModel,
    rngs: Sequence[np.random.Generator],
) -> tuple[Float[Tensor, "batch 3 size size"], Targets]:
    """Varied crops of the rows, as the network takes them, and what they show. rngs: one a row."""
    views = [draw_view(people, int(row), size, augment, rng) for row, rng in zip(rows, rngs, strict=True)]
    crops = cut_views(people, rows, views, size)
    crops = np.concatenate([look_worse(crop[None], augment, rng) for crop, rng in zip(crops, rngs, strict=True)])
    return to_input(crops), targets_of(people, rows, views, body)


def plain_batch(
    people: People, rows: np.ndarray, size: int, body: BodyModel
) -> tuple[Float[Tensor, "batch 3 size size"], Targets, list[View]]:
    """The rows as a learner is asked about them."""
    views = [plain_view(people, int(row), size) for row in rows]
    return to_input(cut_views(people, rows, views, size)), targets_of(people, rows, views, body), views


def _tensor(values: Float64[np.ndarray, "..."]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
