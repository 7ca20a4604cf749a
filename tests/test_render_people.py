"""The rendered baseline: the same line, the same shards, other pictures."""

import subprocess
import sys
from pathlib import Path

from commands import ROOT, posedreamer, sets

from posedreamer.storage.index import read_index

SMALL = [
    "shard_size=4", "rounds={first_share: 0.012, max_shards: 2}", "mining.curriculum={pool: 12, chosen: 4}",
    "reference.renders=0", "image={width: 128, height: 128}",
]  # fmt: skip


def test_rendered_people_are_a_dataset_like_any_other(tmp_path: Path) -> None:
    out = tmp_path / "rendered"
    command = [sys.executable, "pipelines/render_people.py", "--out", str(out), "--samples", "100", *sets(SMALL)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    rows = read_index(out).to_pylist()
    assert len(rows) == 8 and {row["round"] for row in rows} == {0, 1}
    assert {row["status"] for row in rows} <= {"kept", "rejected"} and any(row["status"] == "kept" for row in rows)
    assert "100 % true" in posedreamer("verify", str(out))
