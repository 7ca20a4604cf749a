"""Is a run what it says? A pure function of its files and the body model.

For each finished shard: the hashes of its files, the counts, the schema of each member, each row of the index against the
sample's arrays and record (shard_check.py), each label against itself and against the body drawn again (truth.py). One
shard is in memory at a time.
"""

from dataclasses import dataclass
from pathlib import Path

from posedreamer.bodies.body import BodyModel
from posedreamer.storage.files import join, list_files
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.provenance import describe_body
from posedreamer.storage.shard_check import Problem, check_shard
from posedreamer.storage.stats import finished_shards

_LISTED = 60  # problems that the text of a report lists; all are in `problems`


@dataclass(frozen=True)
class VerifyReport:
    """samples: how many, kept and rejected, were looked at; unfinished: files of shards without a done mark."""

    shards: int
    samples: int
    problems: tuple[Problem, ...]
    unfinished: tuple[str, ...]

    @property
    def is_true(self) -> bool:
        return not self.problems

    @property
    def bad_keys(self) -> list[str]:
        """Keys of untrue samples, in order, once each."""
        return list(dict.fromkeys(problem.key for problem in self.problems if problem.key is not None))

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:_LISTED]]
        if len(self.problems) > _LISTED:
            lines.append(f"... and {len(self.problems) - _LISTED} more problems")
        lines += [f"not finished, so not checked: {name}" for name in self.unfinished]
        found = "100 % true" if self.is_true else f"{len(self.problems)} problems, {len(self.bad_keys)} bad keys"
        return "\n".join([*lines, f"{self.samples} samples in {self.shards} shards: {found}"])


def verify_run(run_dir: str | Path, body: BodyModel) -> VerifyReport:
    """Checks every sample of a run's finished shards, kept and rejected.

    body: the model that the run was made with; another one is a ValueError, as is a directory that is no run.
    """
    body_record, manifest = describe_body(body), read_manifest(run_dir)
    stated = {name: manifest["body"].get(name) for name in body_record}
    if stated != body_record:
        raise ValueError(f"{run_dir} was made with the body {stated}, got {body_record}")
    shards = finished_shards(run_dir)
    problems = [] if shards else [Problem(str(run_dir), None, "no finished shard")]
    keeps_rejects = manifest.get("config", {}).get("storage", {}).get("keep_rejects", True)
    samples, seen = 0, set()
    for shard in shards:
        check = check_shard(run_dir, shard, body, body_record, keeps_rejects)
        problems += check.problems
        repeated = sorted(seen.intersection(check.keys))
        problems += [Problem(f"shards/{shard:06d}.parquet", key, "also in an earlier shard") for key in repeated]
        samples += check.samples
        seen.update(check.keys)
    return VerifyReport(len(shards), samples, tuple(problems), tuple(_unfinished(run_dir, shards)))


def _unfinished(run_dir: str | Path, shards: list[int]) -> list[str]:
    done = {f"{shard:06d}" for shard in shards}
    files = [(folder, name) for folder in ("shards", "rejects") for name in list_files(join(run_dir, folder), "")]
    return [f"{folder}/{name}" for folder, name in files if name.partition(".")[0] not in done]
