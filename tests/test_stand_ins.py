"""The production configs run the whole line, on tiny random pipelines of the classes that their models have."""

import json
from pathlib import Path

import pytest
from commands import posedreamer, sets
from tiny_models import save_tiny

from posedreamer.storage.index import read_index
from posedreamer.storage.manifest import read_manifest

pytestmark = pytest.mark.slow
# What a laptop lacks: the licensed body, the motions, the GPUs, and the hours.
SMALL = [
    "body=open", "samples=2", "shard_size=2", "rounds.count=2", "rounds.max_shards=2", "image.width=64", "image.height=64",
    "sampling.sources=[{kind: library, weight: 0.5}, {kind: motion, weight: 0.5, path: clips}]",
    "generator.steps=2", "generator.batch_size=2", "generator.dtype=float32", "generator.device=cpu",
    "mining.curriculum={pool: 4, chosen: 2}",
    "engine={sampling: {actors: 1, cpus: 0.5}, generation: {actors: 1, cpus: 0.5}, mining: {actors: 1, cpus: 0.5},"
    " filtering: {actors: 1, cpus: 0.5}, object_store_mb: 200}",
]  # fmt: skip


@pytest.mark.parametrize(("config", "xl"), [("sd15_openpose", False), ("sdxl_500k", True)])
def test_production_config_runs_the_whole_line(config: str, xl: bool, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", xl=xl, plain=True)
    overrides = sets([*SMALL, f"generator.model={model}", f"generator.controlnet={model}-controlnet"])
    out = tmp_path / "run"
    posedreamer("generate", "--config", f"configs/{config}.yaml", "--out", str(out), *overrides)
    assert "100 % true" in posedreamer("verify", str(out))
    rows = read_index(out).to_pylist()
    # A random model shows no person: every picture is judged, and refused with a reason.
    assert len(rows) == 4 and {row["round"] for row in rows} == {0, 1}
    assert all(row["status"] == "rejected" and row["reason"] for row in rows)
    assert read_manifest(out)["config"]["generator"]["condition"] == "openpose"
    assert (out / "report.html").is_file() and json.loads((out / "croissant.json").read_text())
