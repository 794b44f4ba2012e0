import copy

import numpy as np
import pytest
import torch
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg
from transformers import Dinov2Config

from tools.stage_one.__main__ import ARMS
from tools.stage_one.changes import CHANGES, Change, apply, crop
from tools.stage_one.features import VIEWS, Features
from tools.stage_one.judging import judge
from tools.stage_one.training import new_model, on_kept_features, tower_alone, train, vectors

PANORAMAS, PATCHES, WIDTH = 3, 64, 32


@pytest.fixture(scope="module")
def tower():
    torch.manual_seed(0)
    return Dinov2Config(hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, image_size=112, patch_size=14)


def kept_of(model, pixels):
    """What `features` keeps of these views, without its rounding to half precision."""
    views = pixels.flatten(0, 1)
    with torch.no_grad():
        output = model.panollava.vision_backbone.encode(views, summaries=True)
    tokens = torch.cat([output.cls_token[:, None], output.last_hidden_state], dim=1)
    return tokens.unflatten(0, pixels.shape[:2])


def test_kept_features_give_the_loss_and_gradients_of_the_whole_model(tower):
    config = PanoLLaVaConfig(tower, **VIEWS, **ARMS["mlp, spherical"])
    whole = PanoLLaVaForVICReg(config).eval()
    pixels = torch.randn(2, 6, 3, 112, 112)
    kept = kept_of(whole, pixels)
    whole.panollava.vision_backbone.requires_grad_(False)
    expected = whole(pixels).loss
    short = on_kept_features(copy.deepcopy(whole))
    found = short(kept[:, :, None]).loss
    torch.testing.assert_close(found, expected)
    expected.backward()
    found.backward()
    gradients = dict(short.panollava.resampler.named_parameters())
    for name, weight in whole.panollava.resampler.named_parameters():
        torch.testing.assert_close(gradients[name].grad, weight.grad, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize("pooling", ["mean", "cls+mean"])
def test_vectors_of_kept_features_are_those_of_the_tower(tower, pooling):
    config = PanoLLaVaConfig(tower, resampler_type="none", latent_dimension=WIDTH, pooling=pooling, **VIEWS)
    whole = PanoLLaVaForFeatureExtraction(config).eval()
    pixels = torch.randn(2, 6, 3, 112, 112)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(whole(pixels).pooler_output, dim=-1)
    torch.testing.assert_close(vectors(tower_alone(tower, pooling), kept_of(whole, pixels)), expected)


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_is_trained_by_a_step(tower, arm):
    features = Features(
        ["a", "b", "c"],
        torch.randn(PANORAMAS, 6, 1 + PATCHES, WIDTH),
        torch.randn(PANORAMAS, 2, 6, 1 + PATCHES, WIDTH),
        {},
    )
    model = new_model(tower, ARMS[arm], seed=0)
    before = copy.deepcopy(model.state_dict())
    assert [step for step, _ in train(model, features, [0, 1], [0, 1], seed=0)] == [0, 1]
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert changed == {"panollava", "vicreg_projector"}


def test_judging_agrees_with_a_loop_over_queries():
    rng = np.random.default_rng(0)
    gallery, queries = rng.normal(size=(5, 8)), rng.normal(size=(12, 8))
    truth = rng.integers(5, size=12)
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (gallery, queries)]
    between = [unit[0][i] @ unit[0][j] for i in range(5) for j in range(5) if i != j]
    firsts, areas, margins = [], [], []
    for query, right in zip(unit[1], truth, strict=True):
        similar = unit[0] @ query
        others = np.delete(similar, right)
        firsts.append(similar[right] > others.max())
        areas.append((similar[right] > others).mean())
        margins.append((similar[right] - others.max()) / np.std(between, ddof=1))
    found = judge(*(torch.from_numpy(one) for one in unit), torch.from_numpy(truth), centred=False)
    assert found.first == pytest.approx(np.mean(firsts))
    assert found.area == pytest.approx(np.mean(areas))
    assert found.margin == pytest.approx(np.mean(margins))


def test_a_tilt_moves_the_zenith_by_its_angle_and_a_turn_no_row():
    height = 180
    latitude = (90 - np.arange(height) - 0.5)[:, None].repeat(2 * height, 1)
    panorama = torch.from_numpy(latitude + 90).to(torch.uint8).expand(3, -1, -1)  # its grey says how high a pixel is
    tilted = apply(Change(turned=True, tilt_deg=20), panorama, np.random.default_rng(0))
    assert tilted[0, 0].float().mean() == pytest.approx(160, abs=1.5)
    assert apply(CHANGES["yaw"], panorama, np.random.default_rng(0)).equal(panorama)


def test_the_visible_part_of_a_view_is_its_centre():
    views = torch.zeros(2, 6, 3, 50, 50)
    views[..., 10:40, 10:40] = 1  # 60 % of the height and of the width
    assert crop(Change(visible=0.6), views).min() == pytest.approx(1)
    assert crop(Change(), views) is views
