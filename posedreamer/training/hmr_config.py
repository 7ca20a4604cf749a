"""The settings of the mesh-recovery learner's training: strict, frozen models over configs/train_hmr_*.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from posedreamer.strict import Positive, Share, Strict
from posedreamer.training.loop_config import LoopConfig

NotNegative = Annotated[float, Field(ge=0.0)]


class NetworkConfig(Strict):
    """HMRNet (estimators/hmr.py). backbone: timm's name; level: which of its maps is read, counted from the finest; size: of the
    crops, pixels; width, layers, heads: of the transformer. weights: the backbone's
    first ones: `packaged` (Lite0's, from ImageNet), `hub` (timm's own, downloaded), a safetensors file, or none.
    """

    backbone: str = "tf_efficientnet_lite0"
    level: Annotated[int, Field(ge=0)] = 3
    size: Positive = 128
    width: Positive = 192
    layers: Positive = 2
    heads: Positive = 6
    weights: str | None = "packaged"


class AugmentConfig(Strict):
    """How crops are varied. zoom: logarithm of the largest; shift: sides of the crop; roll_degrees: at most so far, in `roll_share`
    of the crops; colour: of brightness, contrast and each channel; hidden_share: of the crops, whose `hidden` sides at most a
    rectangle hides; mirror: half of the crops are mirrored.
    """

    zoom: NotNegative = 0.2
    shift: NotNegative = 0.08
    roll_degrees: NotNegative = 30.0
    roll_share: Share = 0.6
    colour: NotNegative = 0.2
    hidden_share: Share = 0.3
    hidden: Share = 0.4
    mirror: bool = True


class WeightsConfig(Strict):
    """Weights of the losses: rotations (of matrices, squared), betas (squared), joints and vertices (metres from the pelvis,
    absolute), keypoints (crops, absolute), root (as predicted, absolute).
    """

    rotations: NotNegative = 1.0
    betas: NotNegative = 0.02
    joints: NotNegative = 5.0
    vertices: NotNegative = 5.0
    keypoints: NotNegative = 5.0
    root: NotNegative = 1.0


class DataConfig(Strict):
    """People of one source: a run, a folder of tars, a glob or a URL (`find_tars`).

    samples: so many of them, chosen by the hashes of their keys, so that fewer are a part of more; none: all.
    """

    source: str
    samples: Positive | None = None


class TrainHmrConfig(Strict):
    """All of it. data, validation: sources of people, by name alone where all of theirs are meant.

    start: folder of a learner that training goes on from; none: fresh weights, on the backbone's first ones. loaders: threads that
    make batches ahead, for an accelerator; on a CPU they would take the training's cores.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    data: Annotated[tuple[DataConfig, ...], Field(min_length=1)]
    validation: tuple[DataConfig, ...] = ()
    start: str | None = None
    body: str = "open"
    threads: Positive = 2
    loaders: Annotated[int, Field(ge=0)] = 0
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    network: NetworkConfig = NetworkConfig()
    augment: AugmentConfig = AugmentConfig()
    weights: WeightsConfig = WeightsConfig()
    loop: LoopConfig

    @field_validator("data", "validation", mode="before")
    @classmethod
    def _names_are_sources(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [{"source": part} if isinstance(part, str) else part for part in value]

    @model_validator(mode="after")
    def _threads_are_of_the_cpu(self) -> "TrainHmrConfig":
        if self.device != "cpu" and self.threads != 1:
            raise ValueError(f"threads share a batch on the CPU only: got {self.threads} threads on {self.device}")
        return self
