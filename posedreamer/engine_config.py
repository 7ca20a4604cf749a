"""The `engine` and `gates` of a config: how a run is carried out and what stops it. Nothing here changes a byte of the result."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from posedreamer.strict import Positive, Strict


class GateConfig(Strict):
    """Least and most that a figure may be."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "GateConfig":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"a gate's min must not be above its max, got {self.min} and {self.max}")
        return self


class GatesConfig(Strict):
    """What stops a run that has drifted, measured on every `every` shards that are finished. Not part of the run's identity: another
    gate may be set to go on.

    keep_rate: share of the attempted. kid_effnet: of the kept pictures against `reference`. oks: mean of the attempted.
    """

    every: Positive = 50
    keep_rate: GateConfig = GateConfig()
    kid_effnet: GateConfig = GateConfig()
    oks: GateConfig = GateConfig()


class PoolConfig(Strict):
    """One stage's actors, what each of them reserves, and the Ray runtime environment that they need beside the job's."""

    actors: Positive = 1
    cpus: Annotated[float, Field(ge=0.0)] = 0.25
    gpus: Annotated[float, Field(ge=0.0)] = 0.0
    runtime_env: dict[str, Any] = Field(default_factory=dict)


class EngineConfig(Strict):
    """How the work is spread. Nothing here changes the result, so nothing here is part of the run's identity.

    A shard that takes longer than stall_factor times what the finished ones needed (at least stall_floor_s) is a stall.
    """

    sampling: PoolConfig = PoolConfig()
    generation: PoolConfig = PoolConfig()
    mining: PoolConfig = PoolConfig()
    filtering: PoolConfig = PoolConfig()
    object_store_mb: Annotated[int, Field(ge=80)] = 400
    stall_factor: Annotated[float, Field(ge=1.0)] = 10.0
    stall_floor_s: Annotated[float, Field(gt=0.0)] = 600.0
