"""Renders scans for a multi-view model: `python pipelines/render_scans.py --out runs/scans --samples 4096 --split train --families everyday,work`.

Killed at any time, the same command goes on; the data does not depend on the number of processes.
"""

import argparse
import functools
import logging
from pathlib import Path

from posedreamer.drpose.scan_data import create_scans, write_scans
from posedreamer.training.packed import finish_packed, write_in_processes


def main() -> None:
    # config: what to render
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--size", type=int, default=128, help="width and height of a view, pixels")
    parser.add_argument("--families", help="of the pose library, and clips, with commas; without: all of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("train", "held_out", "all"), default="train")
    parser.add_argument("--processes", type=int, default=1)
    settings = parser.parse_args()
    families = tuple(settings.families.split(",")) if settings.families else None

    # inputs: the chunks of the data set
    chunks = create_scans(settings.out, settings.split, families, settings.seed, settings.size, settings.samples)

    # stages and run: each process renders the next chunk that is not there yet
    write = functools.partial(write_scans, settings.out, settings.split, families, settings.seed, settings.size)
    write_in_processes(write, chunks, settings.processes)

    # report
    print(f"{finish_packed(settings.out)} scans in {settings.out}")


if __name__ == "__main__":
    main()
