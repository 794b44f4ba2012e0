"""The statistic of known images: its distance, its form in a config, and what is wrong with a damaged one."""

import numpy as np
import pytest
import torch
from panollava_hf import PanoLLaVaConfig
from panollava_hf._errors import ModelError
from panollava_hf.asking.models._known_images import KnownImages, channel_means
from torch import nn


@pytest.fixture(scope="module")
def images():
    """Channel means of 4,000 images: correlated, and of different sizes."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(4000, 6)) @ rng.normal(size=(6, 6)) * np.array([1, 10, 0.1, 1, 1, 1]) + 3


@pytest.fixture(scope="module")
def fields(images):
    return KnownImages.fit(images, [0, 1], 2.0, "rendered scenes")


def test_the_distance_is_mahalanobis(images, fields):
    covariance = np.cov(images.T)
    centred = images - images.mean(0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", centred, np.linalg.inv(covariance), centred) / 6)
    found = KnownImages(fields, "x").distances_of(images)
    assert np.abs(found / expected - 1).max() < 0.05  # half precision and a little shrinkage
    assert KnownImages(fields, "x").distances_of(images.mean(0, keepdims=True))[0] < 0.01


def test_the_means_are_those_of_channels_over_views_and_places():
    class Tower(nn.Module):
        def encode(self, views, output_hidden_states):
            assert output_hidden_states
            tokens = views.flatten(2).transpose(1, 2)

            class Output:
                hidden_states = (views, 2 * tokens)  # a feature map, and tokens

            return Output

    views = torch.rand(2, 3, 3, 4, 5)
    found = channel_means(Tower(), views, [0, 1])
    expected = views.mean((1, 3, 4)).numpy()
    np.testing.assert_allclose(found, np.concatenate([expected, 2 * expected], 1), rtol=1e-6)
    with pytest.raises(ValueError, match="layers"):
        channel_means(Tower(), views, [2])


def test_it_survives_a_config(fields, tmp_path):
    config = PanoLLaVaConfig(known_words=["cube", "원뿔"], known_topics=["cube"], known_images=fields)
    config.save_pretrained(tmp_path)
    loaded = PanoLLaVaConfig.from_pretrained(tmp_path)
    assert (loaded.known_words, loaded.known_images) == (["cube", "원뿔"], fields)
    assert loaded.known_topics == ["cube"]
    assert PanoLLaVaConfig().known_words is None


@pytest.mark.parametrize(
    "change",
    [
        {"whitening": "*"},
        {"whitening": "AAAA"},
        {"mean": [1.0]},
        {"mean": "x"},
        {"scale": [0.0] * 6},
        {"threshold": "far"},
    ],
)
def test_a_damaged_statistic_is_named(fields, change):
    with pytest.raises(ModelError, match=r"^my-model: known_images in its config\.json is damaged"):
        KnownImages({**fields, **change}, "my-model")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"known_words": "cube"}, "known_words must be a list of words or null"),
        ({"known_words": []}, "known_words must have 1 to"),
        ({"known_words": [1]}, "known_words must be a list of words"),
        ({"known_topics": 3}, "known_topics must be a list of words or null"),
        ({"known_images": {"mean": []}}, "known_images must have the fields description, layers, mean"),
        ({"known_images": 3}, "known_images must have the fields"),
    ],
)
def test_impossible_fields(options, message):
    with pytest.raises(ValueError, match=message):
        PanoLLaVaConfig(**options)
