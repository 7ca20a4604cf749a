"""Laws of an experiment: every cell is made once, sets are what they say, and a ratio to the baseline has the baseline's protocol."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from posedreamer.bodies.catalog import load_body
from posedreamer.experiment import cells, table
from posedreamer.experiment.cells import (  # fmt: skip
    CONSTANT,
    errors_of,
    load_errors,
    make_runs,
    measure_cell,
    measure_mean_body,
    people_of,
    record_config,
    save_errors,
)
from posedreamer.experiment.config import ExperimentConfig
from posedreamer.experiment.table import picture_distances, summarise, to_markdown
from posedreamer.metrics.mesh import ERRORS, MeshErrors, ProtocolCard
from posedreamer.training.hmr_data import pack_people

SAMPLE = Path(__file__).parents[2] / "shards" / "sample"


def make_config(tmp_path: Path, **changes) -> ExperimentConfig:
    learner = tmp_path / "learner.yaml"
    loop = {
        "steps": 2,
        "batch_size": 4,
        "warmup_steps": 1,
        "decay_steps": 1,
        "checkpoint_every": 2,
        "preview_every": 100,
    }
    network = {"size": 64, "width": 32, "heads": 2, "layers": 1}
    learner.write_text(yaml.safe_dump({"data": ["x"], "threads": 1, "precision": "float32", "network": network, "loop": loop}))  # fmt: skip
    return ExperimentConfig.model_validate(
        {
            "seeds": [0, 1],
            "learner": learner,
            "runs": {
                "first": {"config": "a.yaml", "set": ["sampling.labels_of={runs}/other"]},
                "mined": {"config": "b.yaml", "learner_of": "random"},
            },
            "sets": {"random": [{"run": "first", "samples": 6}], "both": [{"run": "first", "samples": 3}, {"run": "mined", "samples": 3}]},
            "tests": {"held out": [{"run": "first"}]},
            "baseline": "random",
            "reference": "held out",
        }
        | changes
    )  # fmt: skip


@pytest.fixture
def generated(monkeypatch) -> list:
    """What the line was asked for; each run becomes a copy of the sample shard."""
    asked = []

    def generate(config, run_dir, overrides):
        asked.append((str(config), run_dir, list(overrides)))
        if not Path(run_dir).is_dir():
            shutil.copytree(SAMPLE, run_dir)

    monkeypatch.setattr(cells, "generate", generate)
    return asked


def run_all(config: ExperimentConfig, out: Path) -> None:
    record_config(config, out)
    make_runs(config, out)
    measure_mean_body(config, out)
    for name in config.sets:
        for seed in config.seeds:
            measure_cell(config, name, seed, out)


def test_an_experiment_is_made_once_and_told_whole(tmp_path, generated, monkeypatch):
    config, out = make_config(tmp_path), tmp_path / "out"
    run_all(config, out)
    first, mined = generated
    assert first == ("a.yaml", f"{out}/runs/first", [f"sampling.labels_of={out}/runs/other"])
    assert mined[2] == [f"mining.learner={{model: {out}/cells/random-0/learner}}"]
    found = summarise(config, out)
    for name, seeds in ((CONSTANT, 1), ("random", 2), ("both", 2)):
        figures = found["errors"][name]["held out"]["pve_mm"]
        errors = errors_of(config, name, "held out", out)
        assert len(errors) == seeds and figures["people"] == len(errors[0].pve_mm)
        assert figures["mean"] == pytest.approx(np.mean([one.pve_mm.mean() for one in errors]))
    assert found["errors"]["random"]["held out"]["pve_mm"]["over_baseline"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    distances = picture_distances(config, out, load_body())
    assert set(distances) == {"random", "both"} and distances["random"]["pictures"] == 6
    text = to_markdown(config, found | {"pictures": distances})
    assert found["cards"]["held out"] in text and text.count("| both |") == 2 and "| mean body |" in text

    # A second call trains, packs and measures nothing.
    for name in ("train_hmr", "measure_network", "measure_constant"):
        monkeypatch.setattr(cells, name, None)
    run_all(config, out)
    assert summarise(config, out) == found


def test_sets_are_the_people_they_say(tmp_path, generated):
    config, out = make_config(tmp_path), tmp_path / "out"
    config = config.model_copy(update={"sets": config.sets | {"all": make_config(tmp_path, sets={"random": [{"run": "first", "rejects": True}]}).sets["random"]}})  # fmt: skip
    cells.generate("a", str(out / "runs" / "first"), [])
    (out / "runs" / "first" / "rejects").mkdir()
    shutil.copy(SAMPLE / "shards" / "000000.tar", out / "runs" / "first" / "rejects")
    some = pack_people(people_of(config.sets["random"], out), tmp_path / "some", load_body())
    every = pack_people(people_of(config.sets["all"], out), tmp_path / "every", load_body())
    kept = pack_people(people_of(config.tests["held out"], out), tmp_path / "kept", load_body())
    assert some.num_rows == 6 and set(some.keys) < set(kept.keys) and every.keys == kept.keys * 2


def test_other_protocols_are_not_compared(tmp_path):
    config, out = make_config(tmp_path, seeds=[0], sets={"random": [{"run": "first"}]}, runs={"first": {"config": "a.yaml"}}, reference=None), tmp_path / "out"  # fmt: skip
    rows = [np.array([30.0, 50.0])] * len(ERRORS)
    for name, card in ((CONSTANT, ProtocolCard("a")), ("random", ProtocolCard("b"))):
        save_errors(MeshErrors(card, *rows), out / "measured" / f"{name.replace(' ', '_')}-0-held out.json")
    assert load_errors(out / "measured" / "random-0-held out.json").card == ProtocolCard("b")
    with pytest.raises(ValueError, match="different protocols cannot be compared: body: 'a' and 'b'"):
        summarise(config, out)
    assert picture_distances(config, out, load_body()) == {}


def test_the_ratio_to_the_baseline_is_of_the_same_people(tmp_path):
    config, out = make_config(tmp_path, seeds=[0, 1], runs={"first": {"config": "a.yaml"}}, sets={"random": [{"run": "first"}], "half": [{"run": "first"}]}, reference=None), tmp_path / "out"  # fmt: skip
    rng = np.random.default_rng(0)
    for seed in (0, 1):
        people = rng.uniform(20, 200, 50)
        for name, factor in (("random", 1.0), ("half", 0.5), ("mean_body", 2.0)):
            rows = [factor * people] * len(ERRORS)
            save_errors(MeshErrors(ProtocolCard("a"), *rows), out / "measured" / f"{name}-{seed}-held out.json")
    ratio = summarise(config, out)["errors"]["half"]["held out"]["mpjpe_mm"]
    assert ratio["over_baseline"] == pytest.approx({"value": 0.5, "low": 0.5, "high": 0.5})
    means = [load_errors(table_path).mpjpe_mm.mean() for table_path in sorted((out / "measured").glob("half-*"))]
    assert ratio["deviation"] == pytest.approx(np.std(means, ddof=1)) and table.HEADS.keys() == set(ERRORS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "none"}, "baseline: unknown name 'none', expected one of random, both"),
        ({"reference": "none"}, "reference: unknown name 'none'"),
        ({"tests": {"t": [{"run": "absent"}]}}, r"tests\.t: unknown name 'absent'"),
        ({"runs": {"mined": {"config": "b", "learner_of": "random"}, "first": {"config": "a"}}}, r"runs\.mined: its learner of random needs first"),
    ],
)  # fmt: skip
def test_unknown_names_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        make_config(tmp_path, **changes)


def test_a_folder_keeps_its_learner_and_runs_but_may_get_more(tmp_path):
    config, out = make_config(tmp_path), tmp_path / "out"
    record_config(config, out)
    more = config.model_copy(update={"sets": config.sets | {"third": config.sets["both"]}})
    record_config(more, out)
    assert "third" in json.loads((out / "config.json").read_text())["sets"]
    with pytest.raises(ValueError, match="was begun with"):
        record_config(config.model_copy(update={"learner_set": ("loop.steps=3",)}), out)
    other = make_config(tmp_path, runs={"first": {"config": "c.yaml"}, "mined": {"config": "b.yaml", "learner_of": "random"}})  # fmt: skip
    with pytest.raises(ValueError, match=r"runs\.first"):
        record_config(other, out)
