"""Where a run is written: a place that every actor finds."""

from pathlib import Path

import pytest

from posedreamer.line import absolute_run_dir, gather_overrides


def test_urls_and_absolute_paths_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert absolute_run_dir("s3://bucket/run") == "s3://bucket/run"
    assert absolute_run_dir("/data/run") == "/data/run"


def test_a_relative_path_is_made_absolute_here_and_refused_on_a_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert absolute_run_dir("runs/demo") == str(tmp_path / "runs" / "demo")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(ValueError, match="absolute path"):
        absolute_run_dir("runs/demo")


def test_named_options_are_overrides_and_come_last() -> None:
    assert gather_overrides(["samples=3"], 5, None) == ["samples=3", "samples=5"]
    assert gather_overrides([], None, 0) == ["seed=0"]
