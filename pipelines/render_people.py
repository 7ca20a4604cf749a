"""Renders a dataset: `python pipelines/render_people.py --out runs/rendered`, the baseline of the papers' comparisons.

The line of generate.py with the renderer in stage 2 (configs/rendered.yaml): the same sampling, scores, checks and shards, so
that such a set differs from a generated one in its pictures alone. How the pictures are made: docs/look.md. The nano
generator's training set comes from render_training_set.py, unjudged and unpacked.
"""

import argparse
from pathlib import Path

from posedreamer.line import gather_overrides, generate
from posedreamer.stages.generation.renderer import RENDERER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/rendered.yaml"))
    parser.add_argument("--out", required=True, help="run directory, local or a URL")
    parser.add_argument("--samples", type=int, help="kept samples wanted; the same as --set samples=N")
    parser.add_argument("--seed", type=int, help="the same as --set seed=S")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=value", help="any field of the config")
    arguments = parser.parse_args()
    overrides = [*arguments.set, f"generator.model={RENDERER}"]
    generate(arguments.config, arguments.out, gather_overrides(overrides, arguments.samples, arguments.seed))


if __name__ == "__main__":
    main()
