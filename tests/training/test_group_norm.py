"""The fast group norm against PyTorch's own, values and gradients, in every precision and layout of memory."""

import copy

import pytest
import torch
from torch import nn

from posedreamer.training.group_norm import GroupNorm, with_fast_group_norms

SHAPES = {"square": (3, 8, 6, 6), "flat": (2, 12, 1, 5), "one": (1, 8, 1, 1)}


def both(
    shape: tuple[int, ...], groups: int, dtype: torch.dtype, layout: torch.memory_format
) -> list[list[torch.Tensor]]:
    """(Values, gradients of input, weight and bias) of PyTorch's norm and of the fast one."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *size: torch.randn(size, generator=generator).double()  # noqa: E731
    weight, bias, x, dy = draw(shape[1]), draw(shape[1]), 3.0 + 2.0 * draw(*shape), draw(*shape)
    found = []
    for kind in (nn.GroupNorm, GroupNorm):
        norm = kind(groups, shape[1], eps=1e-4).to(dtype if dtype != torch.bfloat16 else torch.float32)
        with torch.no_grad():
            norm.weight.copy_(weight)
            norm.bias.copy_(bias)
        given = x.to(dtype).clone(memory_format=layout).requires_grad_()
        y = norm(given)
        y.backward(dy.to(dtype).contiguous(memory_format=layout))
        assert given.grad is not None and norm.weight.grad is not None and norm.bias.grad is not None
        assert y.dtype == dtype and given.grad.dtype == dtype
        found.append([y.detach(), given.grad, norm.weight.grad, norm.bias.grad])
    return found


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels last"])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_values_and_gradients_are_those_of_pytorch(
    shape: tuple[int, ...], groups: int, layout: torch.memory_format
) -> None:
    for theirs, ours in zip(*both(shape, groups, torch.float64, layout), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_bfloat16_is_near() -> None:
    exact = both((4, 16, 16, 16), 4, torch.float64, torch.channels_last)[0]
    ours = both((4, 16, 16, 16), 4, torch.bfloat16, torch.channels_last)[1]
    for wished, found in zip(exact, ours, strict=True):
        assert float((found.double() - wished).norm() / wished.norm()) < 0.01


def test_a_model_keeps_its_names_and_its_values() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.Sequential(nn.GroupNorm(2, 8, affine=False)))
    nn.init.normal_(model[1].weight)  # pyright: ignore[reportArgumentType]
    fast = with_fast_group_norms(copy.deepcopy(model))
    assert [type(module) for module in fast.modules()].count(GroupNorm) == 2
    assert list(fast.state_dict()) == list(model.state_dict())
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(fast(x), model(x))
