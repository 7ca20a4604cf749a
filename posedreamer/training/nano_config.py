"""The settings of the nano generator's training: strict, frozen models over configs/train_nano.yaml."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from posedreamer.strict import Positive, PositiveFloat, Share, Strict, read_yaml
from posedreamer.training.loop_config import LoopConfig


class AutoencoderConfig(Strict):
    """AutoencoderTiny. The encoder is fixed: the leading principal components of square patches. The decoder is trained.

    width: channels of the decoder; blocks: its residual blocks at each resolution, coarsest first: three resolutions more than
    the latents' make patches of 8 x 8. noise: standard deviation added to the latents in training, so that near latents show
    alike pictures. perceptual_weight: of the distance between features. person_weight: extra weight of pixels (and patches) on
    the body; head_weight: more of those on the head. crop: side in pixels of the squares trained on; head_share: share of the
    squares that are around heads; the last `whole_steps` see whole pictures. critic_weight: of what the critic (critic.py) finds
    in the last `critic_steps`. pictures: so many of the first are trained on; none: all.
    """

    pictures: Positive | None = None
    latent_channels: Positive = 16
    width: Positive = 64
    blocks: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2)] = (3, 2, 1, 0)
    noise: PositiveFloat = 0.03
    perceptual_weight: Annotated[float, Field(ge=0.0)] = 0.1
    person_weight: Annotated[float, Field(ge=0.0)] = 1.0
    head_weight: Annotated[float, Field(ge=0.0)] = 2.0
    crop: Positive = 128
    head_share: Share = 0.5
    critic_weight: PositiveFloat = 0.02
    critic_steps: Annotated[int, Field(ge=0)] = 0
    whole_steps: Annotated[int, Field(ge=0)] = 50
    loop: LoopConfig

    @property
    def factor(self) -> int:
        """Pixels along the side of a latent's patch."""
        return 2 ** (len(self.blocks) - 1)

    @model_validator(mode="after")
    def _patches_have_as_many_components(self) -> "AutoencoderConfig":
        if self.latent_channels > 3 * self.factor**2:
            raise ValueError(f"latent_channels: {self.latent_channels}, but a patch has {3 * self.factor**2} values")
        return self


class TextConfig(Strict):
    """CLIPTextModel over whole words. length: tokens, start and end included; a longer prompt is an error in training."""

    width: Positive = 96
    layers: Positive = 2
    heads: Positive = 4
    length: Positive = 40


class DenoiserConfig(Strict):
    """UNet, ControlNet and their training (nano_denoiser.py). pictures: so many of the first are trained on; none: all.

    attention: which levels attend (themselves and the text), finest first; heads: per level. condition_channels: of the
    ControlNet's way from the map to the latents' cells; nothing of the map is lost when they are four times as many at each
    halving. time_channels: of the UNet's embedding of time and text; none: 4 times the first of `channels`.

    steps: with which previews are drawn. first_share: share of the pictures that are trained at the first step, from pure noise;
    the others share the lower levels of noise evenly. own_share: share of those that go on from the denoiser's own first
    prediction. crop: side in pixels of the squares trained on, around heads in `head_share` of the pictures, around places on the
    body in `body_share`, and anywhere in the others; the last `whole_steps` see whole pictures. person_weight: extra weight of
    latent cells on the body; head_weight: more of those on the head. silent_share: share of the pictures whose prompt is left out,
    without which guidance has nothing to lead away from. critic_weight: of what a critic that learns along finds in the predictions
    after the first step (critic.py); 0: there is none. reader_weight: of what a reader of latents does not find in the predictions of
    whole pictures (nano_reader.py), in the steps that see whole ones; 0: it is not asked. guided_inside, guided_outside: guidance that is trained into the predictions, well
    inside the body and, in the first step, away from it (nano_guidance.py); 1: none.
    """

    pictures: Positive | None = None
    channels: tuple[Positive, ...]
    attention: tuple[bool, ...]
    heads: tuple[Positive, ...]
    groups: Positive = 16
    condition_channels: tuple[Positive, ...]
    time_channels: Positive | None = None
    steps: Positive = 4
    first_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    own_share: Share = 0.5
    crop: Positive = 128
    head_share: Share = 0.35
    body_share: Share = 0.45
    whole_steps: Annotated[int, Field(ge=0)] = 0
    person_weight: Annotated[float, Field(ge=0.0)] = 4.0
    head_weight: Annotated[float, Field(ge=0.0)] = 8.0
    silent_share: Share = 0.0
    critic_weight: Annotated[float, Field(ge=0.0)] = 0.0
    reader_weight: Annotated[float, Field(ge=0.0)] = 0.0
    guided_inside: Annotated[float, Field(ge=1.0)] = 1.0
    guided_outside: Annotated[float, Field(ge=1.0)] = 1.0
    loop: LoopConfig

    @property
    def is_guided(self) -> bool:
        """Whether training needs a teacher."""
        return self.guided_inside > 1.0 or self.guided_outside > 1.0

    @model_validator(mode="after")
    def _shares_are_of_one_batch(self) -> "DenoiserConfig":
        if self.head_share + self.body_share > 1.0:
            raise ValueError(
                f"head_share ({self.head_share}) and body_share ({self.body_share}) must not exceed 1 together"
            )
        return self


class TrainNanoConfig(Strict):
    """All of it. data: folder of a packed data set; validation: of another one, of the held-out split; none: no validation.

    precision: of the forward passes (weights stay float32). reader: how the reader of latents is trained; none: there is none.

    device: of torch; threads: that share a batch on the CPU (one anywhere else).
    start: folder of an exported pipeline that training goes on from, with its encoder and its tokenizer; none: from scratch.
    preview_columns: pictures side by side in a sample grid.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    data: Path
    validation: Path | None = None
    start: Path | None = None
    image_size: Positive = 256
    threads: Positive = 2
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    autoencoder: AutoencoderConfig
    text: TextConfig = TextConfig()
    reader: LoopConfig | None = None
    denoiser: DenoiserConfig
    preview_columns: Positive = 8

    @model_validator(mode="after")
    def _threads_are_of_the_cpu(self) -> "TrainNanoConfig":
        if self.device != "cpu" and self.threads != 1:
            raise ValueError(f"threads share a batch on the CPU only: got {self.threads} threads on {self.device}")
        return self

    @model_validator(mode="after")
    def _a_reader_that_is_asked_is_trained(self) -> "TrainNanoConfig":
        if self.denoiser.reader_weight > 0 and self.reader is None:
            raise ValueError("denoiser.reader_weight needs `reader`, the training of the net that is asked")
        return self

    @model_validator(mode="after")
    def _guided_targets_have_a_teacher(self) -> "TrainNanoConfig":
        if self.denoiser.is_guided and self.start is None:
            raise ValueError("guided_inside and guided_outside need `start`, the model whose guidance is trained in")
        return self


def load_train_config(path: Path, overrides: Sequence[str] = ()) -> TrainNanoConfig:
    """The settings of a YAML file with `a.b=value` overrides; errors as in `read_yaml`."""
    return read_yaml(TrainNanoConfig, path, overrides)
