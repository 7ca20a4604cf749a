"""The multi-view model against diffusers' own DDIM, predictions of either kind, the order of a batch, and files."""

import numpy as np
import pytest
import torch
from tiny_multiview import CELLS, SIZE, embed, tiny_multiview

from posedreamer.drpose import multiview
from posedreamer.drpose.multiview import (
    Conditions,
    MultiViewModel,
    condition_on,
    decode,
    draw_timetable,
    draw_views,
    load_nano_multiview,
    predict,
    repeat_conditions,
    save_nano_multiview,
    silenced,
    stack_views,
    unstack_views,
    velocity_denoiser,
)
from posedreamer.drpose.multiview_training import build_multiview_scheduler
from posedreamer.drpose.rollout import Plan, roll_out

VIEWS = 6


@pytest.fixture(scope="module")
def model() -> MultiViewModel:
    return tiny_multiview()


@pytest.fixture
def photos() -> list:
    return list(np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8))


def noise(subjects: int = 2) -> torch.Tensor:
    return torch.randn(subjects * 2 * VIEWS, 6, CELLS, CELLS, generator=torch.Generator().manual_seed(1))


def test_a_batch_is_ordered_by_domain_subject_view():
    views = torch.arange(3 * 2 * 6).reshape(3, 2, 6).float()
    stacked = stack_views(views)
    assert stacked[0] == views[0, 0, 0] and stacked[6] == views[1, 0, 0] and stacked[18] == views[0, 1, 0]
    torch.testing.assert_close(unstack_views(stacked, 6), views)


def test_all_pictures_of_a_subject_are_told_its_photograph_and_their_own_words():
    latents, embedding, words = torch.randn(3, 2, 4, 4), torch.randn(3, 5), torch.randn(2, 6, 2, 7)
    found = repeat_conditions(latents, embedding, words)
    for domain in range(2):
        for subject in range(3):
            for view in range(6):
                row = 18 * domain + 6 * subject + view
                torch.testing.assert_close(found.latents[row], latents[subject])
                torch.testing.assert_close(found.embedding[row], embedding[subject])
                torch.testing.assert_close(found.words[row], words[domain, view])
    quiet = silenced(found, torch.tensor([False, True, False]), 6)
    by_subject = unstack_views(quiet.latents, 6)
    assert (by_subject[1] == 0).all() and (unstack_views(quiet.embedding, 6)[1] == 0).all()
    torch.testing.assert_close(by_subject[[0, 2]], unstack_views(found.latents, 6)[[0, 2]])
    torch.testing.assert_close(quiet.words, found.words)


def test_the_timetable_is_diffusers_trailing_one():
    scheduler = build_multiview_scheduler()
    for steps in (20, 7):
        scheduler.set_timesteps(steps)
        table = draw_timetable(scheduler, steps)
        assert list(table.times) == scheduler.timesteps.tolist()
        assert table.signal[0] == 0.0 and list(table.signal) == sorted(table.signal)


def test_drawing_is_diffusers_ddim(model, photos):
    scheduler = build_multiview_scheduler()
    scheduler.set_timesteps(5)
    conditions, latents = condition_on(model, photos), noise()
    with torch.no_grad():
        for time in scheduler.timesteps:
            velocity = predict(model.unet, latents, time, conditions)
            latents = scheduler.step(velocity, int(time), latents, eta=0.0).prev_sample
    expected = decode(model, latents)
    found = draw_views(model, photos, noise(), steps=5)
    assert found.shape == (2, 2, VIEWS, SIZE, SIZE, 3)
    # Both round to 8 bits.
    assert np.abs(found.astype(int) - expected).max() <= 1


class Knows:
    """A net that predicts what leads to one point, as velocity or as noise; a silenced photograph leads elsewhere."""

    def __init__(self, kind, table, point):
        self.kind, self.table, self.point = kind, table, point

    def __call__(self, given, time, encoder_hidden_states, class_labels, return_dict):
        signal = self.table.signal[self.table.times.index(int(time))]
        loudness = (1 - signal**2) ** 0.5
        x, point = given[:, :6], self.point * (1.0 + class_labels.mean())
        if self.kind == "epsilon":
            return ((x - signal * point) / loudness,)
        return (signal * (x - signal * point) / loudness - loudness * point,)


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon"])
def test_either_kind_of_prediction_ends_at_the_point_it_knows(kind):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(prediction_type=kind, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    table = draw_timetable(scheduler, 6)
    conditions = Conditions(
        torch.zeros(24, 6, 4, 4, dtype=torch.float64), torch.ones(24, 5, dtype=torch.float64), torch.zeros(24, 1, 2)
    )
    net = Knows(kind, table, point=0.7)
    for guidance, expected in ((1.0, 1.4), (2.0, 2.1)):  # 0.7 + guidance x (1.4 - 0.7)
        denoiser = velocity_denoiser(net, scheduler, table, conditions, guidance)
        found = roll_out(denoiser, noise().double(), table.signal, Plan((), 5, False)).clean
        torch.testing.assert_close(found, torch.full_like(found, expected), atol=1e-6, rtol=1e-6)


def test_other_predictions_are_refused():
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(prediction_type="sample")
    conditions = Conditions(torch.zeros(12, 6, 4, 4), torch.ones(12, 5), torch.zeros(12, 1, 2))
    with pytest.raises(ValueError, match="'sample' are not known"):
        velocity_denoiser(None, scheduler, draw_timetable(scheduler, 4), conditions)


def test_a_saved_model_draws_the_same(tmp_path, monkeypatch, model, photos):
    import copy

    monkeypatch.setattr(multiview, "FeatureEmbedder", lambda: embed)
    rounded = model._replace(unet=copy.deepcopy(model.unet).half().float(), vae=copy.deepcopy(model.vae).half().float())
    rounded = rounded._replace(words=model.words.half().float())
    save_nano_multiview(rounded._replace(unet=copy.deepcopy(rounded.unet), vae=copy.deepcopy(rounded.vae)), tmp_path)
    loaded = load_nano_multiview(tmp_path)
    assert loaded.layout == model.layout
    found, expected = (draw_views(one, photos, noise(), steps=3) for one in (loaded, rounded))
    np.testing.assert_array_equal(found, expected)
