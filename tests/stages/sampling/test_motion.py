"""Motion files: axes, hands, every way of naming files, and what is said of bad ones."""

from pathlib import Path

import fsspec
import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.geometry.rotations import rotvec_to_rotmat
from posedreamer.stages.sampling.motion import (
    FRAME_SIZES,
    WORLD_FROM_AMASS,
    FarthestMotionSource,
    MotionSource,
    farthest_points,
    frame_to_draw,
    list_motion_files,
    read_motion,
)
from posedreamer.stages.sampling.splits import load_splits

CLIPS = Path(__file__).parents[3] / "posedreamer" / "assets" / "clips"
HAND_MEAN = np.random.default_rng(5).normal(size=(2, 15, 3))


def write_motion(path: Path, frames: int = 3, **changed: np.ndarray | None) -> Path:
    rng = np.random.default_rng(0)
    arrays = {key: rng.normal(0, 0.3, (frames, size)).astype(np.float32) for key, size in FRAME_SIZES.items()}
    arrays |= {"trans": np.zeros((frames, 3)), "betas": np.zeros(16), "gender": np.array("neutral")}
    arrays |= {key: value for key, value in changed.items() if value is not None}
    np.savez(path, **{key: arrays[key] for key in arrays if key not in changed or changed[key] is not None})
    return path


def test_a_standing_body_of_amass_stands_here(tmp_path: Path) -> None:
    """AMASS has z up: a body that stands there has root_orient +90 degrees about x, which is no rotation here."""
    standing = np.tile([np.pi / 2, 0.0, 0.0], (3, 1))
    motion = read_motion(str(write_motion(tmp_path / "a.npz", root_orient=standing)))
    draw = frame_to_draw(motion, 1, "a", HAND_MEAN)
    np.testing.assert_allclose(draw.global_orient, 0.0, atol=1e-7)
    # A zero root in AMASS lies on its back: its up (y) is our -z, its front (z) is our up.
    lying = read_motion(str(write_motion(tmp_path / "b.npz", root_orient=np.zeros((3, 3)))))
    rotmat = rotvec_to_rotmat(frame_to_draw(lying, 0, "b", HAND_MEAN).global_orient)
    np.testing.assert_allclose(rotmat @ [0, 0, 1], [0, 1, 0], atol=1e-7)


def test_hands_become_relative_to_the_mean_hand(tmp_path: Path) -> None:
    path = write_motion(tmp_path / "a.npz")
    motion = read_motion(str(path))
    draw = frame_to_draw(motion, 2, "a", HAND_MEAN)
    with np.load(path) as raw:
        np.testing.assert_allclose((draw.left_hand_pose + HAND_MEAN[0]).ravel(), raw["pose_hand"][2, :45])
        np.testing.assert_allclose((draw.right_hand_pose + HAND_MEAN[1]).ravel(), raw["pose_hand"][2, 45:])
        np.testing.assert_allclose(draw.body_pose.ravel(), raw["pose_body"][2])
        np.testing.assert_allclose(draw.reye_pose, raw["pose_eye"][2, 3:])
    assert draw.source == "motion:a"


