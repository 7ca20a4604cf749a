"""End to end: the embedded default through the command line, then everything a user does with the run."""

import json
import re
import shutil
from pathlib import Path

import pytest
from commands import ROOT, posedreamer, sets

from posedreamer.bodies.catalog import load_body
from posedreamer.storage.index import read_index
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.verify import verify_run

pytestmark = [
    pytest.mark.slow,
    # webdataset leaves the tars it read for the garbage collector to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SMALL = [
    "shard_size=6", "samples=6", "rounds.max_shards=4", "reference.renders=32", "mining.curriculum.pool=40",
    "generator.steps=8", "filters.oks.min=0.5",
    # Half of the poses are yoga's, so that there is something to curate whatever the keys are.
    "sampling.sources=[{kind: library, weight: 0.8, families: [yoga, everyday]}, {kind: motion, weight: 0.2, path: clips}]",
]  # fmt: skip
SETS = sets(SMALL)


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("line") / "run"
    posedreamer("generate", "--config", "configs/nano.yaml", "--out", str(run_dir), *SETS)
    return run_dir


def test_at_least_two_rounds_and_nothing_vanishes(run_dir: Path) -> None:
    rows = read_index(run_dir).to_pylist()
    assert {row["round"] for row in rows} >= {0, 1}
    stats = json.loads(posedreamer("stats", str(run_dir), "--json"))
    counted = [json.loads(path.read_text()) for path in sorted(run_dir.glob("shards/*.json"))]
    assert sum(shard["attempted"] for shard in counted) == len(rows)
    for shard in counted:
        assert shard["attempted"] == shard["kept"] + shard["rejected"] + shard["failed"]
    assert stats["summary"]


def test_every_label_is_true(run_dir: Path) -> None:
    assert "100 % true" in posedreamer("verify", str(run_dir))


def test_a_changed_byte_is_found(run_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    tar = next(iter(sorted([*copy.glob("shards/*.tar"), *copy.glob("rejects/*.tar")])))
    data = bytearray(tar.read_bytes())
    data[len(data) // 2] ^= 1
    tar.write_bytes(data)
    assert not verify_run(copy, load_body()).is_true
    posedreamer("verify", str(copy), expect=1)


def test_the_curriculum_says_what_it_chose_and_why(run_dir: Path) -> None:
    record = json.loads((run_dir / "curriculum" / "round-01.json").read_text())
    assert record["why"]


def test_the_page_and_the_card_are_there(run_dir: Path) -> None:
    page = (run_dir / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script src" not in page
    assert json.loads((run_dir / "croissant.json").read_text())["@type"]
    assert (run_dir / "README.md").read_text().startswith("---")


def test_running_it_again_does_nothing_and_another_config_is_refused(run_dir: Path) -> None:
    def content() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in run_dir.rglob("shards/*")}

    before = content()
    posedreamer("generate", "--config", "configs/nano.yaml", "--out", str(run_dir), *SETS)
    assert content() == before
    refused = posedreamer(
        "generate", "--config", "configs/nano.yaml", "--out", str(run_dir), *SETS, "--seed", "1", expect=2
    )
    assert "config.seed: 0 -> 1" in refused
    assert content() == before


def test_plain_readers_count_the_kept_samples(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [row for row in read_index(run_dir).to_pylist() if row["status"] == "kept"]
    if not kept:
        pytest.fail("the small run kept nothing, so nothing was read")
    tars = sorted(path.stem for path in run_dir.glob("shards/*.tar"))
    plain, ours = python_blocks()[:2]
    pattern = "{" + ",".join(tars) + "}" if len(tars) > 1 else tars[0]
    exec(plain.replace("runs/demo/shards/{000000..000007}.tar", f"{run_dir}/shards/{pattern}.tar"), {})
    assert int(capsys.readouterr().out) == len(kept)
    exec(ours.replace("runs/demo", str(run_dir)), {})
    assert "torch.Size" in capsys.readouterr().out


def test_curate_keeps_yoga_and_all_of_it(run_dir: Path, tmp_path: Path) -> None:
    posedreamer("curate", str(run_dir), "--domain", "yoga", "--out", str(tmp_path / "yoga"))
    kept = [row for row in read_index(run_dir).to_pylist() if row["status"] == "kept"]
    yoga = {row["key"] for row in kept if "yoga" in row["tags"]}
    cut = {row["key"] for row in read_index(tmp_path / "yoga").to_pylist()}
    assert yoga <= cut


def test_the_manifest_names_what_made_it(run_dir: Path) -> None:
    manifest = read_manifest(run_dir)
    assert manifest["config"]["name"] == "nano" and manifest["body"]["sha256"] and manifest["assets"]
    assert "engine" not in manifest["config"]


def test_a_closed_gate_stops_it_and_without_the_gate_it_goes_on(tmp_path: Path) -> None:
    few = [
        *SETS,
        *sets(["rounds.max_shards=2", "shard_size=2", "samples=3", "reference.renders=0", "mining.curriculum.share=0"]),
    ]
    command = ["generate", "--config", "configs/nano.yaml", "--out", str(tmp_path / "run"), *few]
    said = posedreamer(*command, *sets(["gates.every=1", "gates.oks.min=0.999"]), expect=2)
    stopped = re.search(r"gate oks: shards (\d{6}) to \1 have", said)  # whichever of the two was finished first
    assert stopped and "to go on from here" in said
    written = [path.read_bytes() for path in sorted((tmp_path / "run" / "shards").glob(f"{stopped[1]}.*"))]
    assert written
    posedreamer(*command)
    assert [path.read_bytes() for path in sorted((tmp_path / "run" / "shards").glob(f"{stopped[1]}.*"))] == written
    assert (tmp_path / "run" / "report.html").exists()
