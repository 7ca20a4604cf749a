"""Adapters: the reference is the untouched net, and what is saved draws what was trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from families import DRAWING, FAMILIES, MAPS, opened
from tiny_models import PROMPTS

from posedreamer.alignment.adapters import POLICY, REFERENCE, add_adapter, as_reference, resume_adapter, save_adapter
from posedreamer.alignment.denoisers import Denoiser, open_denoiser
from posedreamer.rendering.conditions import condition_renderer_id
from posedreamer.stages.generation.diffusers_backend import Model, draw, load_model

FACTS = {"condition_renderer": condition_renderer_id("xyz"), "base": "tiny"}


def made(folder: str, start: Path | None = None, seed: int = 0) -> Denoiser:
    """A denoiser with an adapter on attention, of both nets; that of FLUX on the transformer alone."""
    denoiser = open_denoiser(opened(folder).pipeline, DRAWING)
    main = next(name for name in denoiser.nets if name != "controlnet")
    layers = ["to_q", "to_v"] + ([] if main == "transformer" else ["conv1"])
    targets = {main: layers} if main == "transformer" else {main: layers, "controlnet": layers}
    add_adapter(denoiser, 2, 4, targets, start, seed)
    return denoiser


# Float32; on some processors a matrix product rounds otherwise when its weights lie elsewhere in memory.
ROUNDING = {"atol": 1e-6, "rtol": 1e-5}


def disturb(denoiser: Denoiser, seed: int) -> None:
    """As training would: the second half of a fresh adapter is zero, and it does nothing."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in denoiser.named_parameters():
            if f".{POLICY}." in name:
                parameter.add_(torch.randn(parameter.shape, generator=rng))


def predicted(denoiser: Denoiser) -> torch.Tensor:
    rng = torch.Generator().manual_seed(3)
    times = denoiser.draw_times(2, rng)
    with torch.no_grad():
        noisy = torch.randn(2, 4, 4, 4, generator=rng)
        return denoiser(noisy, times, denoiser.words(PROMPTS[:2]), denoiser.control(MAPS[:2]))


