"""A run decided anew is the run that the new thresholds would have made, whenever it is cut; what cannot be decided is refused."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT, posedreamer

from posedreamer.bodies.catalog import load_body
from posedreamer.config import Config
from posedreamer.line import filtering_stage
from posedreamer.refilter import changed_filters, refilter
from posedreamer.sample import Sample, Verdict, make_key
from posedreamer.storage import rewrite
from posedreamer.storage.index import read_index
from posedreamer.storage.manifest import open_run, read_manifest
from posedreamer.storage.provenance import describe_body, make_manifest
from posedreamer.storage.shard import read_shard, write_shard
from posedreamer.strict import read_fields

sys.path.append(str(Path(__file__).parent / "report"))
from report_runs import make_sample

SHARDS, SIZE = 3, 6
LOOSE, STRICT = (
    ["filters.oks.min=0.5", "filters.silhouette.min=0.2"],
    ["filters.oks.min=0.8", "filters.silhouette.min=0.4"],
)


def config_of(overrides):
    return read_fields(Config, {"name": "small", "samples": 8, "shard_size": SIZE}, "test", overrides)


@pytest.fixture(scope="module")
def attempted() -> list[list[Sample]]:
    """Samples without a verdict, scores as the line gives them; the last of each shard failed, and one shard keeps nothing."""
    rng, shards = np.random.default_rng(0), []
    for shard in range(SHARDS):
        keys = [make_key(config_of([]).key_hash, 0, shard, place) for place in range(SIZE)]
        samples = [make_sample(key, "kept", None, 0.9, place, "xyz") for place, key in enumerate(keys[:-1])]
        scores = [
            {"contrast": 50.0, "clipped": 0.1, "colourfulness": 30.0, "tonal_range": 150.0, "cast": 0.5, "blur": 0.4,
             "joints_inside": 1.0, "second_person": 0.1, "difficulty": None,
             "oks": 0.1 if shard == 1 else float(rng.uniform(0.4, 1.0)), "silhouette": float(rng.uniform(0.1, 0.9))}
            for _ in samples
        ]  # fmt: skip
        shards.append(
            [replace(sample, scores=row, verdict=Verdict()) for sample, row in zip(samples, scores, strict=True)]
        )
        shards[-1].append(Sample(keys[-1], 0, verdict=Verdict("failed", "generation: NaN")))
    return shards


def make_run(folder: Path, attempted, overrides, keep_rejects=True) -> str:
    """What the line writes under these thresholds."""
    config, body = config_of(overrides), load_body()
    stage = filtering_stage(config)
    open_run(folder, make_manifest(config.identity(), config.hash, body, {}))
    for shard, samples in enumerate(attempted):
        decided = [replace(s, verdict=stage.decide(s.scores)) if s.is_pending else s for s in samples]
        write_shard(folder, shard, 0, decided, {"mining": 1.0}, body=describe_body(body), keep_rejects=keep_rejects)
    return str(folder)


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def decide_anew(run: str, overrides) -> dict[str, int]:
    config = changed_filters(run, overrides)
    return refilter(run, config, filtering_stage(config))


@pytest.mark.parametrize(("first", "then"), [(LOOSE, STRICT), (STRICT, LOOSE)])
def test_it_is_the_run_that_the_thresholds_would_have_made(tmp_path, attempted, first, then):
    run = make_run(tmp_path / "run", attempted, first)
    fresh = make_run(tmp_path / "fresh", attempted, then)
    found = decide_anew(run, then)
    assert contents(run) == contents(fresh)
    statuses = read_index(run).column("status").to_pylist()
    assert (found["kept"], found["rejected"]) == (statuses.count("kept"), statuses.count("rejected"))
    assert found["kept"] != found["kept_before"] and statuses.count("failed") == SHARDS
    before = contents(run)
    decide_anew(run, then)
    assert contents(run) == before, "a second time changes nothing"


def test_keys_do_not_depend_on_thresholds():
    assert config_of(LOOSE).key_hash == config_of(STRICT).key_hash != config_of(["seed=5"]).key_hash
    assert config_of(LOOSE).hash != config_of(STRICT).hash


@pytest.mark.parametrize(("first", "then"), [(LOOSE, STRICT), (STRICT, LOOSE)])
def test_cut_at_any_write_no_sample_is_lost_and_the_same_call_ends_alike(tmp_path, attempted, monkeypatch, first, then):
    fresh = contents(make_run(tmp_path / "fresh", attempted, then))
    put, cut = rewrite.put_file, 0
    while True:
        run = make_run(tmp_path / f"run-{cut}", attempted, first)
        everyone = stored_keys(run)
        left = iter(range(cut))

        def put_some(*arguments, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            put(*arguments)

        monkeypatch.setattr(rewrite, "put_file", put_some)
        try:
            decide_anew(run, then)
            break
        except KeyboardInterrupt:
            monkeypatch.setattr(rewrite, "put_file", put)
        assert stored_keys(run) == everyone
        with pytest.raises(ValueError, match="refiltering was cut short"):
            open_run(run, read_manifest(run))
        with pytest.raises(ValueError, match="cut short with other thresholds"):
            decide_anew(run, ["filters.oks.min=0.77"])
        decide_anew(run, then)
        assert contents(run) == fresh
        cut += 1
    assert cut >= 8


def stored_keys(run: str) -> set[str]:
    return {sample.key for path in Path(run).glob("*/*.tar") for sample in read_shard(path)}


def test_without_rejects_the_strict_loses_nothing_and_the_loose_is_refused_before_a_write(tmp_path, attempted):
    run = make_run(tmp_path / "run", attempted, LOOSE, keep_rejects=False)
    kept = stored_keys(run)
    decide_anew(run, STRICT)
    assert stored_keys(run) == kept
    decide_anew(run, LOOSE)
    assert {path.name for path in Path(run, "shards").glob("*.tar")} == {"000000.tar", "000002.tar"}
    run = make_run(tmp_path / "other", attempted, STRICT, keep_rejects=False)
    before = contents(run)
    with pytest.raises(ValueError, match=r"would be kept now, but their pictures were not \(storage\.keep_rejects\)"):
        decide_anew(run, LOOSE)
    assert contents(run) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=3"], r"got \['seed=3'\], expected filters"),
        ([], "got no override"),
        (["filters.oks.min=0.3"], r"filters\.oks\.min: .*greater than or equal to 0\.5"),
        (["filters.nothing.min=0.3"], r"filters\.nothing: "),
    ],
)
def test_other_changes_are_refused(tmp_path, attempted, overrides, message):
    run = make_run(tmp_path, attempted[:1], LOOSE)
    before = contents(run)
    with pytest.raises(ValueError, match=message):
        decide_anew(run, overrides)
    assert contents(run) == before


def test_a_check_that_was_not_measured_is_refused(tmp_path, attempted):
    without = [[replace(s, scores={n: v for n, v in s.scores.items() if n != "silhouette"}) for s in attempted[0]]]
    run = make_run(tmp_path, without, ["filters.order=[oks]"])
    with pytest.raises(ValueError, match=r"shard 000000: key .*: no score 'silhouette'; the run did not measure it"):
        decide_anew(run, ["filters.order=[oks, silhouette]"])


def test_the_command_decides_a_copy_of_the_sample_run_anew_and_it_stays_true(tmp_path):
    run = shutil.copytree(ROOT / "shards" / "sample", tmp_path / "run")
    rows = read_index(run)
    oks = np.array(rows.column("score_oks").to_pylist())
    were_kept = np.array(rows.column("status").to_pylist()) == "kept"
    limit = float(np.median(oks[were_kept]))  # stricter than the run's: nothing that it rejected is kept now
    assert limit > 0.7 and f"'kept': {(were_kept & (oks >= limit)).sum()}" in posedreamer(
        "refilter", str(run), "--set", f"filters.oks.min={limit}"
    )
    assert "100 % true" in posedreamer("verify", str(run))
    assert read_manifest(run)["config"]["filters"]["oks"]["min"] == limit
    shown = posedreamer("funnel", str(run))
    assert "oks_low" in shown and "at least" in shown
    assert "expected filters" in posedreamer("refilter", str(run), "--set", "seed=1", expect=2)


def test_a_folder_without_shards_is_no_run(tmp_path):
    with pytest.raises(ValueError, match=r"is not a run: it has no run\.json"):
        decide_anew(str(tmp_path), STRICT)
