"""Generates a dataset: `python pipelines/generate.py --config configs/nano.yaml --out runs/demo`.

The line, and where each part is told:

    SAMPLE    a body, a camera, a prompt; the label is drawn from them      posedreamer/stages/sampling/stage.py
    GENERATE  a picture of that body                                        posedreamer/stages/generation/stage.py
    MINE      scores of the picture against its label                       posedreamer/stages/mining/stage.py
    FILTER    kept or rejected, with a reason                               posedreamer/stages/filtering/stage.py
    shards    tar + index, a done-mark last                                 posedreamer/storage/shard.py

`generate` in posedreamer/line.py puts the beats in order: config, inputs, stages, run, report;
posedreamer/factory.py runs rounds of shards through pools of Ray actors, here or on the cluster that the script was
submitted to. Killed at any time, the same command goes on and ends with the same bytes.
"""

import argparse
from pathlib import Path

from posedreamer.line import gather_overrides, generate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", required=True, help="run directory, local or a URL")
    parser.add_argument("--samples", type=int, help="kept samples wanted; the same as --set samples=N")
    parser.add_argument("--seed", type=int, help="the same as --set seed=S")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=value", help="any field of the config")
    arguments = parser.parse_args()
    generate(arguments.config, arguments.out, gather_overrides(arguments.set, arguments.samples, arguments.seed))


if __name__ == "__main__":
    main()
