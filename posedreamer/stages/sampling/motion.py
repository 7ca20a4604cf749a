"""Motion files in the AMASS SMPL-X layout, as a source of poses.

Keys of a file: root_orient (frames, 3), pose_body (frames, 63), pose_hand (frames, 90: left, then right, full rotation
vectors counted from flat hands), pose_jaw (frames, 3), pose_eye (frames, 6). `trans`, `betas` and `mocap_frame_rate` may be
there and are not used: place and shape are drawn, and a frame is drawn by itself.
AMASS has z up and y backwards; the world here has y up and z forwards. The root orientation is kept: a handstand stays one.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import fsspec
import numpy as np
from fsspec.core import url_to_fs
from jaxtyping import Float, Int

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import body_joints
from posedreamer.geometry.rotations import compose_rotvec
from posedreamer.stages.sampling.sources import PoseDraw, mirror_draw
from posedreamer.stages.sampling.splits import Split, load_splits

NEIGHBOURS = 9  # frames around a chosen one that are drawn as it is: DrPose's clips of ten
FRAME_SIZES = {"root_orient": 3, "pose_body": 63, "pose_hand": 90, "pose_jaw": 3, "pose_eye": 6}
# Turns AMASS's axes (x left, y back, z up) into the world's (x left, y up, z front).
WORLD_FROM_AMASS = np.array([-np.pi / 2, 0.0, 0.0])
# The clips that come with the package, by name; they can be deleted, and then this name finds nothing.
EMBEDDED = {"clips": Path(__file__).parents[2] / "assets" / "clips"}


class Motion(dict[str, np.ndarray]):
    """The checked arrays of one file, by AMASS key, float64."""

    @property
    def num_frames(self) -> int:
        return len(self["root_orient"])


def list_motion_files(path: str) -> list[str]:
    """The .npz files of a file, a folder (searched to its depth), a glob or a URL of these, sorted; `clips`: the embedded."""
    filesystem, root = url_to_fs(str(EMBEDDED.get(path, path)))
    if any(sign in root for sign in "*?["):
        found = filesystem.glob(root)
    elif filesystem.isdir(root):
        found = filesystem.find(root)
    else:
        found = [root] if filesystem.exists(root) else []
    files = sorted(str(name) for name in found if str(name).endswith(".npz"))
    if not files:
        raise ValueError(f"motion files: no .npz file at {path}")
    return [filesystem.unstrip_protocol(name) for name in files]


def read_motion(path: str) -> Motion:
    """The arrays of one file; what is missing, misshapen or not finite is a ValueError with file, key, got and expected."""
    with fsspec.open(path, "rb") as file:
        try:
            archive = np.load(cast(BinaryIO, file), allow_pickle=False)
        except (ValueError, zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"motion file {path}: not an .npz archive: {error}") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"motion file {path}: got a single array, expected an .npz archive")
        with archive:
            missing = [key for key in FRAME_SIZES if key not in archive.files]
            if missing:
                raise ValueError(f"motion file {path}: missing {', '.join(missing)}; got {', '.join(archive.files)}")
            return _check_motion(path, {key: _read_array(path, archive, key) for key in FRAME_SIZES})


class MotionSource:
    """Draws single frames of motion files: first a file, then a frame, each as likely as any other; half of them mirrored.

    path: as for `list_motion_files`. split: by file name, see splits.yaml. hand_mean: the body's mean hands. Files are read
    when they are first drawn from, and kept.
    """

    def __init__(
        self, path: str, hand_mean: Float[np.ndarray, "2 15 3"], *, split: Split = "all", mirror: float = 0.5
    ) -> None:
        files = {PurePosixPath(name).stem: name for name in list_motion_files(path)}
        self.files: Sequence[str] = [files[name] for name in load_splits().select_clips(files, split)]
        if not self.files:
            raise ValueError(f"motion source {path}: no file in split {split!r}, got {', '.join(files)}")
        self.hand_mean, self.mirror = np.asarray(hand_mean, np.float64), mirror
        self._motions: dict[str, Motion] = {}

    def draw(self, rng: np.random.Generator) -> PoseDraw:
        """One frame as a pose."""
        path = self.files[int(rng.integers(len(self.files)))]
        if path not in self._motions:
            self._motions[path] = read_motion(path)
        motion = self._motions[path]
        draw = frame_to_draw(motion, int(rng.integers(motion.num_frames)), PurePosixPath(path).stem, self.hand_mean)
        return mirror_draw(draw) if rng.random() < self.mirror else draw


class FarthestMotionSource(MotionSource):
    """Draws frames far apart: `poses` of all frames by farthest-point sampling, each with its neighbours (DrPose15K: 1500 x 10 frames).

    Poses are compared by the body's joints in the root joint's frame. Fewer frames than `poses` are a ValueError.
    """

    def __init__(self, path: str, body: BodyModel, poses: int, *, split: Split = "all", mirror: float = 0.5) -> None:
        super().__init__(path, body.get_buffer("hand_mean").numpy(), split=split, mirror=mirror)
        self.body, self.poses, self._chosen = body, poses, None

    @property
    def chosen(self) -> list[tuple[str, int]]:
        """File and frame of the chosen poses, found at the first call: it reads every file."""
        if self._chosen is None:
            places, joints = [], []
            for path in self.files:
                self._motions[path] = motion = read_motion(path)
                places += [(path, frame) for frame in range(motion.num_frames)]
                joints.append(body_joints(self.body, motion["pose_body"].reshape(-1, 21, 3)))
            if len(places) < self.poses:
                raise ValueError(
                    f"motion source: {len(places)} frames, expected at least the {self.poses} to be chosen"
                )
            self._chosen = [places[place] for place in farthest_points(np.concatenate(joints), self.poses)]
        return self._chosen

    def draw(self, rng: np.random.Generator) -> PoseDraw:
        """One of the chosen poses or of its neighbours, all as likely."""
        path, middle = self.chosen[int(rng.integers(self.poses))]
        motion = self._motions[path]
        first = min(max(middle - NEIGHBOURS // 2, 0), max(motion.num_frames - NEIGHBOURS - 1, 0))
        frame = int(rng.integers(first, min(first + NEIGHBOURS + 1, motion.num_frames)))
        draw = frame_to_draw(motion, frame, PurePosixPath(path).stem, self.hand_mean)
        return mirror_draw(draw) if rng.random() < self.mirror else draw


def farthest_points(joints: Float[np.ndarray, "frames joints 3"], count: int) -> Int[np.ndarray, " count"]:
    """The frame farthest from the mean, then again and again the one farthest from all taken (Gonzalez 1985); ties: the first.

    Distance: mean over joints.
    """
    distance = np.linalg.norm(joints - joints.mean(axis=0), axis=-1).mean(axis=-1)
    taken: list[int] = []
    for _ in range(count):
        taken.append(int(np.argmax(distance)))
        to_it = np.linalg.norm(joints - joints[taken[-1]], axis=-1).mean(axis=-1)
        distance = to_it if len(taken) == 1 else np.minimum(distance, to_it)
    return np.array(taken)


def frame_to_draw(motion: Motion, frame: int, clip: str, hand_mean: Float[np.ndarray, "2 15 3"]) -> PoseDraw:
    """One frame of a motion in the world, hands relative to the mean hand, with a neutral expression."""
    hands = motion["pose_hand"][frame].reshape(2, 15, 3)
    eyes = motion["pose_eye"][frame].reshape(2, 3)
    return PoseDraw(
        body_pose=motion["pose_body"][frame].reshape(21, 3),
        left_hand_pose=hands[0] - hand_mean[0],
        right_hand_pose=hands[1] - hand_mean[1],
        jaw_pose=motion["pose_jaw"][frame],
        leye_pose=eyes[0],
        reye_pose=eyes[1],
        expression=np.zeros(10),
        global_orient=compose_rotvec(WORLD_FROM_AMASS, motion["root_orient"][frame]),
        source=f"motion:{clip}",
        tags=("motion", clip),
    )


def _read_array(path: str, archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        return archive[key]
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"motion file {path}: array {key} cannot be read: {error}") from error


def _check_motion(path: str, arrays: dict[str, np.ndarray]) -> Motion:
    frames = len(arrays["root_orient"]) if arrays["root_orient"].ndim else 0
    if frames == 0:
        raise ValueError(
            f"motion file {path}: root_orient has shape {arrays['root_orient'].shape}, expected (frames, 3)"
        )
    for key, size in FRAME_SIZES.items():
        array = arrays[key]
        if array.shape != (frames, size):
            raise ValueError(f"motion file {path}: {key} has shape {array.shape}, expected {(frames, size)}")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"motion file {path}: {key} must hold finite floats, got dtype {array.dtype} or NaN")
    return Motion({key: array.astype(np.float64) for key, array in arrays.items()})
