"""How varied poses are, in DrPose's measure: the standard deviation of joint positions, against that of the base model's training set.

The paper's set has 1.73 times the deviation of its base's scans. It does not say in which frame: here from the pelvis, in its frame, so that
neither place nor heading nor shape counts.
"""

import numpy as np
from jaxtyping import Float

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import body_joints
from posedreamer.drpose.scans import ScanMaker
from posedreamer.seeds import generator_for

DRAWS = 1000


def joint_deviation(body: BodyModel, body_pose: Float[np.ndarray, "poses 21 3"]) -> float:
    """Root of the mean variance of the body joints' coordinates over poses, metres."""
    return float(np.sqrt(body_joints(body, body_pose).astype(np.float64).var(axis=0)[1:].mean()))


def draw_poses(maker: ScanMaker, count: int = DRAWS) -> Float[np.ndarray, "count 21 3"]:
    """Body poses that scans would have."""
    return np.stack(
        [maker.source.draw(generator_for(0, f"pose-{place:05d}", "pose")).body_pose for place in range(count)]
    )
