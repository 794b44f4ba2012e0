"""Positional codes and the projector: continuity on the sphere, the original's formula, what goes where."""

import math

import numpy as np
import pytest
import torch
from panollava_core import PanoramaProjector
from panollava_core._positional import ray_features, sine_cosine, yaw_encoding


def rays_of(yaw_deg, pitch_deg):
    yaw, pitch = (torch.deg2rad(torch.as_tensor(x, dtype=torch.float64)) for x in (yaw_deg, pitch_deg))
    return torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], dim=-1)


def random_rays(*shape):
    return torch.nn.functional.normalize(torch.randn(*shape, 3), dim=-1)


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


def test_same_direction_from_two_views_has_the_same_code():
    rays = random_rays(2, 3, 3)
    rays[1, 0, 0] = rays[0, 2, 2]
    features = ray_features(rays, 6)
    assert torch.equal(features[1, 0, 0], features[0, 2, 2])
    code = PanoramaProjector(8, 5).position(rays)
    torch.testing.assert_close(code[1, 0, 0], code[0, 2, 2])


def test_only_the_direction_counts():
    rays = random_rays(5)
    torch.testing.assert_close(ray_features(rays * 7, 6), ray_features(rays, 6), rtol=1e-4, atol=1e-5)


def test_fresh_spherical_code_has_a_moderate_scale():
    code = PanoramaProjector(256, 8).position(random_rays(500))
    assert 0.2 < code.std() < 0.8


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


@pytest.mark.parametrize("encoding", ["spherical", "yaw", "none"])
@pytest.mark.parametrize("mode", ["concat", "stride_views", "drop_overlap", "resample"])
@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (1, 1)])
def test_number_of_tokens(encoding, mode, grid):
    overlap = 0.3 if grid[1] > 1 else 0.2
    projector = PanoramaProjector(8, 12, positional_encoding=encoding, stitching_mode=mode, overlap_ratio=overlap)
    latents = torch.randn(2 * 3, grid[0] * grid[1], 8)
    tokens = projector(latents, num_views=3, grid=grid, rays=random_rays(3, *grid))
    assert tokens.shape == (2, projector.num_image_tokens(3, grid), 12)


def test_concat_reads_the_mosaic_row_by_row():
    projector = PanoramaProjector(1, 1, positional_encoding="none")
    torch.nn.init.ones_(projector.linear.weight)
    torch.nn.init.zeros_(projector.linear.bias)
    latents = torch.arange(2 * 6.0).view(2, 6, 1)  # two views of 2 rows, 3 columns
    tokens = projector(latents, num_views=2, grid=(2, 3))
    assert tokens.flatten().tolist() == [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11]


def test_panoramas_do_not_mix():
    projector = PanoramaProjector(8, 12, stitching_mode="resample")
    latents, rays = torch.randn(6, 16, 8), random_rays(3, 4, 4)
    both = projector(latents, num_views=3, grid=(4, 4), rays=rays)
    second = projector(latents[3:], num_views=3, grid=(4, 4), rays=rays)
    torch.testing.assert_close(both[1:], second)


def test_rays_per_panorama():
    projector = PanoramaProjector(8, 12)
    latents, rays = torch.randn(4, 4, 8), random_rays(2, 2, 2, 2)
    both = projector(latents, num_views=2, grid=(2, 2), rays=rays)
    for index in range(2):
        alone = projector(latents[2 * index : 2 * index + 2], num_views=2, grid=(2, 2), rays=rays[index])
        torch.testing.assert_close(both[index : index + 1], alone)


@pytest.mark.parametrize("mode", ["concat", "drop_overlap", "resample"])
def test_every_parameter_and_the_latents_receive_gradients(mode):
    projector = PanoramaProjector(8, 12, stitching_mode=mode)
    latents = torch.randn(6, 16, 8, requires_grad=True)
    projector(latents, num_views=3, grid=(4, 4), rays=random_rays(3, 4, 4)).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in [latents, *projector.parameters()])


def test_bfloat16_keeps_angles_exact():
    """Rays stay in float32 up to the learned map; only that is rounded."""
    projector = PanoramaProjector(64, 32)
    latents, rays = torch.randn(3, 16, 64), random_rays(3, 4, 4)
    expected = projector(latents, num_views=3, grid=(4, 4), rays=rays)
    found = projector.bfloat16()(latents.bfloat16(), num_views=3, grid=(4, 4), rays=rays)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=5e-2, atol=5e-2)


def test_keys_are_the_originals():
    assert set(PanoramaProjector(8, 12, positional_encoding="yaw").state_dict()) == {"linear.weight", "linear.bias"}
    assert "position.linear.weight" in PanoramaProjector(8, 12).state_dict()


def test_no_buffers_and_meta_device():
    with torch.device("meta"):
        projector = PanoramaProjector(8, 12)
        tokens = projector(torch.empty(6, 16, 8), num_views=3, grid=(4, 4), rays=torch.empty(3, 4, 4, 3))
    assert tokens.shape == (2, 48, 12)
    assert not list(projector.buffers())


def test_errors():
    latents = torch.zeros(4, 4, 8)
    with pytest.raises(ValueError, match=r"positional_encoding='spherical' needs rays \[V, H', W', 3\]"):
        PanoramaProjector(8, 4)(latents, num_views=2, grid=(2, 2))
    with pytest.raises(
        ValueError, match=r"rays of shape \(2, 2, 3, 3\) fit neither \(2, 2, 2, 3\) nor \(2, 2, 2, 2, 3\)"
    ):
        PanoramaProjector(8, 4)(latents, num_views=2, grid=(2, 2), rays=random_rays(2, 2, 3))
    with pytest.raises(ValueError, match=r"latents of shape \(4, 4, 8\) are not 3 views per panorama of 2x2 tokens"):
        PanoramaProjector(8, 4)(latents, num_views=3, grid=(2, 2), rays=random_rays(3, 2, 2))
    with pytest.raises(ValueError, match="are not 2 views per panorama of 2x3 tokens"):
        PanoramaProjector(8, 4)(latents, num_views=2, grid=(2, 3), rays=random_rays(2, 2, 3))
    with pytest.raises(ValueError, match="the yaw encoding needs an even latent dimension, got 7"):
        PanoramaProjector(7, 4, positional_encoding="yaw")
    with pytest.raises(ValueError, match="the yaw encoding needs an even latent dimension, got 7"):
        yaw_encoding(2, (2, 2), 7, overlap_ratio=0.3)
    with pytest.raises(Exception, match="positional_encoding"):
        PanoramaProjector(8, 4, positional_encoding="learned")
