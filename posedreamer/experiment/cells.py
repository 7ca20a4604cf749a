"""Cells of an experiment: the learner of one set and one seed, and its errors on every test.

Folder of an experiment: `config.json`; `runs/<name>`, runs of the line; `cells/<set>-<seed>`, training runs of the learner;
`tests/<name>`, the packed people; `measured/<set>-<seed>-<test>.json`, errors of each person with the card of the protocol. What is
finished is not made again, so a killed experiment goes on.
"""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.estimators.mesh import load_network
from posedreamer.experiment.config import ExperimentConfig, PartConfig
from posedreamer.line import generate
from posedreamer.metrics.mesh import ERRORS, MeshErrors, ProtocolCard
from posedreamer.storage.files import write_file
from posedreamer.strict import differences, read_yaml
from posedreamer.training.hmr_config import DataConfig, TrainHmrConfig
from posedreamer.training.hmr_data import People, pack_people
from posedreamer.training.hmr_measures import mean_body, measure_constant, measure_network
from posedreamer.training.hmr_run import train_hmr

log = logging.getLogger(__name__)
MEASURED = "measured"
CONSTANT = "mean body"  # the baseline that looks at no picture: the mean pose and shape of the baseline's people


def record_config(config: ExperimentConfig, out: Path) -> None:
    """Writes `config.json`. A folder that was begun with another learner is a ValueError; runs, sets, tests and seeds may be added."""
    path, content = out / "config.json", config.model_dump(mode="json")
    content["learner"] = any_learner(config).model_dump(mode="json", exclude={"data", "seed"})
    if path.is_file():
        known = json.loads(path.read_text())
        wanted = {"learner": content["learner"], "baseline": content["baseline"]}
        for kind in ("runs", "sets", "tests"):
            wanted |= {f"{kind}.{name}": value for name, value in content[kind].items() if name in known[kind]}
            known |= {f"{kind}.{name}": value for name, value in known[kind].items()}
        if strange := differences(known, wanted):
            raise ValueError(f"experiment: {out} was begun with {strange}; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_file(path, (json.dumps(content, indent=1) + "\n").encode())


def make_runs(config: ExperimentConfig, out: Path) -> None:
    """Makes what is missing of the runs; a learner that a run is mined by is trained before it."""
    for name, run in config.runs.items():
        folder = out / "runs" / name
        overrides = [override.replace("{runs}", str(out / "runs")) for override in run.set]
        if run.learner_of is not None:
            learner = train_cell(config, run.learner_of, config.seeds[0], out)
            overrides.append(f"mining.learner={{model: {learner}}}")
        log.info("run %s", name)
        generate(run.config, str(folder), overrides)


def learner_config(config: ExperimentConfig, data: Sequence[DataConfig], seed: int) -> TrainHmrConfig:
    """The training of a learner on these people."""
    sources = json.dumps([part.model_dump() for part in data])
    return read_yaml(TrainHmrConfig, config.learner, [*config.learner_set, f"data={sources}", f"seed={seed}"])


def any_learner(config: ExperimentConfig) -> TrainHmrConfig:
    """What the trainings of all learners have in common; its people and its seed mean nothing."""
    return learner_config(config, (DataConfig(source="."),), 0)


def people_of(parts: Sequence[PartConfig], out: Path) -> tuple[DataConfig, ...]:
    """Where the people of a set or a test are."""
    found = []
    for part in parts:
        run = out / "runs" / part.run
        # Of a run's folder only the kept samples are read; of folders of tars all, here kept and refused ones.
        source = f"{run}/{{shards,rejects}}" if part.rejects else str(run)
        found.append(DataConfig(source=source, samples=part.samples))
    return tuple(found)


def cell_folder(name: str, seed: int, out: Path) -> Path:
    """Where the learner of a set and a seed is trained; its packed people are in `people`."""
    return out / "cells" / f"{name}-{seed}"


def train_cell(config: ExperimentConfig, name: str, seed: int, out: Path) -> Path:
    """Trains (or resumes) the learner of a set and a seed; the folder of the learner."""
    folder = cell_folder(name, seed, out)
    done = folder / "trained.json"
    if not done.is_file():
        log.info("cell %s, seed %d", name, seed)
        started = time.monotonic()
        train_hmr(learner_config(config, people_of(config.sets[name], out), seed), folder, resume=True)
        write_file(done, (json.dumps({"seconds_of_last_start": time.monotonic() - started}) + "\n").encode())
    return folder / "learner"


def people_of_set(config: ExperimentConfig, name: str, out: Path, body: BodyModel) -> People:
    """The people of a set, as its cell of the first seed has packed them."""
    return pack_people(people_of(config.sets[name], out), cell_folder(name, config.seeds[0], out) / "people", body)


def people_of_test(config: ExperimentConfig, name: str, out: Path, body: BodyModel) -> People:
    """The people of a test."""
    return pack_people(people_of(config.tests[name], out), out / "tests" / name, body)


def measure_cell(config: ExperimentConfig, name: str, seed: int, out: Path) -> None:
    """Measures the learner of a set and a seed on every test that it was not measured on yet."""
    network, body = load_network(train_cell(config, name, seed, out)), load_body(any_learner(config).body)
    for test in config.tests:
        if not _path(out, name, seed, test).is_file():
            errors = measure_network(network, people_of_test(config, test, out, body), body)
            log.info("%s, seed %d on %s: PVE %.1f mm", name, seed, test, errors.pve_mm.mean())
            save_errors(errors, _path(out, name, seed, test))


def measure_mean_body(config: ExperimentConfig, out: Path) -> None:
    """Measures, on every test, the mean body of the baseline's people (of the first seed's cell)."""
    body = load_body(any_learner(config).body)
    missing = [test for test in config.tests if not _path(out, CONSTANT, 0, test).is_file()]
    if missing:
        mean = mean_body(people_of_set(config, config.baseline, out, body), body)
        size = any_learner(config).network.size
        for test in missing:
            errors = measure_constant(*mean, people_of_test(config, test, out, body), body, size)
            save_errors(errors, _path(out, CONSTANT, 0, test))


def save_errors(errors: MeshErrors, path: Path) -> None:
    """Writes the errors of each person, with the card of the protocol."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"card": vars(errors.card), **{name: getattr(errors, name).tolist() for name in ERRORS}}
    write_file(path, (json.dumps(content) + "\n").encode())


def load_errors(path: Path) -> MeshErrors:
    """What `save_errors` wrote."""
    content = json.loads(path.read_text())
    return MeshErrors(ProtocolCard(**content["card"]), *(np.array(content[name]) for name in ERRORS))


def errors_of(config: ExperimentConfig, name: str, test: str, out: Path) -> list[MeshErrors]:
    """The errors of a set's learners on a test, one a seed."""
    seeds = (0,) if name == CONSTANT else config.seeds
    return [load_errors(_path(out, name, seed, test)) for seed in seeds]


def _path(out: Path, name: str, seed: int, test: str) -> Path:
    return out / MEASURED / f"{name.replace(' ', '_')}-{seed}-{test}.json"
