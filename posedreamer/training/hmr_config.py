"""The settings of the mesh-recovery learner's training: strict, frozen models over configs/train_hmr_*.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from posedreamer.strict import Positive, Share, Strict
from posedreamer.training.loop_config import LoopConfig

NotNegative = Annotated[float, Field(ge=0.0)]


class NetworkConfig(Strict):
    """HMRNet (estimators/hmr.py). backbone: timm's name; level: which of its maps is read, counted from the finest; size: of the
    crops, pixels; width, layers, heads: of the transformer. imagenet: begin with the packaged weights of Lite0.
    """

    backbone: str = "tf_efficientnet_lite0"
    level: Annotated[int, Field(ge=0)] = 3
    size: Positive = 128
    width: Positive = 192
    layers: Positive = 2
    heads: Positive = 6
    imagenet: bool = True


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


class TrainHmrConfig(Strict):
    """All of it. data, validation: runs, folders of tars, globs, URLs (`find_tars`). samples: of the first so many; none: all.

    start: folder of a learner that training goes on from; none: fresh weights, on ImageNet's backbone where there are some.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    data: Annotated[tuple[str, ...], Field(min_length=1)]
    samples: Positive | None = None
    validation: tuple[str, ...] = ()
    start: str | None = None
    body: str = "open"
    threads: Positive = 2
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    network: NetworkConfig = NetworkConfig()
    augment: AugmentConfig = AugmentConfig()
    weights: WeightsConfig = WeightsConfig()
    loop: LoopConfig

    @model_validator(mode="after")
    def _threads_are_of_the_cpu(self) -> "TrainHmrConfig":
        if self.device != "cpu" and self.threads != 1:
            raise ValueError(f"threads share a batch on the CPU only: got {self.threads} threads on {self.device}")
        return self
