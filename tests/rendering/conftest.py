"""The open body in a few poses before a few cameras: what the tests of this folder draw."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import rest_parameters, transform_parameters
from posedreamer.geometry.cameras import look_at, make_K
from posedreamer.geometry.skeletons import BODY_JOINTS
from posedreamer.rendering.label import DrawnLabel, draw_label

HANGING_ARMS = {"left_shoulder": (0, 0, -1.3), "right_shoulder": (0, 0, 1.3)}
POSES: dict[str, dict[str, tuple[float, float, float]]] = {
    "t_pose": {},
    "arms_down": HANGING_ARMS,
    "behind_back": {
        **{"left_shoulder": (1.18, 0.12, -1.45), "right_shoulder": (1.26, -0.08, 1.47)},
        **{"left_elbow": (0.77, -1.39, -0.59), "right_elbow": (0.91, 1.38, 0.58)},
    },
    "crossed": {
        **{"left_shoulder": (-1.52, -0.01, -1.78), "right_shoulder": (-1.4, 0.05, 1.78)},
        **{"left_elbow": (-0.63, 1.66, -0.81), "right_elbow": (-0.57, -1.73, 0.94)},
    },
    "squat": {
        **{"left_hip": (-1.8, 0.3, 0.2), "right_hip": (-1.8, -0.3, -0.2), "spine1": (0.4, 0, 0)},
        **{"left_knee": (2.0, 0, 0), "right_knee": (2.0, 0, 0)},
        **{"left_shoulder": (0, -1.2, 0), "right_shoulder": (0, 1.2, 0)},
    },
}  # fmt: skip

Draw = Callable[..., DrawnLabel]


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="session")
def draw(body: BodyModel) -> Draw:
    """draw(pose, yaw, size=256, ...): the label of a named pose seen from yaw radians to the body's left of straight ahead."""

    def draw_pose(
        pose: str = "t_pose",
        yaw: float = 0.0,
        size: int = 256,
        pitch: float = 0.1,
        betas: float = 0.0,
        focal: float = 1.1,
        backend: str = "numba",
        aim: tuple[float, float, float] = (0.0, -0.35, 0.0),
        joints: dict[str, tuple[float, float, float]] | None = None,
    ) -> DrawnLabel:
        body_pose = np.zeros((21, 3), dtype=np.float32)
        for name, rotvec in (POSES[pose] if joints is None else joints).items():
            body_pose[BODY_JOINTS.index(name) - 1] = rotvec
        parameters = replace(rest_parameters(), body_pose=body_pose, betas=np.full(10, betas, dtype=np.float32))
        eye = 2.7 * np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        target = np.array(aim)
        parameters_cam = transform_parameters(body, parameters, look_at(eye + target, target))
        return draw_label(body, parameters_cam, make_K(focal * size, size, size), size, size, backend)

    return draw_pose
