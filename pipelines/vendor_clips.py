"""Makes `posedreamer/assets/clips/*.npz` from the motion files inside the `pybullet` wheel, in the AMASS SMPL-X layout.

Run once, when the wheel or the retargeting changes (pybullet is needed at build time only):
    pip install --no-deps pybullet==3.2.7
    python pipelines/vendor_clips.py SITE_PACKAGES/pybullet_data/data/motions
The clips are DeepMimic's humanoid (x front, y up, z right; arms hang at rest). The body is turned by one matrix for the axes,
chest and neck rotations are shared by the joints of spine and neck, and the arms are raised to SMPL-X's T-pose before they are
turned. Hands are the library's relaxed ones, as the source has none.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from posedreamer.geometry.rotations import compose_rotvec, mirror_rotvec
from posedreamer.geometry.skeletons import BODY_JOINTS
from posedreamer.stages.sampling.angles import HANG
from posedreamer.stages.sampling.hands import make_hands
from posedreamer.stages.sampling.motion import FRAME_SIZES, WORLD_FROM_AMASS

logger = logging.getLogger(__name__)
OUT = Path("posedreamer/assets/clips")
# Ours (x left, y up, z front) from theirs (x front, y up, z right).
OURS_FROM_THEIRS = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
# Columns of a frame after its duration: root position, then rotations; quaternions are w, x, y, z, hinges one angle.
LAYOUT = (
    ("pelvis", 4), ("chest", 4), ("neck", 4), ("right_hip", 4), ("right_knee", 1), ("right_ankle", 4), ("right_shoulder", 4),
    ("right_elbow", 1), ("left_hip", 4), ("left_knee", 1), ("left_ankle", 4), ("left_shoulder", 4), ("left_elbow", 1),
)  # fmt: skip
SHARED = {"chest": ("spine1", "spine2", "spine3"), "neck": ("neck", "head")}
NUM_COLUMNS = 4 + sum(size for _, size in LAYOUT)
# Rotations are kept to a quarter of a milliradian: far below the noise of the capture, and small to store.
STEP = 2.0**-12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", type=Path, help="folder pybullet_data/data/motions of the installed wheel")
    folder = parser.parse_args().motions
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    files = sorted(folder.glob("humanoid3d_*.txt"))
    if not files:
        raise ValueError(f"{folder}: no humanoid3d_*.txt")
    OUT.mkdir(parents=True, exist_ok=True)
    for path in files:
        motion = retarget(np.array(json.loads(path.read_text())["Frames"], dtype=np.float64), str(path))
        np.savez_compressed(OUT / f"{path.stem}.npz", allow_pickle=False, **motion)
        logger.info("%s: %d frames", path.stem, len(motion["trans"]))


def retarget(frames: np.ndarray, where: str) -> dict[str, np.ndarray]:
    """AMASS arrays of one clip."""
    if frames.ndim != 2 or frames.shape[1] != NUM_COLUMNS:
        raise ValueError(f"{where}: frames have shape {frames.shape}, expected (frames, {NUM_COLUMNS})")
    num_frames, column = len(frames), 4
    rotvecs = np.zeros((num_frames, len(BODY_JOINTS), 3))
    for joint, size in LAYOUT:
        values = frames[:, column : column + size]
        column += size
        if size == 4:
            rotvec = Rotation.from_quat(values[:, [1, 2, 3, 0]]).as_rotvec() @ OURS_FROM_THEIRS.T
        else:
            rotvec = values * OURS_FROM_THEIRS[:, 2]
        for name in SHARED.get(joint, (joint,)):
            rotvecs[:, BODY_JOINTS.index(name)] = _to_smplx(name, rotvec / len(SHARED.get(joint, (joint,))))
    hands = np.concatenate([hand.ravel() for hand in make_hands("relaxed", "relaxed")])
    arrays = {
        "root_orient": compose_rotvec(np.broadcast_to(-WORLD_FROM_AMASS, (num_frames, 3)), rotvecs[:, 0]),
        "pose_body": rotvecs[:, 1:].reshape(num_frames, 63),
        "pose_hand": np.tile(hands, (num_frames, 1)),
        "pose_jaw": np.zeros((num_frames, 3)),
        "pose_eye": np.zeros((num_frames, 6)),
        "trans": frames[:, 1:4] @ OURS_FROM_THEIRS.T @ Rotation.from_rotvec(-WORLD_FROM_AMASS).as_matrix().T,
    }
    if not set(FRAME_SIZES) <= set(arrays):
        raise ValueError(f"{where}: made {sorted(arrays)}, a motion file needs {sorted(FRAME_SIZES)}")
    small = {name: (np.rint(array / STEP) * STEP).astype(np.float32) for name, array in arrays.items()}
    rate = np.array(1.0 / np.median(frames[:-1, 0]), dtype=np.float32)
    return {**small, "betas": np.zeros(10, dtype=np.float32), "mocap_frame_rate": rate, "gender": np.array("neutral")}


def _to_smplx(joint: str, rotvec: np.ndarray) -> np.ndarray:
    """The same rotation counted from the T-pose: hanging arms are raised first, and forearms follow the raised arm."""
    side, _, kind = joint.partition("_")
    if kind not in ("shoulder", "elbow"):
        return rotvec
    hang = np.broadcast_to(HANG if side == "left" else mirror_rotvec(HANG), rotvec.shape)
    lowered = compose_rotvec(rotvec, hang)
    return lowered if kind == "shoulder" else compose_rotvec(-hang, lowered)


if __name__ == "__main__":
    main()
