"""Pictures that a run kept twice: near copies are found across all its shards, and rejected but for the first.

Two steps, so that no run is too large. Every kept picture is reduced to 64 bits (perceptual hash of its low frequencies); those that
differ in at most `HASH_BITS` of them from an earlier one are candidates. Of candidates alone features are compared. Memory: the hashes
(some 100 bytes a picture), and 5 KB for each candidate.
"""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from posedreamer.estimators.features import MAX_BATCH, FeatureExtractor
from posedreamer.sample import Verdict
from posedreamer.storage.files import file_exists, join
from posedreamer.storage.index import read_shard_index
from posedreamer.storage.rewrite import rewrite_shard
from posedreamer.storage.shard import read_pictures
from posedreamer.storage.stats import finished_shards

DUPLICATE = "duplicate"
# Of 71 pictures of the embedded generator any two differ in 16 bits or more, and have a cosine of .80 at most; a copy from a JPEG
# of quality 80 differs in 4 at most, and has .84 or more.
HASH_BITS = 6  # of 64, in which two candidates may differ
LEAST_COSINE = 0.82  # of two candidates' features, from which they are one picture
SMALL, LOW = 32, 8  # pixels that are transformed, and frequencies kept, along each side
Picture = tuple[str, UInt8[np.ndarray, "_h _w 3"]]


class Duplicate(NamedTuple):
    """key: of the later sample; original: of the first that it repeats; cosine: of their features."""

    key: str
    original: str
    cosine: float


def find_duplicates(run_dir: str | Path, least_cosine: float = LEAST_COSINE) -> list[Duplicate]:
    """Kept samples that repeat an earlier kept one, in the order of the run; a copy of a copy repeats the first."""
    pairs = close_pairs((key, picture_hash(rgb)) for key, rgb in kept_pictures(run_dir))
    features = features_of(run_dir, {key for pair in pairs for key in pair})
    found: dict[str, Duplicate] = {}
    for key, earlier in pairs:
        cosine = float(features[key] @ features[earlier])
        if key not in found and earlier not in found and cosine >= least_cosine:
            found[key] = Duplicate(key, earlier, cosine)
    return list(found.values())


def reject_duplicates(run_dir: str | Path, duplicates: Sequence[Duplicate]) -> None:
    """Rejects them with the reason `duplicate`; cut short, the same call goes on (what is rejected is no longer found)."""
    wanted = {duplicate.key for duplicate in duplicates}
    for shard in finished_shards(run_dir):
        keys = read_shard_index(run_dir, shard, ["key"]).column("key").to_pylist()
        if verdicts := {key: Verdict("rejected", DUPLICATE) for key in keys if key in wanted}:
            rewrite_shard(run_dir, shard, verdicts)


def picture_hash(rgb: UInt8[np.ndarray, "h w 3"]) -> int:
    """64 bits: which of the 8 x 8 lowest frequencies of the small grey picture are above their median (Zauner 2010, pHash)."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:LOW, :LOW].ravel()
    low[0] = 0.0  # the mean brightness says nothing of what is shown
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def close_pairs(hashes: Iterator[tuple[str, int]]) -> list[tuple[str, str]]:
    """(later, earlier) of all whose hashes differ in at most HASH_BITS, in order.

    The bits are cut into one piece more than may differ, so that two close hashes have a piece in common, and only those that
    share one are compared.
    """
    edges = np.linspace(0, 64, HASH_BITS + 2).astype(int)
    pieces = [(int(low), (1 << int(high - low)) - 1) for low, high in itertools.pairwise(edges)]
    known: list[tuple[str, int]] = []
    tables: list[dict[int, list[int]]] = [defaultdict(list) for _ in pieces]
    found = []
    for key, value in hashes:
        shared = {
            place
            for table, (shift, mask) in zip(tables, pieces, strict=True)
            for place in table[(value >> shift) & mask]
        }
        close = [place for place in sorted(shared) if (known[place][1] ^ value).bit_count() <= HASH_BITS]
        found += [(key, known[place][0]) for place in close]
        if any(known[place][1] == value for place in close):
            continue  # another of this very hash stands for it
        for table, (shift, mask) in zip(tables, pieces, strict=True):
            table[(value >> shift) & mask].append(len(known))
        known.append((key, value))
    return found


def kept_pictures(run_dir: str | Path, keys: Collection[str] | None = None) -> Iterator[Picture]:
    """Key and picture of the kept samples (or of those named), in the order of the run."""
    for shard in finished_shards(run_dir):
        path = join(run_dir, f"shards/{shard:06d}.tar")
        if file_exists(path):
            yield from read_pictures(path, keys)


def features_of(run_dir: str | Path, keys: Collection[str]) -> dict[str, Float[np.ndarray, "1280"]]:
    """The features of the named kept samples, of length one."""
    if not keys:
        return {}
    extractor, found, pictures = FeatureExtractor().setup(), {}, kept_pictures(run_dir, keys)
    while batch := list(itertools.islice(pictures, MAX_BATCH)):
        rows = extractor.extract([rgb for _, rgb in batch])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        found |= {key: row for (key, _), row in zip(batch, rows, strict=True)}
    return found
