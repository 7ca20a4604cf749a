"""The settings of reward fine-tuning: strict, frozen models over configs/drpose_nano.yaml."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from posedreamer.config import RunConfig
from posedreamer.drpose.rollout import Method
from posedreamer.strict import Positive, Strict
from posedreamer.training.hmr_config import DataConfig

NotNegative = Annotated[float, Field(ge=0.0)]
OWN = {"seed", "output_dir", "remove_unused_columns"}


class RolloutConfig(Strict):
    """How views are drawn in training (rollout.py). steps: of DDIM; trained: of them, with a gradient; early_stop: at most so many of the
    last are left out.
    """

    method: Method = "drtune"
    steps: Positive = 20
    trained: Positive = 2
    early_stop: Annotated[int, Field(ge=0)] = 8

    @model_validator(mode="after")
    def _fits(self) -> "RolloutConfig":
        if self.method == "drtune" and self.steps - self.early_stop < self.trained:
            raise ValueError(
                f"rollout: {self.trained} trained steps do not fit into {self.steps} less {self.early_stop} of an early stop"
            )
        return self


class LoraConfig(Strict):
    """layers: names of layers, as peft matches them."""

    rank: Positive = 16
    alpha: Positive = 16
    layers: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")


class RewardConfig(Strict):
    """form: skeleton is PoseScore; the others are of reward_forms.py. path: the net's file, or the learner's folder; none: the skeleton net
    beside the model. perceptual_weight: of PoseScore's second term.
    """

    form: Literal["skeleton", "joints", "pairs", "learner"] = "skeleton"
    path: Path | None = None
    perceptual_weight: NotNegative = 0.1

    @model_validator(mode="after")
    def _others_need_a_net(self) -> "RewardConfig":
        if self.form != "skeleton" and self.path is None:
            raise ValueError(f"reward: {self.form} needs `path`")
        return self


class BenchmarkConfig(Strict):
    """Subjects that a model is measured on, at `steps` of DDIM. everyday, acrobatic: families of poses (scans.py); of each, `subjects` of the
    held-out split, and `validation` of the train split, by which a checkpoint is chosen. reconstructed: of the acrobatic ones.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    steps: Positive = 20
    subjects: Annotated[int, Field(ge=2)] = 48
    validation: Annotated[int, Field(ge=2)] = 24
    everyday: Annotated[tuple[str, ...], Field(min_length=1)] = ("everyday", "work")
    acrobatic: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "acrobatic",
        "clips",
        "dance",
        "floor",
        "sport",
        "yoga",
    )
    reconstructed: Annotated[int, Field(ge=0)] = 8

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """Families by the set's name."""
        return {"acrobatic": self.acrobatic, "everyday": self.everyday}


class DrPoseConfig(Strict):
    """model: folder of a multi-view model, or `nano`. runs: of the line, made first; data: shards to learn from, in whose `source` `{runs}` is the folder of these. kl_weight: of the difference to the model as it was.
    adapter: none trains all weights. training: fields of transformers.TrainingArguments.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    model: str = "nano"
    body: str = "open"
    runs: dict[str, RunConfig] = Field(default_factory=dict)
    data: Annotated[tuple[DataConfig, ...], Field(min_length=1)]
    rollout: RolloutConfig = RolloutConfig()
    reward: RewardConfig = RewardConfig()
    kl_weight: NotNegative = 0.01
    adapter: LoraConfig | None = LoraConfig()
    training: dict[str, Any]
    benchmark: BenchmarkConfig = BenchmarkConfig()

    @model_validator(mode="after")
    def _training_has_no_place_and_seed(self) -> "DrPoseConfig":
        if own := sorted(OWN & set(self.training)):
            raise ValueError(f"training: {', '.join(own)} follow from the run; leave them out")
        return self
