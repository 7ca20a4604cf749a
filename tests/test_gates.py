"""A window of shards beyond a gate stops the run, one within does not; what was let through is not asked again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT

from posedreamer.config import Config, load_config
from posedreamer.engine_config import GateConfig
from posedreamer.gates import GateClosed, Gates, check_gate
from posedreamer.report.set_distance import kept_images
from posedreamer.storage.images import encode_rgb
from posedreamer.storage.index import read_index
from posedreamer.storage.stats import ShardStats, finished_shards, read_stats

SAMPLE = ROOT / "shards" / "sample"


def stats(shard: int, kept: int, attempted: int = 10) -> ShardStats:
    return ShardStats(shard, 0, attempted, kept, attempted - kept, 0)


def config(**gates) -> Config:
    return Config.model_validate({"name": "gated", "gates": gates})


@pytest.mark.parametrize(("least", "most", "passes"), [(0.4, 0.6, True), (0.5, None, True), (0.51, None, False), (None, 0.49, False)])  # fmt: skip
def test_a_gate_holds_its_limits(least, most, passes):
    if passes:
        check_gate("oks", 0.5, GateConfig(min=least, max=most), "here")
    else:
        with pytest.raises(GateClosed, match=r"gate oks: here have 0\.5, expected .* to "):
            check_gate("oks", 0.5, GateConfig(min=least, max=most), "here")


def test_nothing_known_is_beyond_any_gate():
    with pytest.raises(GateClosed):
        check_gate("oks", float("nan"), GateConfig(min=0.0), "here")


def test_each_window_is_judged_by_itself():
    """Nine, nine; then nine, two: the second pair is at .55, although all four are at .73."""
    gates = Gates(config(every=2, keep_rate={"min": 0.6}), "unread")
    for shard, kept in enumerate([9, 9, 9]):
        gates.add_shard(stats(shard, kept), True)
    with pytest.raises(GateClosed, match=r"keep_rate: shards 000002 to 000003 have 0\.55, expected 0\.6 to inf"):
        gates.add_shard(stats(3, 2), True)


def test_shards_of_an_earlier_call_have_been_let_through():
    gates = Gates(config(every=1, keep_rate={"min": 0.6}), "unread")
    gates.add_shard(stats(0, 1), False)
    with pytest.raises(GateClosed):
        gates.add_shard(stats(1, 1), True)


def test_the_scores_and_pictures_of_a_real_run_are_asked(tmp_path):
    """The sample run against its own pictures is near; against noise it is far. Its mean OKS is that of the index."""
    run = Path(shutil.copytree(SAMPLE, tmp_path / "run"))
    shards = [read_stats(run, shard) for shard in finished_shards(run)]
    mean = float(np.mean([value for value in read_index(run).column("score_oks").to_pylist() if value is not None]))
    for margin, passes in ((-1e-6, True), (1e-6, False)):
        gates = Gates(config(every=len(shards), oks={"min": mean + margin}), str(run))
        if passes:
            add_all(gates, shards)
        else:
            with pytest.raises(GateClosed, match="gate oks"):
                add_all(gates, shards)


def add_all(gates: Gates, shards: list[ShardStats]) -> None:
    for one in shards:
        gates.add_shard(one, True)


def test_pictures_are_compared_with_the_reference(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    shown = kept_images(SAMPLE, 100)
    near, far = tmp_path / "near", tmp_path / "far"
    for folder in (near, far):
        folder.mkdir()
    for place in range(32):
        rgb = shown[place % len(shown)]
        (near / f"{place}.png").write_bytes(encode_rgb(rgb))
        (far / f"{place}.png").write_bytes(encode_rgb(rng.integers(0, 256, rgb.shape, dtype=np.uint8)))
    monkeypatch.setattr("posedreamer.gates.kept_images", lambda *_: [shown[k % len(shown)] for k in range(32)])
    for folder, passes in ((near, True), (far, False)):
        gated = Config.model_validate(
            {"name": "gated", "reference": {"folder": str(folder)}, "gates": {"every": 1, "kid_effnet": {"max": 0.1}}}
        )
        with Gates(gated, str(SAMPLE)) as gates:
            if passes:
                gates.add_shard(stats(0, 10), True)
            else:
                with pytest.raises(GateClosed, match="gate kid_effnet"):
                    gates.add_shard(stats(0, 10), True)


def test_gates_are_no_part_of_the_identity_and_need_what_they_compare_with():
    assert config(keep_rate={"min": 0.5}).hash == config().hash
    with pytest.raises(ValueError, match=r"gates\.kid_effnet: there is nothing to compare with"):
        config(kid_effnet={"max": 0.1})
    with pytest.raises(ValueError, match="min must not be above its max"):
        config(oks={"min": 0.9, "max": 0.1})
    assert load_config(ROOT / "configs" / "nano.yaml", ["gates.oks.min=0.5"]).gates.oks.min == 0.5
