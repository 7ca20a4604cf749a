"""Renders the data set of the nano generator: `python pipelines/render_training_set.py --out runs/people --samples 24000 --split train`.

Killed at any time, the same command goes on; the data does not depend on the number of processes.
"""

import argparse
import functools
import logging
from pathlib import Path

from posedreamer.training.nano_data import create_dataset, write_people_chunk
from posedreamer.training.packed import finish_packed, write_in_processes


def main() -> None:
    # config: what to render
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--size", type=int, default=128, help="width and height, pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("train", "held_out", "all"), default="train")
    parser.add_argument("--processes", type=int, default=1)
    settings = parser.parse_args()

    # inputs: the chunks of the data set
    chunks = create_dataset(settings.out, settings.split, settings.seed, settings.size, settings.samples)

    # stages and run: each process renders the next chunk that is not there yet
    write = functools.partial(write_people_chunk, settings.out, settings.split, settings.seed, settings.size)
    write_in_processes(write, chunks, settings.processes)

    # report
    print(f"{finish_packed(settings.out)} pictures in {settings.out}")


if __name__ == "__main__":
    main()
