"""Trains one adapter for each of several settings, on the same candidates, and says which brought most.

    python pipelines/search_alignment.py --config configs/align_nano.yaml --settings configs/align_search.yaml \
        --data runs/held_out --out runs/align_search

Every setting is one round with overrides of the config. Labels to measure on are rows of a packed data set of the held-out split that the
last word (evaluate_alignment.py) is not spoken on: `--first` skips the rows that it takes. Finished settings are not repeated, so it can be cut
at any time. `search.json` and `search.md` are written after each.
"""

import json
import logging
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
import yaml

from posedreamer.alignment.config import AlignConfig, load_align_config
from posedreamer.alignment.gain import best_of, paired_gain
from posedreamer.alignment.rounds import pairs_of_round, train_round
from posedreamer.config import GeneratorConfig, load_config
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.estimators.observer import Observer
from posedreamer.line import generate
from posedreamer.report.alignment_search import to_markdown
from posedreamer.seeds import generator_for
from posedreamer.stages.generation.stage import GenerationStage
from posedreamer.training.generator_measures import Measures, draw_people, measure
from posedreamer.training.nano_data import People, open_dataset, some_rows

JUDGED = ("oks", "second_oks", "attributes")  # columns of Measures whose gain is told
DRAWN = "candidates"


def main(
    config: Annotated[Path, typer.Option(help="YAML file of the alignment")],
    settings: Annotated[Path, typer.Option(help="YAML file: name of a setting -> list of overrides a.b=value")],
    data: Annotated[Path, typer.Option(help="packed data set of the held-out split (render_training_set.py)")],
    out: Annotated[Path, typer.Option(help="folder of the search")],
    first: Annotated[int, typer.Option(help="rows of the data set that are left for the last word")] = 500,
    count: Annotated[int, typer.Option(help="labels to measure on, after those")] = 140,
    best: Annotated[int, typer.Option(help="pictures a label of the honest baseline: the best of so many, untrained")] = 4,
    threads: Annotated[int, typer.Option()] = 2,
) -> None:  # fmt: skip
    # config: every setting is read before hours of work
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    base, out = load_align_config(config), out.absolute()
    wanted = {name: load_align_config(config, overrides) for name, overrides in yaml.safe_load(settings.read_text()).items()}  # fmt: skip
    for name, one in wanted.items():
        if (one.seed, one.labels, one.candidates, one.line) != (base.seed, base.labels, base.candidates, base.line):
            raise ValueError(f"search: {name} changes the candidates, which all settings share")
    line = load_config(base.line)
    out.mkdir(parents=True, exist_ok=True)

    # inputs: candidates of the first round, held-out labels
    generate(base.line, str(out / DRAWN), base.candidate_overrides(0, None))
    people = some_rows(open_dataset(data, first + count, split="held_out"), slice(first, first + count))

    # stages: the judges, and what they say without training
    judge, observer = KeypointDetector(threads).setup(), Observer(threads).setup()

    def look_at(adapters: tuple[str, ...], seed: int = 0) -> Measures:
        return measure(draw(line.generator.model_copy(update={"adapters": adapters}), people, seed, threads), people, judge, observer)  # fmt: skip

    true = measure(people.images, people, judge, observer)
    before = [look_at((), seed) for seed in range(best)]

    # run and report
    path, rng = out / "search.json", generator_for(base.seed, "search", "bootstrap")
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    chosen = best_of([one.oks for one in before])
    found[f"best of {best}, untrained"] = {"gains": {"oks": paired_gain(before[0].oks, chosen, true.oks, rng)}}
    for name, one in wanted.items():
        if name not in found:
            found[name] = train_setting(one, out, name)
            after = look_at((str(out / name / "adapter"),))
            found[name]["gains"] = {
                column: paired_gain(*(getattr(each, column) for each in (before[0], after, true)), rng=rng) for column in JUDGED
            }  # fmt: skip
        path.write_text(json.dumps(found, indent=1) + "\n")
        (out / "search.md").write_text(to_markdown(found))
    print(to_markdown(found))


def train_setting(config: AlignConfig, out: Path, name: str) -> dict[str, Any]:
    """Pairs and an adapter of one setting, over the candidates that all share; returns what training said."""
    folder = out / name
    shared = folder / DRAWN
    shared.mkdir(parents=True, exist_ok=True)
    for entry in (out / DRAWN).iterdir():
        if not (shared / entry.name).exists() and entry.name != "pairs":
            (shared / entry.name).symlink_to(entry)
    pairs, started = pairs_of_round(config, shared)["pairs"], time.monotonic()
    train_round(config, load_config(config.line), shared, None, folder)
    history = json.loads((folder / "history.json").read_text())
    return {"pairs": pairs, "seconds": round(time.monotonic() - started), "history": history}


def draw(generator: GeneratorConfig, people: People, seed: int, threads: int) -> Any:
    """A picture of each label, with the noise of a seed."""
    stage = GenerationStage(**generator.model_dump())
    stage.setup()
    torch.set_num_threads(threads)
    return draw_people(stage.backend, stage.drawing, people, seed, generator.batch_size)


if __name__ == "__main__":
    typer.run(main)