def drawn(denoiser: Denoiser) -> np.ndarray:
    return draw(Model(denoiser.pipeline, "tiny"), PROMPTS[:2], MAPS[:2], [1, 2], DRAWING)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reference_is_the_untouched_net(family: str, folders: dict[str, str]) -> None:
    plain = predicted(open_denoiser(opened(folders[family]).pipeline, DRAWING))
    denoiser = made(folders[family])
    torch.testing.assert_close(predicted(denoiser), plain, **ROUNDING)
    disturb(denoiser, 1)
    aligned = predicted(denoiser)
    assert not torch.allclose(aligned, plain, atol=1e-3)
    with as_reference(denoiser):
        torch.testing.assert_close(predicted(denoiser), plain, **ROUNDING)
    torch.testing.assert_close(predicted(denoiser), aligned, **ROUNDING)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_adapter_learns(family: str, folders: dict[str, str]) -> None:
    denoiser = made(folders[family])
    with as_reference(denoiser):
        pass
    learning = {name for name, parameter in denoiser.named_parameters() if parameter.requires_grad}
    assert learning and all(f".{POLICY}." in name for name in learning)
    assert not any(parameter.requires_grad for parameter in denoiser.pipeline.vae.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_draws_what_was_trained(family: str, folders: dict[str, str], tmp_path: Path) -> None:
    denoiser = made(folders[family])
    unaligned = drawn(denoiser)
    disturb(denoiser, 1)
    save_adapter(denoiser, tmp_path, FACTS)
    model = opened(folders[family], adapters=[str(tmp_path)])
    assert np.abs(drawn(denoiser) - unaligned).max() > 1e-3
    np.testing.assert_allclose(draw(model, PROMPTS[:2], MAPS[:2], [1, 2], DRAWING), drawn(denoiser), atol=1e-5)
    assert model.identity.count("sha256:") == 2
    assert json.loads((tmp_path / "posedreamer.json").read_text()) == FACTS


@pytest.mark.parametrize("family", FAMILIES)
def test_a_second_round_begins_and_is_measured_at_the_first_s_end(
    family: str, folders: dict[str, str], tmp_path: Path
) -> None:
    first = made(folders[family])
    disturb(first, 1)
    save_adapter(first, tmp_path, FACTS)
    second = made(folders[family], start=tmp_path, seed=5)
    assert torch.equal(predicted(second), predicted(first))
    disturb(second, 2)
    assert not torch.allclose(predicted(second), predicted(first), atol=1e-3)
    with as_reference(second):
        assert torch.equal(predicted(second), predicted(first))


def half(folder: str, start: Path | None, seed: int = 0) -> Denoiser:
    """The same with nets in bfloat16."""
    denoiser = open_denoiser(load_model(folder, None, "xyz", (), torch.bfloat16, "cpu").pipeline, DRAWING)
    add_adapter(
        denoiser, 2, 4, {"unet": ["to_q", "to_v", "conv1"], "controlnet": ["to_q", "to_v", "conv1"]}, start, seed
    )
    return denoiser


def adapter_weights(denoiser: Denoiser, adapter: str) -> dict[str, torch.Tensor]:
    parts = denoiser.named_parameters()
    return {name.replace(adapter, "?"): part.detach().clone() for name, part in parts if f".{adapter}." in name}


def test_adapters_learn_in_float32_whatever_the_nets_are(folders: dict[str, str], tmp_path: Path) -> None:
    """And come back to the bit: as the one in training, after a cut, and as the reference of a second round."""
    first = half(folders["sd"], None)
    assert {part.dtype for part in first.parameters() if part.requires_grad} == {torch.float32}
    assert {part.dtype for part in first.parameters() if not part.requires_grad} == {torch.bfloat16}
    disturb(first, 1)
    save_adapter(first, tmp_path, FACTS)
    expected = adapter_weights(first, POLICY)
    resumed, second = half(folders["sd"], None, seed=9), half(folders["sd"], tmp_path, seed=9)
    resume_adapter(resumed, tmp_path)
    for denoiser, adapter in ((resumed, POLICY), (second, POLICY), (second, REFERENCE)):
        found = adapter_weights(denoiser, adapter)
        assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


def test_resumed_weights_are_the_saved_ones(folders: dict[str, str], tmp_path: Path) -> None:
    denoiser, other = made(folders["sd"]), made(folders["sd"], seed=9)
    disturb(denoiser, 1)
    save_adapter(denoiser, tmp_path, FACTS)
    resume_adapter(other, tmp_path)
    assert torch.equal(predicted(other), predicted(denoiser))
    assert [name for name, part in other.named_parameters() if part.requires_grad] == [
        name for name, part in denoiser.named_parameters() if part.requires_grad
    ]


def test_what_does_not_fit_is_refused(
    folders: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    denoiser = made(folders["sd"])
    save_adapter(denoiser, tmp_path / "other_maps", {**FACTS, "condition_renderer": "xyz-v0-1234"})
    with pytest.raises(ValueError, match="made for the condition xyz-v0-1234, but maps are drawn as xyz-v1"):
        opened(folders["sd"], adapters=[str(tmp_path / "other_maps")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no safetensors weights"):
        opened(folders["sd"], adapters=[str(tmp_path / "empty")])
    with pytest.raises(ValueError, match=r"no safetensors in .*empty, nor in controlnet/"):
        made(folders["sd"], start=tmp_path / "empty")
    save_adapter(denoiser, tmp_path / "first", FACTS)
    both = {"unet": ["to_q", "to_v", "conv1"], "controlnet": ["to_q", "to_v", "conv1"]}
    for rank, alpha, targets, message in (
        (2, 4, {**both, "unet": ["to_q"]}, "the unet in training: other layers, such as"),
        (3, 4, both, "the unet in training: another rank"),
        (2, 8, both, "has alpha 4, expected 8"),
        (2, 4, {"unet": both["unet"]}, r"has weights for \['controlnet', 'unet'\], expected \['unet'\]"),
        (2, 4, {"unet": ["to_q", "to_typo"]}, "the unet has no layer to_typo"),
    ):
        with pytest.raises(ValueError, match=message):
            other = open_denoiser(opened(folders["sd"]).pipeline, DRAWING)
            add_adapter(other, rank, alpha, targets, tmp_path / "first", 0)
    with pytest.raises(ValueError, match=r"adapter for \['transformer'\]; this pipeline has \['controlnet', 'unet'\]"):
        add_adapter(open_denoiser(opened(folders["sd"]).pipeline, DRAWING), 2, 4, {"transformer": ["to_q"]}, None, 0)
    opened(folders["sd"], adapters=[str(tmp_path / "first")])
    assert "trained on tiny, used on sd@sha256" in caplog.text
