"""The shard in `shards/sample` is true, small, and read by plain tools."""

from pathlib import Path

import pytest
import webdataset

from posedreamer.bodies.catalog import load_body
from posedreamer.storage.verify import verify_run

# webdataset leaves the tars it read for the garbage collector to close.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SAMPLE = Path(__file__).parents[1] / "shards" / "sample"


def test_it_is_true_and_small() -> None:
    report = verify_run(SAMPLE, load_body())
    assert report.is_true and report.samples > 0, str(report)
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) <= 1_000_000


def test_plain_webdataset_reads_it() -> None:
    tars = [str(path) for path in SAMPLE.glob("shards/*.tar")]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("rgb8"))
    assert samples and all(sample["jpg"].shape == (256, 256, 3) for sample in samples)
    assert all(sample["label.npz"]["joints_cam"].shape == (127, 3) for sample in samples)
