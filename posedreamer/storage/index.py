"""The index: one Parquet row for each attempted key, whatever became of it. Nothing in it is decided by a clock.

Columns: what the record says, each label array as a fixed-size list (row-major), one nullable float column a score, named
`score_<name>`.
"""

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posedreamer.sample import Sample
from posedreamer.storage.arrays import LABEL_ARRAYS, ArraySpec, label_to_arrays
from posedreamer.storage.codec import clean_scores
from posedreamer.storage.files import join, read_file
from posedreamer.storage.stats import finished_shards

SCORE_PREFIX = "score_"
_ELEMENTS = {"f4": pa.float32(), "f8": pa.float64(), "b1": pa.bool_()}

RECORD_COLUMNS: dict[str, pa.DataType] = {
    "key": pa.string(),
    "round": pa.int32(),
    "shard": pa.int32(),
    "place": pa.int32(),
    "status": pa.string(),
    "reason": pa.string(),
    "source": pa.string(),
    "tags": pa.list_(pa.string()),
    "prompt": pa.string(),
    "attributes": pa.string(),
    "condition": pa.string(),
    "generator": pa.string(),
    "run_seed": pa.int64(),
    "seed": pa.int64(),
    "candidate": pa.int32(),
    "width": pa.int32(),
    "height": pa.int32(),
}


def array_column(spec: ArraySpec) -> pa.DataType:
    """The column type of a label array: a list of as many elements as it has, row-major."""
    return pa.list_(_ELEMENTS[spec.dtype.str[1:]], math.prod(spec.shape))


def samples_to_table(samples: Sequence[Sample], shard: int, round_index: int) -> pa.Table:
    """The index rows of a shard, in the order of the samples; `place` counts them from 0."""
    rows = [_row(sample, shard, round_index, place) for place, sample in enumerate(samples)]
    return rows_to_table(rows, {SCORE_PREFIX + name for sample in samples for name in sample.scores})


def rows_to_table(rows: Sequence[Mapping[str, Any]], score_columns: Iterable[str]) -> pa.Table:
    """Index rows as a table; rows that were read from one give its bytes again."""
    columns = [*RECORD_COLUMNS.items(), *((name, array_column(spec)) for name, spec in LABEL_ARRAYS.items())]
    columns += [(name, pa.float64()) for name in sorted(score_columns)]
    return pa.Table.from_pylist(list(rows), schema=pa.schema(columns))


def table_to_parquet(table: pa.Table) -> bytes:
    """The Parquet file of a table; the same table gives the same bytes in one version of pyarrow."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_shard_index(run_dir: str | Path, shard: int, columns: Sequence[str] | None = None) -> pa.Table:
    """The index rows of one shard; columns: only these, as far as the shard has them."""
    file = pq.ParquetFile(io.BytesIO(read_file(join(run_dir, f"shards/{shard:06d}.parquet"))))
    wanted = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
    return file.read(columns=wanted)


def read_index(run_dir: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of all finished shards, in shard order; a score that a shard lacks is null there. No shard: no rows.

    columns: only these; what a large run needs to fit into memory.
    """
    empty = samples_to_table([], 0, 0)
    if columns is not None:
        empty = empty.select([name for name in columns if name in empty.column_names])
    tables = [read_shard_index(run_dir, shard, columns) for shard in finished_shards(run_dir)]
    return pa.concat_tables([empty, *tables], promote_options="default")


def _row(sample: Sample, shard: int, round_index: int, place: int) -> dict[str, Any]:
    label, prompt, image = sample.label, sample.prompt, sample.image
    arrays = {} if label is None else label_to_arrays(label)
    row = {
        "key": sample.key,
        "round": round_index,
        "shard": shard,
        "place": place,
        "status": sample.verdict.status,
        "reason": sample.verdict.reason,
        "source": label and label.source,
        "tags": label and list(label.tags),
        "prompt": prompt and prompt.text,
        "attributes": prompt and json.dumps(dict(prompt.attributes), sort_keys=True, ensure_ascii=False),
        "condition": sample.condition and sample.condition.kind,
        "generator": image and image.generator,
        "run_seed": sample.run_seed,
        "seed": image and image.seed,
        "candidate": image and image.candidate,
        "width": label and label.width,
        "height": label and label.height,
    }
    scores = {SCORE_PREFIX + name: value for name, value in clean_scores(sample).items()}
    return row | {name: array.ravel() for name, array in arrays.items()} | scores