def test_file_folder_glob_and_url_name_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    first, second = write_motion(tmp_path / "a.npz"), write_motion(tmp_path / "deep" / "b.npz")
    (tmp_path / "notes.txt").write_text("no motion")
    both = list_motion_files(str(tmp_path))
    assert [Path(name.removeprefix("file://")) for name in both] == [first, second]
    assert list_motion_files(f"{tmp_path}/**/*.npz") == both
    assert list_motion_files(f"file://{tmp_path}") == both
    assert list_motion_files(str(first)) == both[:1]
    memory = fsspec.filesystem("memory")
    memory.pipe("/motions/a.npz", first.read_bytes())
    try:
        source = MotionSource("memory://motions", HAND_MEAN, mirror=0.0)
        assert source.draw(np.random.default_rng(0)).tags == ("motion", "a")
    finally:
        memory.rm("/motions", recursive=True)
    with pytest.raises(ValueError, match=r"no \.npz file at"):
        list_motion_files(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("key", "array", "words"),
    [
        ("pose_body", None, "missing pose_body"),
        ("pose_body", np.zeros((3, 66)), r"pose_body has shape \(3, 66\), expected \(3, 63\)"),
        ("pose_hand", np.zeros((3, 24)), r"pose_hand has shape \(3, 24\), expected \(3, 90\)"),
        ("pose_jaw", np.zeros((2, 3)), r"pose_jaw has shape \(2, 3\)"),
        ("root_orient", np.full((3, 3), np.nan), "root_orient must hold finite"),
        ("root_orient", np.zeros((0, 3)), "root_orient has shape"),
        ("pose_eye", np.array([[{}] * 6] * 3, dtype=object), "pose_eye cannot be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, key: str, array: np.ndarray | None, words: str) -> None:
    path = write_motion(tmp_path / "bad.npz", **{key: array})
    with pytest.raises(ValueError, match=words) as caught:
        read_motion(str(path))
    assert "bad.npz" in str(caught.value)


def test_a_file_that_is_no_archive_is_said(tmp_path: Path) -> None:
    good = write_motion(tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "single.npz").write_bytes((tmp_path / "single.npy").read_bytes())
    for name in ("cut", "text", "single"):
        with pytest.raises(ValueError, match=f"{name}.npz"):
            read_motion(str(tmp_path / f"{name}.npz"))


def test_embedded_clips_can_be_read_and_split() -> None:
    files = list_motion_files(str(CLIPS))
    assert len(files) == 15
    assert sum(read_motion(name).num_frames for name in files) == 1620
    held_out = load_splits().clips
    stems = {Path(name).stem for name in files}
    assert held_out <= stems
    assert {Path(name).stem for name in MotionSource(str(CLIPS), HAND_MEAN, split="train").files} == stems - held_out
    assert {Path(name).stem for name in MotionSource(str(CLIPS), HAND_MEAN, split="held_out").files} == held_out


def test_mirrored_frames_are_drawn_half_of_the_time() -> None:
    source = MotionSource(str(CLIPS / "humanoid3d_walk.npz"), HAND_MEAN)
    drawn = [source.draw(np.random.default_rng(seed)) for seed in range(100)]
    assert 30 < sum("mirrored" in draw.tags for draw in drawn) < 70


def test_farthest_points_are_those_of_the_definition() -> None:
    """Each is at least as far from those before it as any other frame is."""
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(60, 22, 3))
    joints[7] += 5.0
    taken = farthest_points(joints, 12)
    assert taken[0] == 7 and len(set(taken)) == 12
    between = np.linalg.norm(joints[:, None] - joints[None], axis=-1).mean(axis=-1)
    for place in range(1, 12):
        nearest = between[:, taken[:place]].min(axis=1)
        assert nearest[taken[place]] == nearest.max()


def test_frames_far_apart_come_with_their_neighbours(tmp_path: Path) -> None:
    """A clip that rests, moves once and rests: rest and move are chosen, and frames of around them are drawn."""
    poses = np.zeros((40, 63))
    poses[25:31, 0] = 1.0
    path = write_motion(
        tmp_path / "a.npz", frames=40, pose_body=poses, root_orient=np.arange(40)[:, None] * [[0.01, 0, 0]]
    )
    source = FarthestMotionSource(str(path), load_body(), 2, mirror=0.0)
    (_, first), (_, second) = source.chosen
    assert {25 <= first < 31, 25 <= second < 31} == {True, False}
    drawn = {draw_frame(source, seed) for seed in range(200)}
    around = [range(max(middle - 4, 0), max(middle - 4, 0) + 10) for middle in (first, second)]
    assert drawn == {frame for frames in around for frame in frames}


def test_too_few_frames_are_told(tmp_path: Path) -> None:
    source = FarthestMotionSource(str(write_motion(tmp_path / "a.npz", frames=3)), load_body(), 4)
    with pytest.raises(ValueError, match="3 frames, expected at least the 4"):
        source.draw(np.random.default_rng(0))


def draw_frame(source: FarthestMotionSource, seed: int) -> int:
    """The frame that was drawn, told by its root, which turns by 0.01 a frame."""
    world = rotvec_to_rotmat(source.draw(np.random.default_rng(seed)).global_orient)
    amass = rotvec_to_rotmat(WORLD_FROM_AMASS).T @ world
    return round(float(np.arctan2(amass[2, 1], amass[1, 1])) / 0.01)
