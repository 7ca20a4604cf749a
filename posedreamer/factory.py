"""The line: rounds of shards through four pools of Ray actors.

    SAMPLE -> GENERATE -> MINE (scores) -> FILTER (verdict) -> shards + index; between rounds, the curriculum

A row of the Ray dataset is a shard: deterministic content, fixed name, done-mark last. A shard that is repeated, by a
retry or after a resume, replaces itself; resuming is doing the shards without a done-mark. Ray gives back-pressure,
retries and pools of their own size and hardware; what a shard contains depends on none of it.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import ray.data
from ray.data import ActorPoolStrategy, DataContext

from posedreamer.cluster import connected
from posedreamer.config import Config
from posedreamer.engine_config import PoolConfig
from posedreamer.planning import RoundCounts, plan_next_round
from posedreamer.sample import Sample, Verdict, make_key
from posedreamer.storage.codec import decode_samples, encode_samples
from posedreamer.storage.shard import write_shard
from posedreamer.storage.stats import ShardStats, is_done, read_stats
from posedreamer.watch import watched

log = logging.getLogger(__name__)

# A row travels through Ray's object store whole; more than this is refused when the run is planned.
MAX_ROW_BYTES = 512 * 1024 * 1024


@runtime_checkable
class Stage(Protocol):
    """What the line asks of a stage: models are loaded once in an actor by `setup`; a call maps samples to samples."""

    def setup(self) -> None: ...

    def __call__(self, samples: list[Sample]) -> list[Sample]: ...


@dataclass(frozen=True)
class Line:
    """The four stages of one round."""

    sampling: Stage
    generation: Stage
    mining: Stage
    filtering: Stage


@dataclass(frozen=True)
class Outcome:
    """What a whole run did."""

    rounds: tuple[RoundCounts, ...]

    @property
    def kept(self) -> int:
        return sum(counts.kept for counts in self.rounds)

    @property
    def attempted(self) -> int:
        return sum(counts.attempted for counts in self.rounds)


def run_line(
    config: Config,
    run_dir: str,
    body: Mapping[str, str],
    line_of_round: Callable[[int], Line],
    on_shard: Callable[[ShardStats, bool], None],
) -> Outcome:
    """Runs every round that the plan asks for and that is not done; returns the counts of all rounds.

    body: what each sample tells of the body model. line_of_round: the stages of round r; called when every shard before
    it is done, so it may fit a curriculum on them. on_shard: called in this process with each shard and whether it is new
    (not finished by an earlier call).
    """
    _refuse_large_rows(config)
    finished: list[RoundCounts] = []
    with connected(config.engine):
        while (shards := plan_next_round(config, finished)) is not None:
            round_index = len(finished)
            done = {shard: read_stats(run_dir, shard) for shard in shards if is_done(run_dir, shard)}
            for stats in done.values():
                on_shard(stats, False)
            pending = [shard for shard in shards if shard not in done]
            if pending:
                rows = _round_rows(config, run_dir, body, line_of_round(round_index), round_index, pending)
                for stats in watched(rows, pending, config):
                    done[stats.shard] = stats
                    on_shard(stats, True)
            attempted = sum(stats.attempted for stats in done.values())
            finished.append(RoundCounts(len(done), attempted, sum(stats.kept for stats in done.values())))
    return Outcome(tuple(finished))


def run_shard(config: Config, stages: Sequence[tuple[str, Stage]], round_index: int, shard: int) -> list[Sample]:
    """The samples of one shard, by the same functions without Ray (stages set up by the caller): benchmark and tests."""
    samples = start_shard(config, round_index, shard)
    for name, stage in stages:
        samples = apply_stage(name, stage, samples)
    return samples


def start_shard(config: Config, round_index: int, shard: int) -> list[Sample]:
    """The empty records of a shard: nothing but keys, those of one label's candidates together."""
    places = range(config.shard_size // config.candidates)
    numbers = range(config.candidates) if config.candidates > 1 else (None,)
    keys = [make_key(config.key_hash, round_index, shard, place, number) for place in places for number in numbers]
    return [Sample(key, config.seed) for key in keys]


def apply_stage(name: str, stage: Stage, samples: list[Sample]) -> list[Sample]:
    """`stage(samples)`; when it raises, sample by sample, so that a bad one stops only itself.

    Running out of memory or disk is no sample's fault: that goes on upwards and stops the run.
    """
    try:
        results = stage(samples)
    except (MemoryError, OSError):
        raise
    except Exception:
        log.exception("stage %s failed on shard of %s; trying its samples one by one", name, samples[0].key)
        results = [_apply_to_one(name, stage, sample) for sample in samples]
    keys, expected = [sample.key for sample in results], [sample.key for sample in samples]
    if keys != expected:
        raise ValueError(
            f"stage {name} must return the samples it was given, in order: got {keys}, expected {expected}"
        )
    return results


def _apply_to_one(name: str, stage: Stage, sample: Sample) -> Sample:
    try:
        (result,) = stage([sample])
    except (MemoryError, OSError):
        raise
    except Exception as error:
        log.error("sample %s failed in stage %s: %s", sample.key, name, error)
        return replace(sample, verdict=Verdict("failed", f"{name}: {type(error).__name__}: {error}"))
    return result


class StageActor:
    """One stage in an actor. Takes and gives a batch of one row: shard, round, encoded samples, seconds by stage."""

    def __init__(self, name: str, stage: Stage, config: Config) -> None:
        self.name, self.stage, self.config = name, stage, config
        stage.setup()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        shard, round_index = int(batch["shard"][0]), int(batch["round"][0])
        encoded = batch.get("samples")
        samples = start_shard(self.config, round_index, shard) if encoded is None else decode_samples(encoded[0])
        started = time.perf_counter()
        samples = apply_stage(self.name, self.stage, samples)
        seconds = {name: batch[name] for name in batch if name.startswith("seconds_")}
        seconds[f"seconds_{self.name}"] = np.array([time.perf_counter() - started])
        return {"shard": batch["shard"], "round": batch["round"], **self.finish(shard, round_index, samples, seconds)}

    def finish(self, shard: int, round_index: int, samples: list[Sample], seconds: dict[str, Any]) -> dict[str, Any]:
        """The row for the next stage."""
        payload = encode_samples(samples)
        if len(payload) > MAX_ROW_BYTES:
            raise ValueError(
                f"shard {shard} has {len(payload)} bytes between stages, expected at most {MAX_ROW_BYTES}: lower shard_size"
            )
        return {"samples": np.array([payload], dtype=object), **seconds}


class LastStageActor(StageActor):
    """The last stage composed with the shard writer: only the shard's number leaves it, its stats are on disk."""

    def __init__(self, name: str, stage: Stage, config: Config, run_dir: str, body: Mapping[str, str]) -> None:
        super().__init__(name, stage, config)
        self.run_dir, self.body = run_dir, body

    def finish(self, shard: int, round_index: int, samples: list[Sample], seconds: dict[str, Any]) -> dict[str, Any]:
        by_stage = {name.removeprefix("seconds_"): float(value[0]) for name, value in seconds.items()}
        write_shard(
            self.run_dir, shard, round_index, samples, by_stage,
            body=self.body, image_format=self.config.image.format, keep_rejects=self.config.storage.keep_rejects,
        )  # fmt: skip
        return {}


def _round_rows(
    config: Config, run_dir: str, body: Mapping[str, str], line: Line, round_index: int, shards: Sequence[int]
) -> Iterator[ShardStats]:
    """Stats of the shards as they are written, in whatever order they finish."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_consecutive_actor_init_deaths = 3  # an actor killed while it loads its model is started again
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    engine = config.engine
    rows = ray.data.from_items(
        [{"shard": shard, "round": round_index} for shard in shards], override_num_blocks=len(shards)
    )
    for name, stage, pool in (
        ("sampling", line.sampling, engine.sampling),
        ("generation", line.generation, engine.generation),
        ("mining", line.mining, engine.mining),
    ):
        rows = _map_pool(rows, len(shards), StageActor, pool, name=name, stage=stage, config=config)
    last = {"stage": line.filtering, "config": config, "run_dir": run_dir, "body": body}
    rows = _map_pool(rows, len(shards), LastStageActor, engine.filtering, name="filtering", **last)
    for row in rows.iter_rows():
        yield read_stats(run_dir, int(row["shard"]))


def _map_pool(rows: Any, num_rows: int, actor: type[StageActor], pool: PoolConfig, **settings: Any) -> Any:
    environment = {"runtime_env": pool.runtime_env} if pool.runtime_env else {}
    return rows.map_batches(
        actor,
        fn_constructor_kwargs=settings,
        batch_size=1,
        batch_format="numpy",
        compute=ActorPoolStrategy(size=min(pool.actors, num_rows)),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
        **environment,
    )


def _refuse_large_rows(config: Config) -> None:
    # Per pixel: 3 bytes for a picture that does not compress at all, and as much for the maps together, which do.
    row_bytes = config.shard_size * config.image.width * config.image.height * 6
    if row_bytes > MAX_ROW_BYTES:
        raise ValueError(
            f"a shard of {config.shard_size} samples at {config.image.width} x {config.image.height} may need"
            f" {row_bytes} bytes between stages, more than {MAX_ROW_BYTES}: lower shard_size"
        )
