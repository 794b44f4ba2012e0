"""Positional encodings: their formulas, and continuity on the sphere."""

import math

import numpy as np
import pytest
import torch
from panollava_core._positional import SphericalEncoding, ray_features, sine_cosine, yaw_encoding


def random_rays(*shape):
    return torch.nn.functional.normalize(torch.randn(*shape, 3), dim=-1)


def rays_of(yaw_deg, pitch_deg):
    yaw, pitch = (torch.deg2rad(torch.as_tensor(x, dtype=torch.float64)) for x in (yaw_deg, pitch_deg))
    return torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], dim=-1)


def test_ray_features_are_the_formula():
    ray = np.array([0.48, -0.6, 0.64])
    expected = [*ray]
    expected += [math.sin(2**k * x) for k in range(4) for x in ray]
    expected += [math.cos(2**k * x) for k in range(4) for x in ray]
    found = ray_features(torch.tensor(ray), 4)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_spherical_code_is_continuous_across_the_seam():
    step = 1e-4
    for pitch in (-80.0, 0.0, 45.0):
        jump = ray_features(rays_of(180 - step, pitch), 6) - ray_features(rays_of(-180 + step, pitch), 6)
        assert jump.abs().max() <= math.radians(2 * step) * 2**5


def test_spherical_code_is_one_at_each_pole():
    yaws = torch.linspace(-180, 180, 37, dtype=torch.float64)
    for pitch in (90.0, -90.0):
        code = ray_features(rays_of(yaws, torch.full_like(yaws, pitch)), 6)
        assert (code - code[0]).abs().max() < 1e-12
        near = ray_features(rays_of(yaws, torch.full_like(yaws, pitch * (1 - 1e-7))), 6)
        assert (near - code[0]).abs().max() < 1e-5


def test_different_directions_have_different_codes():
    """The finest octave tells neighbouring tokens apart: a view of 90 degrees with 16 columns has them 5.6 apart."""
    yaws = torch.arange(0, 360, 5.6, dtype=torch.float64)
    code = ray_features(rays_of(yaws, torch.zeros_like(yaws)), 6)
    distance = torch.cdist(code, code) + torch.eye(len(yaws)) * 100
    assert distance.min() > 0.3


def test_only_the_direction_counts():
    rays = random_rays(5)
    torch.testing.assert_close(ray_features(rays * 7, 6), ray_features(rays, 6), rtol=1e-4, atol=1e-5)


def test_yaw_encoding_is_the_originals_formula():
    num_views, (rows, columns), dimension, overlap = 5, (3, 4), 10, 0.4
    rates = 10000.0 ** (-2 * np.arange(dimension // 2) / dimension)

    def code(p):
        return np.concatenate([np.sin(p * rates), np.cos(p * rates)])

    found = yaw_encoding(num_views, (rows, columns), dimension, overlap_ratio=overlap).numpy()
    for v in range(num_views):
        for h in range(rows):
            for w in range(columns):
                g = v * (1 - overlap) + w / columns
                angle = 2 * np.pi * g / (num_views - (num_views - 1) * overlap)
                np.testing.assert_allclose(found[v, h, w], code(angle) + code(h) + code(g), atol=1e-5)


def test_temperature():
    assert not torch.allclose(sine_cosine(torch.tensor(3.0), 8, 100.0), sine_cosine(torch.tensor(3.0), 8, 10000.0))


def test_same_direction_from_two_views_has_the_same_encoding():
    rays = random_rays(2, 3, 3)
    rays[1, 0, 0] = rays[0, 2, 2]
    features = ray_features(rays, 6)
    assert torch.equal(features[1, 0, 0], features[0, 2, 2])
    encoded = SphericalEncoding(8, 6)(rays)
    torch.testing.assert_close(encoded[1, 0, 0], encoded[0, 2, 2])


def test_a_new_spherical_encoding_has_a_moderate_scale():
    encoding = SphericalEncoding(256, 6)(random_rays(500))
    assert 0.2 < encoding.std() < 0.8


def test_the_yaw_encoding_needs_an_even_dimension():
    with pytest.raises(ValueError, match="positional_encoding='yaw' needs an even latent dimension, got 7; use 'sph"):
        yaw_encoding(2, (2, 2), 7, overlap_ratio=0.3)
