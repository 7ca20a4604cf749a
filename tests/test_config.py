"""The configuration: what it refuses, what identifies a run, and overrides."""

from pathlib import Path

import pytest

from posedreamer.config import Config, load_config


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("name: a\nsampels: 3\n", "sampels"),
        ("name: a\nfilters: {oks: {mni: 0.9}}\n", "filters.oks.mni"),
        ("name: a\nfilters: {oks: {min: 0.3}}\n", "filters.oks.min"),
        ("name: a\nsamples: -1\n", "samples"),
        ("name: a\nsamples: many\n", "samples"),
        ("name: a b\n", "name"),
        ("samples: 3\n", "name"),
        ("name: a\nsampling: {viewpoints: {full_body: 0.9}}\n", "sampling.viewpoints"),
        ("name: a\nsampling: {sources: [{kind: motion}]}\n", "sampling.sources.0"),
        ("name: a\nreference: {folder: x, renders: 3}\n", "reference"),
        ("name: a\nfilters: {order: [oks, oks]}\n", "filters"),
        ("name: a\nbody: x.npz\nreference: {renders: 40}\n", "reference.renders"),
        ("name: a\nmining: {target: hmr}\n", "needs a `learner`"),
        ("name: a\nsampling: {labels_of: runs/a}\n", "mining.curriculum.share"),
        ("name: a\nmining: {learner: {model: runs/learner, settings: {size: 3}}}\n", "mining.learner"),
    ],
)
def test_errors_name_file_and_field(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(ValueError, match=r"run\.yaml") as caught:
        load_config(write(tmp_path, text))
    assert field in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.yaml"):
        load_config(tmp_path / "absent.yaml")


def test_override_equals_the_same_field_in_the_file(tmp_path: Path) -> None:
    written = load_config(write(tmp_path, "name: a\nfilters: {oks: {min: 0.9}}\n"))
    overridden = load_config(write(tmp_path, "name: a\n"), ["filters.oks.min=0.9"])
    assert written == overridden


@pytest.mark.parametrize("override", ["samples", "=3", "name.x=3", "filters.oks.mni=0.9"])
def test_bad_overrides_are_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ValueError):
        load_config(write(tmp_path, "name: a\n"), [override])


def test_identity_is_everything_but_the_engine() -> None:
    base = Config(name="a")
    more_actors = Config.model_validate(
        {"name": "a", "engine": {"generation": {"actors": 4, "gpus": 1}, "mining": {"runtime_env": {"pip": ["x"]}}}}
    )
    assert more_actors.hash == base.hash
    for change in (
        {"seed": 1},
        {"samples": 65},
        {"generator": {"threads": 2}},
        {"filters": {"oks": {"min": 0.9}}},
        {"mining": {"learner": {"model": "a:B"}}},
    ):
        assert Config.model_validate({"name": "a", **change}).hash != base.hash


def test_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config(name="a").seed = 3  # type: ignore[misc]
