"""A run of the engine with stages that cost nothing: `python tests/fake_line.py RUN_DIR [actors] [seconds a shard and stage]`.

Started as a process of its own, so that a test can kill it, its actors, or Ray under it.
"""

import sys
import time
from dataclasses import replace

import numpy as np

from posedreamer.config import Config, RoundsConfig
from posedreamer.engine_config import EngineConfig, PoolConfig
from posedreamer.factory import Line, run_line
from posedreamer.sample import PARAMETER_SHAPES, BodyParameters, Condition, Label, Picture, Prompt, Sample, Verdict
from posedreamer.seeds import generator_for

SIZE = 64


class FakeSampling:
    def __init__(self, pause: float) -> None:
        self.pause = pause

    def setup(self) -> None: ...

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        time.sleep(self.pause)
        return [self.fill(sample) for sample in samples]

    def fill(self, sample: Sample) -> Sample:
        rng = generator_for(sample.run_seed, sample.key, "label")
        draw = {name: rng.normal(size=shape).astype(np.float32) for name, shape in PARAMETER_SHAPES.items()}
        label = Label(
            parameters=BodyParameters(**draw),
            K=np.diag([50.0, 50.0, 1.0]),
            T_cam_from_world=np.eye(4),
            joints_cam=rng.normal(size=(127, 3)).astype(np.float32),
            keypoints=rng.normal(size=(127, 2)).astype(np.float32),
            visible=rng.random(127) < 0.5,
            coco_keypoints=rng.normal(size=(17, 3)).astype(np.float32),
            bbox=np.array([1, 2, 3, 4], dtype=np.float32),
            width=SIZE,
            height=SIZE,
            source="library",
            tags=("fake",),
        )
        xyz = rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
        mask = rng.random((SIZE, SIZE)) < 0.5
        depth_mm = rng.integers(0, 5000, (SIZE, SIZE)).astype(np.uint16)
        return replace(
            sample,
            label=label,
            prompt=Prompt("a person", {"top_color": "red"}),
            condition=Condition("xyz", xyz, xyz, mask, depth_mm),
        )


class FakeGeneration(FakeSampling):
    def fill(self, sample: Sample) -> Sample:
        rng = generator_for(sample.run_seed, sample.key, "noise")
        if sample.key.endswith("3"):
            raise ValueError("a bad sample")
        rgb = rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
        return replace(sample, image=Picture(rgb, "fake", 7))


class FakeMining(FakeSampling):
    def fill(self, sample: Sample) -> Sample:
        oks = float(generator_for(sample.run_seed, sample.key, "oks").random())
        return replace(sample, scores={"oks": oks, "difficulty": None}) if sample.is_pending else sample


class FakeFiltering(FakeSampling):
    def fill(self, sample: Sample) -> Sample:
        if not sample.is_pending:
            return sample
        kept = (sample.scores["oks"] or 0.0) >= 0.5
        return replace(sample, verdict=Verdict("kept") if kept else Verdict("rejected", "oks_low"))


def main(run_dir: str, actors: int, pause: float) -> None:
    pool = PoolConfig(actors=actors)
    engine = EngineConfig(
        sampling=pool, generation=pool, mining=pool, filtering=pool, object_store_mb=100, stall_floor_s=120
    )
    # Two rounds, of 10 and 8 shards; every round starts its actors anew, which takes seconds.
    rounds = RoundsConfig(count=2, first_share=0.2, max_shards=18)
    config = Config(name="fake", samples=100, shard_size=4, rounds=rounds, engine=engine)
    line = Line(FakeSampling(pause), FakeGeneration(pause), FakeMining(pause), FakeFiltering(pause))
    outcome = run_line(
        config, run_dir, FAKE_BODY, lambda _: line, lambda stats, _: print("shard", stats.shard, flush=True)
    )
    print("kept", outcome.kept, "attempted", outcome.attempted, flush=True)


FAKE_BODY = {"name": "fake", "sha256": "0" * 64, "gender": "neutral", "hand_mean": "mean"}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1, float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
