"""Parameters and posed bodies in numpy: change of frame, checks, batches."""

from dataclasses import replace

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import (
    body_joints,
    parameters_from_arrays,
    pose_bodies,
    pose_body,
    rest_parameters,
    transform_parameters,
)
from posedreamer.geometry.rotations import rotvec_to_rotmat
from posedreamer.sample import PARAMETER_SHAPES


def draw(seed):
    rng = np.random.default_rng(seed)
    return parameters_from_arrays({name: 0.5 * rng.normal(size=shape) for name, shape in PARAMETER_SHAPES.items()})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_transformed_parameters_pose_the_transformed_vertices(seed):
    rng = np.random.default_rng(seed + 10)
    T_a_from_b = np.eye(4)
    T_a_from_b[:3, :3] = rotvec_to_rotmat(rng.normal(size=3) * 2)
    T_a_from_b[:3, 3] = rng.normal(size=3) * 3
    # The expression of the open body moves no joint to speak of, but rest_root does not know it.
    parameters = replace(draw(seed), expression=np.zeros(10, dtype=np.float32))
    moved = transform_parameters(load_body(), parameters, T_a_from_b)
    before, after = pose_body(load_body(), parameters), pose_body(load_body(), moved)
    for name in ("vertices", "joints"):
        expected = getattr(before, name) @ T_a_from_b[:3, :3].T + T_a_from_b[:3, 3]
        assert np.abs(getattr(after, name) - expected).max() < 5e-6
    for name in set(PARAMETER_SHAPES) - {"global_orient", "transl"}:
        assert getattr(moved, name) is getattr(parameters, name)


def test_a_transform_that_is_not_rigid_is_refused():
    for broken in (2 * np.eye(4), np.diag([1.0, 1.0, -1.0, 1.0])):
        with pytest.raises(ValueError, match="must be rigid"):
            transform_parameters(load_body(), rest_parameters(), broken)


def test_a_batch_is_its_bodies():
    parameters = [draw(seed) for seed in range(3)]
    for one, alone in zip(pose_bodies(load_body(), parameters), parameters, strict=True):
        assert np.allclose(one.vertices, pose_body(load_body(), alone).vertices, atol=2e-6)
    assert pose_bodies(load_body(), []) == []


def test_parameters_are_checked_by_name():
    arrays = {name: np.zeros(shape) for name, shape in PARAMETER_SHAPES.items()}
    assert parameters_from_arrays(arrays | {"gender": np.array("neutral")}).betas.dtype == np.float32
    with pytest.raises(ValueError, match="jaw_pose is missing"):
        parameters_from_arrays({name: value for name, value in arrays.items() if name != "jaw_pose"})
    with pytest.raises(ValueError, match=r"body_pose has shape \(63,\), expected \(21, 3\)"):
        parameters_from_arrays(arrays | {"body_pose": np.zeros(63)})
    with pytest.raises(ValueError, match="transl must be finite"):
        parameters_from_arrays(arrays | {"transl": np.array([0.0, np.nan, 0.0])})


def test_body_joints_are_those_of_the_whole_model_from_the_root() -> None:
    body, poses = load_body(), np.random.default_rng(3).normal(0, 0.4, (3, 21, 3)).astype(np.float32)
    for found, pose in zip(body_joints(body, poses), poses, strict=True):
        posed = pose_body(body, replace(rest_parameters(), body_pose=pose))
        np.testing.assert_allclose(found, posed.joints[:22] - posed.joints[0], atol=1e-5)
