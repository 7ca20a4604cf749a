"""The whole line: what Ray costs over a bare loop of the same stage functions, and the share of each stage."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row
from posedreamer.bodies.catalog import load_body
from posedreamer.config import Config, load_config
from posedreamer.factory import run_line, start_shard
from posedreamer.line import make_line
from posedreamer.storage.provenance import describe_body
from posedreamer.storage.shard import write_shard

STAGES = ("sampling", "generation", "mining", "filtering")
BARE = "from benchmarks.whole import bare_shards; import sys; bare_shards(*sys.argv[1:])"


def bare_shards(config_path: str, folder: str, first: str, count: str, generation_only: str = "") -> None:
    """Worker process: shards one after the other, no Ray; prints seconds by stage as JSON (models loaded before)."""
    config = load_config(Path(config_path))
    line = make_line(config, folder, 0)
    stages = {name: getattr(line, name) for name in STAGES}
    for stage in stages.values():
        stage.setup()
    body = describe_body(load_body(config.body))
    seconds: dict[str, float] = dict.fromkeys((*STAGES, "storage"), 0.0)
    for shard in range(int(first) - 1, int(first) + int(count)):  # the first warms up and does not count
        if shard == int(first):
            seconds = dict.fromkeys(seconds, 0.0)
        samples = start_shard(config, 0, shard)
        for name, stage in stages.items():
            started = time.perf_counter()
            samples = stage(samples)
            seconds[name] += time.perf_counter() - started
        started = time.perf_counter()
        write_shard(folder, shard, 0, samples, {}, body=body, image_format=config.image.format)
        seconds["storage"] += time.perf_counter() - started
    sys.stdout.write(json.dumps(seconds))


def run_bare(config_path: Path, processes: int, shards_each: int) -> tuple[float, dict[str, float]]:
    """Shards a second of `processes` bare loops side by side, and the mean seconds of each stage in one of them."""
    with tempfile.TemporaryDirectory() as folder:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", BARE, str(config_path), folder, str(1 + index * (shards_each + 1)), str(shards_each)],
                stdout=subprocess.PIPE, cwd=Path(__file__).parents[1],
            )
            for index in range(processes)
        ]  # fmt: skip
        results = [json.loads(worker.communicate()[0]) for worker in workers]
    if any(worker.returncode for worker in workers):
        raise RuntimeError("a bare loop failed; its message stands above")
    by_stage = {name: sum(result[name] for result in results) / processes for name in results[0]}
    return processes * shards_each / (sum(by_stage.values())), by_stage


def run_ray(config: Config, num_shards: int) -> float:
    """Shards a second while all stages are at work: as many as there are actors more are made before those that count, and after.

    (From the first finished shard to the last, the ones that were half done at the first would count as whole: 1.12.)
    """
    finished: list[float] = []
    pools = (config.engine.sampling, config.engine.generation, config.engine.mining, config.engine.filtering)
    in_flight = sum(pool.actors for pool in pools)
    one_round = {"count": 1, "max_shards": num_shards + 2 * in_flight}
    config = config.model_copy(update={"samples": 10**6, "rounds": config.rounds.model_copy(update=one_round)})
    with tempfile.TemporaryDirectory() as folder:
        run_line(
            config, folder, describe_body(load_body(config.body)),
            line_of_round=lambda round_index: make_line(config, folder, round_index),
            on_shard=lambda stats, is_new: finished.append(time.perf_counter()),
        )  # fmt: skip
    if len(finished) != num_shards + 2 * in_flight:
        raise RuntimeError(f"expected {num_shards + 2 * in_flight} shards of one round, got {len(finished)}")
    return num_shards / (finished[in_flight + num_shards - 1] - finished[in_flight - 1])


def whole(config_path: Path, cores: int, shards_each: int) -> Sequence[Row]:
    """Engine efficiency and speed of light on `cores` cores, with the config's own threads."""
    bare_rate, by_stage = run_bare(config_path, cores, shards_each)
    config = load_config(config_path)
    ray_rate = run_ray(config, cores * shards_each)
    size, total = config.shard_size, sum(by_stage.values())
    shares = ", ".join(f"{name} {100 * value / total:.0f} %" for name, value in by_stage.items())
    light = cores * shards_each / by_stage["generation"]
    return [
        Row("Engine efficiency: line through Ray over bare loops, same cores", f"{ray_rate / bare_rate:.2f}", f"{size * ray_rate:.2f} samples/s, {cores} bare loops {size * bare_rate:.2f}; {config_path.name}", ">= 0.9"),
        Row("Speed of light: whole factory over the bare diffusers stage", f"{ray_rate / light:.2f}", f"generation alone {size * light:.2f} samples/s; share of a sample's time: {shares}"),
    ]  # fmt: skip
