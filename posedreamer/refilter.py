"""A finished run decided anew: other thresholds over the scores that it stored, without a new picture.

Only what the config says under `filters` may change, and only checks may be asked for whose measures the run has. Of a run of
one round the shards are then those that a run with the new thresholds would have made, byte for byte. Later rounds stay as
their curriculum, made under the old thresholds, has drawn them.
"""

import json
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from posedreamer.config import Config
from posedreamer.duplicates import DUPLICATE
from posedreamer.sample import Verdict
from posedreamer.stages.filtering.stage import FilteringStage
from posedreamer.storage.files import file_exists, join, read_file, remove_file, write_file
from posedreamer.storage.index import SCORE_PREFIX, read_shard_index
from posedreamer.storage.manifest import REFILTER_NAME, read_manifest, replace_manifest
from posedreamer.storage.rewrite import check_stored, rewrite_shard
from posedreamer.storage.stats import finished_shards, read_stats
from posedreamer.strict import read_fields


def changed_filters(run_dir: str, overrides: Sequence[str]) -> Config:
    """The run's config with the overrides; anything but `filters.a.b=value` is a ValueError."""
    odd = [override for override in overrides if not override.startswith("filters.")]
    if odd or not overrides:
        raise ValueError(f"refilter: got {odd or 'no override'}, expected filters.<check>.<field>=value")
    return read_fields(Config, read_manifest(run_dir)["config"], f"refilter {run_dir}", overrides)


def refilter(run_dir: str, config: Config, stage: FilteringStage) -> dict[str, int]:
    """Decides every finished shard by the stage's checks and writes the config into run.json; returns counts.

    config: from `changed_filters`; stage: its checks, which need no setup. Cut short, the same call goes on; until it is through,
    the run is marked, and nothing else goes on with it. A sample that lacks a measure, or is to be kept but was not stored, is a
    ValueError before anything is written.
    """
    shards = finished_shards(run_dir)
    if not shards:
        raise ValueError(f"{run_dir}: no finished shard; is it a run directory?")
    mark = join(run_dir, REFILTER_NAME)
    was_cut = file_exists(mark)
    if was_cut and json.loads(read_file(mark))["config_hash"] != config.hash:
        raise ValueError(
            f"{run_dir}: refiltering was cut short with other thresholds ({REFILTER_NAME}); finish that first"
        )
    tables = {shard: read_shard_index(run_dir, shard) for shard in shards}
    changes = {shard: changed_verdicts(table, stage, f"shard {shard:06d}") for shard, table in tables.items()}
    for shard, verdicts in changes.items():
        check_stored(run_dir, shard, verdicts)
    target = {"config": config.identity(), "config_hash": config.hash}
    write_file(mark, (json.dumps(target, indent=1, sort_keys=True) + "\n").encode())
    before = Counter(status for table in tables.values() for status in table.column("status").to_pylist())
    after: Counter[str] = Counter()
    for shard, verdicts in changes.items():
        # A shard that was cut between its index and its json looks decided, and is not.
        stats = rewrite_shard(run_dir, shard, verdicts) if verdicts or was_cut else read_stats(run_dir, shard)
        after.update({"kept": stats.kept, "rejected": stats.rejected})
    replace_manifest(run_dir, read_manifest(run_dir) | target)
    remove_file(mark)
    return {"shards": len(shards), "kept_before": before["kept"], "kept": after["kept"], "rejected": after["rejected"]}


def changed_verdicts(table: pa.Table, stage: FilteringStage, where: str) -> dict[str, Verdict]:
    """Key -> verdict of each index row that the checks decide otherwise than it stands there.

    Failed samples, duplicates, and those that were rejected before there was a picture, stay what they are.
    """
    measured = {name: name.removeprefix(SCORE_PREFIX) for name in table.column_names if name.startswith(SCORE_PREFIX)}
    found = {}
    for row in table.select(["key", "status", "reason", "generator", *measured]).to_pylist():
        if row["status"] == "failed" or row["generator"] is None or row["reason"] == DUPLICATE:
            continue
        try:
            verdict = stage.decide({score: row[name] for name, score in measured.items()})
        except KeyError as error:
            raise ValueError(
                f"refilter: {where}: key {row['key']}: no score {error}; the run did not measure it"
            ) from None
        if (verdict.status, verdict.reason) != (row["status"], row["reason"]):
            found[row["key"]] = verdict
    return found
