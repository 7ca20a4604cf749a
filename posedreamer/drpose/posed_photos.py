"""What the reward trainer learns from: photographs of people out of shards, each with the joints of its pose.

Nothing else of a label is used: no views, no scans. Shards are read once, from wherever they are (training/hmr_data.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import parameters_from_arrays, pose_bodies
from posedreamer.drpose.scans import crop_subject
from posedreamer.drpose.skeleton import FROM_OUTPUT
from posedreamer.drpose.views import SubjectFrame
from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.training.hmr_config import DataConfig
from posedreamer.training.hmr_data import People, pack_people

BLOCK = 64  # bodies posed at once


class PosedPhotos(NamedTuple):
    """joints: of `skeleton.CHANNELS`, in the subject's frame (views.py)."""

    people: People
    joints: Float32[np.ndarray, "rows 23 3"]

    def photo(self, row: int, size: int) -> UInt8[np.ndarray, "size size 3"]:
        """The photograph, cut round the body."""
        return crop_subject(self.people.picture(row), self.people.labels["bbox"][row].astype(np.float64), size)


def pack_photos(parts: Sequence[DataConfig], folder: Path, body: BodyModel) -> PosedPhotos:
    """The people of shards, packed into `folder` if they are not yet; errors as of `pack_people`."""
    people, path = pack_people(parts, folder, body), folder / "joints.npy"
    if not path.is_file():
        draft = path.with_suffix(".tmp")
        with draft.open("wb") as file:
            np.save(file, subject_joints_of(people, body))
        draft.rename(path)
    return PosedPhotos(people, np.load(path, allow_pickle=False))


def subject_joints_of(people: People, body: BodyModel) -> Float32[np.ndarray, "rows 23 3"]:
    """The joints of everybody's pose, each in its subject's frame."""
    found = []
    for first in range(0, people.num_rows, BLOCK):
        rows = range(first, min(first + BLOCK, people.num_rows))
        labels = [{name: people.labels[name][row] for name in PARAMETER_SHAPES} for row in rows]
        posed = pose_bodies(body, [parameters_from_arrays(one) for one in labels])
        frame = SubjectFrame.of(torch.from_numpy(np.stack([one.vertices for one in posed])))
        joints = torch.from_numpy(np.stack([one.joints[list(FROM_OUTPUT)] for one in posed]))
        found.append(frame.normalise(joints).numpy())
    return np.concatenate(found)
