"""Renders the data set of the nano generator: `python pipelines/render_training_set.py --out runs/people --samples 24000 --split train`.

Killed at any time, the same command goes on; the data does not depend on the number of processes.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.training.nano_data import (
    create_dataset,
    finish_dataset,
    make_people_maker,
    write_dataset,
)


def work(settings: argparse.Namespace, chunks: list[int], worker: int) -> int:
    torch.set_num_threads(1)
    maker = make_people_maker(load_body(), load_wardrobe(), settings.split)
    start = time.monotonic()
    for done, chunk in enumerate(chunks, start=1):
        write_dataset(settings.out, maker, settings.seed, settings.size, settings.samples, [chunk])
        if done % 8 == 0 or done == len(chunks):
            print(f"process {worker}: {done}/{len(chunks)} chunks, {time.monotonic() - start:.0f} s", flush=True)
    return len(chunks)


def main() -> None:
    # config: what to render
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--size", type=int, default=128, help="width and height, pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("train", "held_out", "all"), default="train")
    parser.add_argument("--processes", type=int, default=1)
    settings = parser.parse_args()

    # inputs: the body, and the chunks of the data set
    chunks = create_dataset(settings.out, load_body(), settings.split, settings.seed, settings.size, settings.samples)

    # stages and run: each process renders every n-th chunk that is not there yet
    with ProcessPoolExecutor(settings.processes, mp_context=get_context("spawn")) as pool:
        shares = [chunks[worker :: settings.processes] for worker in range(settings.processes)]
        done = [pool.submit(work, settings, share, worker) for worker, share in enumerate(shares)]
        for share in done:
            share.result()

    # report
    print(f"{finish_dataset(settings.out)} pictures in {settings.out}")


if __name__ == "__main__":
    main()
