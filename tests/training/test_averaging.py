"""An average of a model with itself is the model; of two it lies where the shares say; what does not belong together is refused."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from posedreamer.training.averaging import average_models


@pytest.fixture
def models(tmp_path):
    folders = []
    for seed in range(2):
        folder = tmp_path / f"model{seed}"
        (folder / "unet").mkdir(parents=True)
        torch.manual_seed(seed)
        state = {"a.weight": torch.randn(3, 4).half(), "b": torch.randn(5)}
        save_file(state, folder / "unet" / "weights.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(f'{{"seed": {seed}}}')
        folders.append(folder)
    return folders


def weights(folder):
    return load_file(folder / "unet" / "weights.safetensors")


def test_shares_say_where_it_lies(models, tmp_path):
    first, second = map(weights, models)
    average_models(models, [0.25, 0.75], tmp_path / "out")
    found = weights(tmp_path / "out")
    assert found["a.weight"].dtype == torch.float16
    torch.testing.assert_close(found["b"], 0.25 * first["b"] + 0.75 * second["b"])
    torch.testing.assert_close(found["a.weight"].float(), 0.25 * first["a.weight"].float() + 0.75 * second["a.weight"].float(), rtol=0, atol=2e-3)  # fmt: skip
    assert (tmp_path / "out" / "config.json").read_text() == '{"seed": 0}'


def test_with_itself_it_is_the_model_byte_for_byte(models, tmp_path):
    average_models([models[0]] * 3, [0.2, 0.3, 0.5], tmp_path / "out")
    name = "unet/weights.safetensors"
    assert (tmp_path / "out" / name).read_bytes() == (models[0] / name).read_bytes()


def test_what_does_not_belong_together_is_refused(models, tmp_path):
    with pytest.raises(ValueError, match="add up to 1"):
        average_models(models, [0.5, 0.6], tmp_path / "out")
    with pytest.raises(ValueError, match="is there already"):
        average_models(models, [0.5, 0.5], models[0])
    save_file({"a.weight": torch.zeros(3, 5), "b": torch.zeros(5)}, models[1] / "unet" / "weights.safetensors")
    with pytest.raises(ValueError, match=r"differ in the shape of a\.weight"):
        average_models(models, [0.5, 0.5], tmp_path / "out")
    (models[1] / "unet" / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model1 holds \[\]"):
        average_models(models, [0.5, 0.5], tmp_path / "out")
    assert not (tmp_path / "out").exists()
