"""From a drawn pose to a body in the world: shape, and feet (or hands, or back) on the ground at y = 0."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import PosedBody, parameters_from_arrays, pose_body
from posedreamer.sample import BodyParameters
from posedreamer.stages.sampling.sources import PoseDraw


def draw_to_parameters(draw: PoseDraw, betas: Float[np.ndarray, "10"]) -> BodyParameters:
    """World-frame parameters of the draw with this shape, at transl 0."""
    fields = {name: getattr(draw, name) for name in BodyParameters.__dataclass_fields__ if hasattr(draw, name)}
    return parameters_from_arrays({**fields, "betas": betas, "transl": np.zeros(3)})


def stand_on_ground(body: BodyModel, parameters: BodyParameters) -> tuple[BodyParameters, PosedBody]:
    """The body moved so that its lowest vertex has y = 0 and its bounding box is centred on the y axis; and posed so.

    parameters: world frame. Only transl changes.
    """
    posed = pose_body(body, parameters)
    low, high = posed.vertices.min(0), posed.vertices.max(0)
    shift = -np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2], dtype=np.float32)
    moved = PosedBody(posed.vertices + shift, posed.joints + shift, posed.transforms)
    return replace(parameters, transl=parameters.transl + shift), moved
