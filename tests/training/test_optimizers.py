"""Two optimizers as one: who trains what, and Muon on weights in either memory format."""

import pytest
import torch
from torch import nn

from posedreamer.training.loop_config import LoopConfig
from posedreamer.training.optimizers import Optimizers, as_matrix, is_matrix


def net():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "conv_in": nn.Conv2d(3, 4, 3),
            "middle": nn.Conv2d(4, 6, 3),
            "norm": nn.GroupNorm(2, 6),
            "embedding": nn.Embedding(5, 6),
            "linear": nn.Linear(6, 8),
        }
    )


def config(**changes):
    return LoopConfig.model_validate({"steps": 10, "weight_decay": 0.0, "matrix_rate": 0.1, **changes})


def test_muon_trains_matrices_and_nothing_else():
    names = {name for name, weight in net().named_parameters() if is_matrix(name, weight)}
    assert names == {"middle.weight", "linear.weight"}


def test_without_a_rate_for_matrices_adamw_trains_everything():
    module = net()
    named = Optimizers({"net": module}, config(matrix_rate=None)).named
    assert list(named) == ["adamw"]
    assert len(named["adamw"].param_groups[0]["params"]) == len(list(module.parameters()))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_matrix_shares_the_memory_of_its_weight(memory_format):
    weight = torch.randn(6, 4, 3, 3).to(memory_format=memory_format)
    matrix = as_matrix(weight)
    assert matrix.shape == (6, 36)
    matrix[2] += 1.0
    torch.testing.assert_close(weight[2].sum(), matrix[2].sum())
    assert matrix.data_ptr() == weight.data_ptr()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_step_of_muon_is_orthogonal_at_the_share_of_its_rate(memory_format):
    module = net().to(memory_format=memory_format)
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    optimizers = Optimizers({"net": module}, config())
    for weight in module.parameters():
        weight.grad = torch.randn(weight.shape).contiguous(memory_format=torch.contiguous_format)
    optimizers.step(0.5)
    moved = (module["middle"].weight.detach() - before["middle.weight"]).flatten(1)
    # Newton and Schulz stop early, on purpose: singular values between 0.5 and 1.5, in bfloat16.
    lengths = torch.linalg.svdvals(moved) / (0.5 * 0.1)
    assert lengths.min() > 0.4 and lengths.max() < 1.6
    assert all(weight.grad is None for weight in module.parameters())
    for name, weight in module.named_parameters():
        assert not torch.equal(weight, before[name]), name
