"""The network equals the published graph."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from posedreamer.estimators.keypoints import WEIGHTS
from posedreamer.estimators.movenet import MoveNet

sys.path.insert(0, str(Path(__file__).parent))
from remake_movenet_golden import GOLDEN, golden_inputs


def test_equals_the_published_graph() -> None:
    """Golden outputs come from a node-by-node interpreter of the graph; 1e-4 allows another machine's convolutions."""
    pictures = torch.from_numpy(golden_inputs()).permute(0, 3, 1, 2)
    network = MoveNet.from_file(WEIGHTS)
    with np.load(GOLDEN, allow_pickle=False) as golden:
        np.testing.assert_allclose(network(pictures).numpy(), golden["outputs"], atol=1e-4)


def test_a_batch_equals_its_pictures() -> None:
    pictures = torch.from_numpy(golden_inputs()[:3]).permute(0, 3, 1, 2)
    network = MoveNet.from_file(WEIGHTS)
    single = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(network(pictures), single, atol=1e-5, rtol=0)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights = load_file(WEIGHTS)
    weights["top.bias"] = weights["top.bias"][:-1]
    save_file(weights, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"1 tensors differ, first top\.bias: got \(1279,\), expected \(1280,\)"):
        MoveNet.from_file(tmp_path / "other.safetensors")


def test_the_middle_is_preferred_only_when_asked() -> None:
    """Two centres, the stronger one far from the middle: each way of asking answers as if its choice stood alone."""

    class Centers(torch.nn.Module):
        def __init__(self, cells: dict[tuple[int, int], float]) -> None:
            super().__init__()
            self.map = torch.full((1, 1, 64, 64), -9.0)
            for cell, logit in cells.items():
                self.map[0, 0, *cell] = logit

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return self.map

    picture = torch.from_numpy(golden_inputs()[:1]).permute(0, 3, 1, 2)
    network = MoveNet.from_file(WEIGHTS)
    middle, corner = (32, 32), (58, 60)
    answers = {}
    for cells in ({middle: 1.0}, {corner: 2.0}, {middle: 1.0, corner: 2.0}):
        network.center = Centers(cells)
        answers[len(cells), *cells] = network(picture), network(picture, prefer_middle=False)
    preferring, indifferent = answers[2, middle, corner]
    torch.testing.assert_close(preferring, answers[1, middle][0])
    torch.testing.assert_close(indifferent, answers[1, corner][1])
    assert not torch.equal(preferring, indifferent)
