"""Laws of the ControlNet's embedding of the map: its hinges go through the body."""

import numpy as np
import pytest
import torch
from tiny_nano import SIZE, tiny_config

from posedreamer import torchvision_shim

torchvision_shim.install()
from posedreamer.bodies.catalog import load_body  # noqa: E402
from posedreamer.rendering.conditions import xyz_colors  # noqa: E402
from posedreamer.training.nano_crops import HEAD_FROM  # noqa: E402
from posedreamer.training.nano_model import BODY_SLOPES, HEAD_SLOPES, build_denoiser  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def controlnet_of(tmp_path, widths, seed=0):
    config = tiny_config(tmp_path).denoiser.model_copy(update={"condition_channels": widths})
    torch.manual_seed(seed)
    return build_denoiser(config, 16, 8, SIZE // 4)[1].eval()


def test_hinges_are_zero_at_a_place_of_the_body_and_rise_to_the_crown(tmp_path):
    layer = controlnet_of(tmp_path, (11, 12, 16)).controlnet_cond_embedding.conv_in
    colors = torch.from_numpy(np.array(xyz_colors(load_body())))
    for channel in range(3, 11):
        taps, bias = layer.weight[channel], layer.bias[channel]
        assert taps.abs().sum() == taps[:, 1, 1].abs().sum() > 0  # one pixel at a time
        is_head = channel % 2 == 0
        low, high = HEAD_SLOPES if is_head else BODY_SLOPES
        assert low - 1e-4 <= taps[:, 1, 1].norm() <= high + 1e-4
        points = colors[colors[:, 1] >= HEAD_FROM] if is_head else colors
        assert (points @ taps[:, 1, 1] + bias).abs().min() < 1e-4
        assert not is_head or taps[1, 1, 1] > 0
