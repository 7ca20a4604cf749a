"""The only source of randomness: every random draw starts from `seed_for(run_seed, key, purpose)`.

A draw depends on nothing but these three, so it is the same on any number of workers, in any order, and after a resume.
"""

import hashlib

import numpy as np


def seed_for(run_seed: int, key: str, purpose: str) -> int:
    """A 63-bit seed, the same on every machine and in every version of Python.

    key: what the draw belongs to (a sample key, a shard, a training step).
    purpose: what it is for ("pose", "camera", "noise"); two purposes never share a stream.
    """
    text = f"{run_seed}\x1f{key}\x1f{purpose}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator_for(run_seed: int, key: str, purpose: str) -> np.random.Generator:
    """A numpy generator seeded by `seed_for`."""
    return np.random.Generator(np.random.PCG64(seed_for(run_seed, key, purpose)))
