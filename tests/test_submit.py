"""The README's cluster commands, as written: a cluster started by hand with a token, a job submitted to it."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from posedreamer.storage.stats import finished_shards, read_stats

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def shell_blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", README, flags=re.S)


def block_with(text: str) -> str:
    (block,) = [block for block in shell_blocks() if text in block]
    return block


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(script: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ignored = ("RAY_",)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ignored)}
    with tempfile.TemporaryDirectory(prefix="pd", ignore_cleanup_errors=True) as short:  # a socket's path has 107 bytes
        yield {**kept, "PATH": path, "RAY_TMPDIR": short, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def ports() -> dict[str, str]:
    return {"6379": str(free_port()), "8265": str(free_port())}


@pytest.fixture
def cluster(tmp_path: Path, environment: dict[str, str], ports: dict[str, str]) -> Iterator[Path]:
    """The README's first block, on free ports and with the memory of a small machine; stopped process by process."""
    script = block_with("ray start")
    for old, new in ports.items():
        script = script.replace(old, new)
    script = script.replace("ray start --head", "ray start --head --num-cpus=4 --object-store-memory=300000000")
    marker = secrets.token_hex(8)
    try:
        run(script, tmp_path, {**environment, "POSEDREAMER_TEST_CLUSTER": marker})
        yield tmp_path / "ray_token"
    finally:
        for process in psutil.process_iter():
            try:
                if process.environ().get("POSEDREAMER_TEST_CLUSTER") == marker:
                    process.kill()
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue


@pytest.mark.slow
def test_the_readme_s_job_runs(
    cluster: Path, tmp_path: Path, environment: dict[str, str], ports: dict[str, str], tiny_pipeline: Path
) -> None:
    script = block_with("ray job submit")
    for old, new in ports.items():
        script = script.replace(old, new)
    run_dir = tmp_path / "first"
    assert "/data/runs/first" in script
    script = script.replace("/data/runs/first", str(run_dir)).rstrip()
    script += f" --samples 2 --set shard_size=2 --set rounds.max_shards=2 --set generator.model={tiny_pipeline}"
    script += " --set generator.steps=2 --set reference.renders=0 --set mining.curriculum.pool=20"
    tokens = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(cluster)}
    output = run(script, ROOT, {**environment, **tokens})
    assert "succeeded" in output
    assert [read_stats(run_dir, shard).attempted for shard in finished_shards(run_dir)] == [2, 2]


def test_large_folders_are_kept_out_of_the_upload() -> None:
    script = block_with("ray job submit")
    for folder in (".git", ".venv", "runs"):
        assert f'"{folder}"' in script
    assert shutil.which("bash") is not None
