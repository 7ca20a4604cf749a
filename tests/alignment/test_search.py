"""Every setting of the committed search is one that can be trained; the table says of each what it brought."""

from pathlib import Path

import pytest
import yaml
from commands import ROOT

from posedreamer.alignment.adapters import check_layers
from posedreamer.alignment.config import load_align_config
from posedreamer.alignment.rounds import training_arguments
from posedreamer.config import load_config
from posedreamer.report.alignment_search import to_markdown
from posedreamer.stages.generation.diffusers_backend import outline_nets

SETTINGS = yaml.safe_load((ROOT / "configs" / "align_search.yaml").read_text())
NANO = ROOT / "configs" / "align_nano.yaml"


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_setting_can_be_trained_and_shares_the_candidates(name, tmp_path):
    base, one = load_align_config(NANO), load_align_config(NANO, SETTINGS[name])
    line = load_config(ROOT / one.line)
    training_arguments(one, line, Path(tmp_path))
    check_layers(outline_nets(line.generator.model, line.generator.controlnet), one.adapter.layers)
    assert (one.seed, one.labels, one.candidates, one.line) == (base.seed, base.labels, base.candidates, base.line)
    assert (one == base) == (name == "as it is")


def test_at_least_twelve_settings_and_no_two_alike():
    configs = [load_align_config(NANO, overrides).model_dump_json() for overrides in SETTINGS.values()]
    assert len(set(configs)) == len(configs) >= 12


def test_the_table_tells_gains_and_the_last_errors():
    gains = {
        "oks": {"gain": [0.02, 0.01, 0.03], "gap_closed": [0.4, 0.2, 0.6]},
        "second_oks": {"gain": [-0.01, -0.02, 0.0]},
    }
    history = [{"winner_error": 9.0, "winner_error_change": 9.0}, {"winner_error": 0.99, "winner_error_change": -0.01, "loser_error": 1.1, "loser_error_change": 0.1}, {"train_loss": 0.6}]  # fmt: skip
    found = {
        "a": {"gains": gains, "pairs": 7, "seconds": 120, "history": history},
        "b": {"gains": {"oks": gains["oks"]}},
    }
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in to_markdown(found).splitlines()[2:]]
    assert rows[0] == [
        "a", "7", "+0.020 [+0.010, +0.030]", "+40%", "-0.010 [-0.020, +0.000]", "", "-10.0 ‰", "+100.0 ‰", "2",
    ]  # fmt: skip
    assert rows[1] == ["b", "", "+0.020 [+0.010, +0.030]", "+40%", "", "", "", "", ""]
