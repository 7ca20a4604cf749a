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
