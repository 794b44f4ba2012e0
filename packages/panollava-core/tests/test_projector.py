"""The projector: shapes, the order of tokens, and how positions enter."""

import pytest
import torch
from panollava_core import PanoramaProjector


def random_rays(*shape):
    return torch.nn.functional.normalize(torch.randn(*shape, 3), dim=-1)


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
    with pytest.raises(ValueError, match=r"positional_encoding='spherical' needs rays \[V, H', W', 3\], got None"):
        PanoramaProjector(8, 4)(latents, num_views=2, grid=(2, 2))
    with pytest.raises(ValueError, match=r"shape \(2, 2, 3, 3\), expected \(2, 2, 2, 3\) or \(2, 2, 2, 2, 3\)"):
        PanoramaProjector(8, 4)(latents, num_views=2, grid=(2, 2), rays=random_rays(2, 2, 3))
    with pytest.raises(
        ValueError, match=r"shape \(4, 4, 8\) do not fit 3 views per panorama with 2x2 tokens each; exp"
    ):
        PanoramaProjector(8, 4)(latents, num_views=3, grid=(2, 2), rays=random_rays(3, 2, 2))
    with pytest.raises(ValueError, match="do not fit 2 views per panorama with 2x3 tokens each"):
        PanoramaProjector(8, 4)(latents, num_views=2, grid=(2, 3), rays=random_rays(2, 2, 3))
    with pytest.raises(ValueError, match="positional_encoding='yaw' needs an even latent dimension, got 7"):
        PanoramaProjector(7, 4, positional_encoding="yaw")
    with pytest.raises(Exception, match="positional_encoding"):
        PanoramaProjector(8, 4, positional_encoding="learned")
