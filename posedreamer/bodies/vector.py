"""A body's parameters as one row of numbers, the input of models that predict difficulty from parameters alone.

Order as in PoseDreamer's miner: body pose 63, global orientation 3, betas 10, transl 3, left hand 45, right hand 45, jaw 3,
expression 10. The eyes are left out.
"""

import numpy as np
from jaxtyping import Float32

from posedreamer.sample import PARAMETER_SHAPES, BodyParameters

VECTOR_FIELDS = (
    "body_pose", "global_orient", "betas", "transl", "left_hand_pose", "right_hand_pose", "jaw_pose", "expression",
)  # fmt: skip
VECTOR_SIZE = sum(int(np.prod(PARAMETER_SHAPES[name])) for name in VECTOR_FIELDS)


def parameter_vector(parameters: BodyParameters) -> Float32[np.ndarray, "182"]:
    """The parameters in the order of `VECTOR_FIELDS`, in the frame they are in."""
    return np.concatenate([np.ravel(getattr(parameters, name)) for name in VECTOR_FIELDS]).astype(np.float32)
