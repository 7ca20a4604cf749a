"""The settings of an alignment: strict, frozen models over configs/align_nano.yaml."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from posedreamer.seeds import seed_for
from posedreamer.strict import Positive, Share, Strict, read_yaml


class PairsConfig(Strict):
    """Which candidates make a pair: `PairRule` in pairs.py."""

    scores: Annotated[tuple[str, ...], Field(min_length=1)] = ("oks",)
    least_gap: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    least_winner: Share = 0.5
    most: Positive | None = 1


class AdapterConfig(Strict):
    """LoRA. layers: net (unet or transformer, controlnet) -> names of layers, as peft matches them."""

    rank: Positive = 16
    alpha: Positive = 16
    layers: dict[str, tuple[str, ...]]


class AlignConfig(Strict):
    """One alignment: rounds of candidates, pairs and training.

    line: the config of a run; its generator is aligned, by the scores of its judge. labels: of each round, all new;
    candidates: pictures of a label. training: fields of AlignmentArguments (arguments.py), but those that follow from the run and its generator (seed, output_dir, bf16, fp16, use_cpu).
    """

    seed: Annotated[int, Field(ge=0)] = 0
    line: Path
    labels: Positive
    candidates: Annotated[int, Field(ge=2)] = 8
    rounds: Positive = 1
    pairs: PairsConfig = PairsConfig()
    adapter: AdapterConfig
    training: dict[str, Any]

    @model_validator(mode="after")
    def _training_has_no_place_and_seed(self) -> "AlignConfig":
        own = sorted({"seed", "output_dir", "bf16", "fp16", "use_cpu"} & set(self.training))
        if own:
            raise ValueError(f"training: {', '.join(own)} follow from the run and its generator; leave them out")
        return self

    def candidate_overrides(self, round_index: int, adapter: Path | None) -> list[str]:
        """What changes in the line's config for a round's candidates: their number and seed, and the adapter so far.

        Labels are of the training split, none comes from a curriculum, and a shard holds four labels.
        """
        shards = -(-self.labels // 4)
        seed = seed_for(self.seed, f"round-{round_index}", "candidates")
        overrides = [
            f"name=candidates-{round_index}", f"seed={seed}", f"candidates={self.candidates}",
            f"shard_size={4 * self.candidates}", f"samples={4 * shards * self.candidates}",
            f"rounds={{count: 1, assumed_keep_rate: 1.0, max_shards: {shards}}}",
            "sampling.split=train", "mining.curriculum.share=0.0", "reference={renders: 0}", "storage.keep_rejects=true",
        ]  # fmt: skip
        return overrides + ([] if adapter is None else [f"generator.adapters={json.dumps([str(adapter)])}"])


def load_align_config(path: Path, overrides: Sequence[str] = ()) -> AlignConfig:
    """The config of a YAML file with `a.b=value` overrides; errors as in `read_yaml`."""
    return read_yaml(AlignConfig, path, overrides)
