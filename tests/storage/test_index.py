import json
from dataclasses import replace

import numpy as np

from posedreamer.sample import Sample, Verdict
from posedreamer.storage.arrays import LABEL_ARRAYS, label_to_arrays
from posedreamer.storage.index import read_index, samples_to_table, table_to_parquet
from posedreamer.storage.shard import write_shard


def test_a_row_holds_every_array_and_field_of_its_sample(make_sample):
    sample = make_sample(3, "rejected", "openpose")
    table = samples_to_table([make_sample(2), sample], 5, 1)
    row = table.slice(1, 1).to_pylist()[0]
    for name, array in label_to_arrays(sample.label).items():
        np.testing.assert_array_equal(np.array(row[name], LABEL_ARRAYS[name].dtype).reshape(array.shape), array)
    assert (row["key"], row["shard"], row["round"], row["place"]) == (sample.key, 5, 1, 1)
    assert (row["status"], row["reason"], row["condition"]) == ("rejected", "oks_low", "openpose")
    assert (row["seed"], row["generator"], row["run_seed"]) == (2**62 + 3, "nano@abc", 7)
    assert json.loads(row["attributes"]) == sample.prompt.attributes
    assert row["tags"] == list(sample.label.tags)
    assert row["score_oks"] == sample.scores["oks"]
    assert row["score_difficulty"] is None


def test_a_failed_sample_has_a_row_of_nulls():
    failed = Sample("k-0", 7, verdict=Verdict("failed", "bad_pose: NaN"))
    (row,) = samples_to_table([failed], 0, 0).to_pylist()
    assert {name for name, value in row.items() if value is not None} == {
        "key", "round", "shard", "place", "status", "reason", "run_seed",
    }  # fmt: skip


def test_the_index_is_in_shard_order_over_finished_shards_only(tmp_path, make_sample, body_record):
    for shard in (10, 2, 3):
        samples = [replace(make_sample(0, shard=shard), scores={"oks": 0.5, f"only_{shard}": 1.0})]
        write_shard(tmp_path, shard, 0, samples, {}, body=body_record)
    (tmp_path / "shards/000003.json").unlink()
    table = read_index(tmp_path)
    assert table.column("shard").to_pylist() == [2, 10]
    assert table.column("score_only_2").to_pylist() == [1.0, None]
    assert read_index(tmp_path / "empty").num_rows == 0


def test_the_same_rows_are_the_same_bytes(make_sample):
    tables = [samples_to_table([make_sample(place) for place in range(3)], 0, 0) for _ in range(2)]
    assert table_to_parquet(tables[0]) == table_to_parquet(tables[1])
