"""Arguments of the alignment trainer: trl's DPOConfig, less what belongs to language models, plus what belongs to diffusion.

beta, loss_type, label_smoothing and all of transformers.TrainingArguments keep their meaning (logging, saving, accumulation,
mixed precision). A field that cannot mean anything here is refused by name instead of being ignored.
"""

from dataclasses import MISSING, dataclass, field, fields
from typing import Any, get_args, no_type_check

import transformers
from trl import DPOConfig

from posedreamer.alignment.losses import LossType, TimeWeight

_OWN_OF_DPO = {"beta", "loss_type", "label_smoothing"}
# Every field that trl adds for token sequences, reference copies and several losses at once.
_UNUSABLE = {item.name for item in fields(DPOConfig)} - {item.name for item in fields(transformers.TrainingArguments)}
_UNUSABLE -= _OWN_OF_DPO


@no_type_check  # at run time: the tests' checker takes dataclasses' own marks for defaults
@dataclass
class AlignmentArguments(DPOConfig):
    """beta: as in PoseDreamer's released configuration; Diffusion-DPO trains all of SD with 5000.

    time_weight: constant, or beta (1 - t^2) with t the noise's loudness. winner_guard: Diffusion-SDPO, with `caution` between 0 and 1.
    reference_free: without what the untrained nets predict. steps: train at the times of that many solver steps only.
    """

    beta: float = field(default=100.0)
    learning_rate: float = field(default=5e-5)
    report_to: Any = field(default="none")
    logging_nan_inf_filter: bool = field(default=False)  # it would log a loss of 0 for one that is no number
    gradient_checkpointing: Any = field(default=None)  # trl's default is an old name of activation_checkpointing
    time_weight: str = field(default="constant", metadata={"help": "constant or one_minus_t2"})
    winner_guard: bool = field(default=True, metadata={"help": "the error of chosen pictures may not rise"})
    caution: float = field(default=0.0, metadata={"help": "of the winner guard: 0 to 1, more is more careful"})
    reference_free: bool = field(default=False, metadata={"help": "leave the reference out of the margin"})
    steps: int | None = field(default=None, metadata={"help": "train at the times of so many solver steps"})

    def __post_init__(self) -> None:
        for item in fields(DPOConfig):
            default = item.default_factory() if item.default_factory is not MISSING else item.default
            if item.name in _UNUSABLE and getattr(self, item.name) != default:
                raise ValueError(
                    f"alignment: `{item.name}` is for language models and means nothing here; leave it out"
                )
        given = [self.loss_type] if isinstance(self.loss_type, str) else self.loss_type
        if len(given) != 1 or given[0] not in get_args(LossType):
            raise ValueError(f"alignment: got loss_type {given}, expected one of {', '.join(get_args(LossType))}")
        if self.time_weight not in get_args(TimeWeight):
            raise ValueError(f"alignment: got time_weight {self.time_weight!r}, expected {get_args(TimeWeight)}")
        if self.label_smoothing and given != ["robust"]:
            raise ValueError(f"alignment: label_smoothing belongs to the loss `robust`, got it with `{given[0]}`")
        if not 0.0 <= self.label_smoothing < 0.5 or not 0.0 <= self.caution <= 1.0 or self.beta <= 0.0:
            raise ValueError(
                f"alignment: got label_smoothing {self.label_smoothing}, caution {self.caution} and beta {self.beta}; "
                "expected [0, 0.5), [0, 1] and more than 0"
            )
        if given == ["ipo"] and (self.winner_guard or self.time_weight != "constant"):
            raise ValueError(
                "alignment: the loss `ipo` has a margin of its own as its target, which neither winner_guard nor time_weight "
                "knows of; set winner_guard: false and leave time_weight out"
            )
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"alignment: got steps {self.steps}, expected at least 1")
        self.remove_unused_columns = False  # batches go to the loss, not to a forward method by name
        super().__post_init__()
