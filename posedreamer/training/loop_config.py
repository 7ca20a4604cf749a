"""The settings of one training loop."""

from typing import Annotated

from pydantic import Field

from posedreamer.strict import Positive, PositiveFloat, Strict


class LoopConfig(Strict):
    """One training loop. The rates warm up, stay, and fall linearly to zero over the last `decay_steps`.

    Unlike a cosine, the flat part does not depend on `steps`: a run can be ended early by resuming it with fewer steps.
    matrix_rate: of Muon, which then trains the matrices (optimizers.py); without it AdamW trains everything. ema: decay of the
    averaged weights, which are what is shown and exported. Periods are in steps.
    """

    steps: Positive
    batch_size: Positive = 16
    learning_rate: PositiveFloat = 1e-3
    matrix_rate: PositiveFloat | None = None
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    warmup_steps: Positive = 200
    decay_steps: Positive = 1000
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    clip_norm: PositiveFloat = 1.0
    checkpoint_every: Positive = 1000
    preview_every: Positive = 1000
