"""One set of tests for every registered resampler; a new one is tested by being registered."""

import pytest
import torch
from panollava_core import (
    RESAMPLERS,
    build_resampler,
    near_square_grid,
    resampler_is_spatial,
    resampler_output_grid,
)
from panollava_core.resamplers._base import grid_with_aspect

GRID = (4, 6)


@pytest.fixture(params=sorted(RESAMPLERS))
def kind(request):
    return request.param


def config_of(kind, **changes):
    base = {"type": kind, "input_dim": 24, "latent_dimension": 10, "num_latent_tokens": 6, "hidden_dim": 16}
    return {**base, "num_layers": 2, **changes}


def tokens(views=3, dtype=torch.float32, grid=GRID):
    return torch.randn(views, grid[0] * grid[1], 24, dtype=dtype)


def test_shape_and_count_are_what_the_config_says(kind):
    config = config_of(kind)
    resampler = build_resampler(config)
    latents = resampler(tokens(), grid=GRID)
    rows, columns = resampler.output_grid(GRID)
    assert latents.shape == (3, 6, 10)
    assert rows * columns == 6 == resampler.num_output_tokens(GRID)
    assert resampler_output_grid(config, GRID) == (rows, columns)
    assert resampler_is_spatial(config) is resampler.is_spatial


@pytest.mark.parametrize("size", [5, 16, 24])
def test_count_without_a_number_of_latents(kind, size):
    config = config_of(kind, num_latent_tokens=None)
    resampler = build_resampler(config)
    latents = resampler(torch.randn(2, size, 24))
    assert latents.shape[1] == resampler.num_output_tokens(size)
    rows, columns = resampler_output_grid(config, near_square_grid(size))
    assert latents.shape[1] == rows * columns


def test_grid_is_optional_where_views_are_square(kind):
    resampler = build_resampler(config_of(kind, num_latent_tokens=4)).eval()
    views = tokens(grid=(5, 5))
    torch.testing.assert_close(resampler(views), resampler(views, grid=(5, 5)))


def test_every_parameter_receives_a_gradient(kind):
    resampler = build_resampler(config_of(kind))
    (resampler(tokens(), grid=GRID) * torch.randn(3, 6, 10)).sum().backward()
    for name, parameter in resampler.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_views_do_not_see_each_other(kind):
    resampler = build_resampler(config_of(kind))  # in training mode, where batch statistics would show
    views = tokens()
    together = resampler(views, grid=GRID)
    alone = torch.cat([resampler(view[None], grid=GRID) for view in views])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    changed = views.clone()
    changed[0] += 5
    torch.testing.assert_close(resampler(changed, grid=GRID)[1:], together[1:], rtol=1e-5, atol=1e-6)


def test_config_rebuilds_the_resampler(kind):
    first = build_resampler(config_of(kind))
    second = build_resampler(first.config)
    assert second.config == first.config
    second.load_state_dict(first.state_dict())
    views = tokens()
    torch.testing.assert_close(second(views, grid=GRID), first(views, grid=GRID), rtol=0, atol=0)


def test_bfloat16_forward_and_backward(kind):
    resampler = build_resampler(config_of(kind)).bfloat16()
    views = tokens(dtype=torch.bfloat16).requires_grad_()
    latents = resampler(views, grid=GRID)
    assert latents.dtype == torch.bfloat16
    latents.float().square().sum().backward()
    assert torch.isfinite(views.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in resampler.parameters())
    wide = resampler.float()(views.detach().float(), grid=GRID)
    torch.testing.assert_close(latents.float(), wide, rtol=0.1, atol=0.1)


def test_autocast(kind):
    resampler = build_resampler(config_of(kind))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        resampler(tokens(), grid=GRID).float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in resampler.parameters())


def test_gradient_checkpointing_changes_nothing_but_memory(kind):
    resampler = build_resampler(config_of(kind))
    views = tokens().requires_grad_()

    def gradients():
        loss = resampler(views, grid=GRID).square().sum()
        return torch.autograd.grad(loss, [views, *resampler.parameters()])

    plain = gradients()
    resampler.set_gradient_checkpointing()
    assert any(getattr(m, "gradient_checkpointing", False) for m in resampler.modules())
    for kept, recomputed in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(recomputed, kept)


def test_gradients_are_right(kind):
    resampler = build_resampler(config_of(kind, hidden_dim=8, num_layers=1)).double()
    views = torch.randn(1, 6, 24, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resampler(x, grid=(2, 3)), views, fast_mode=True)


def test_meta_device(kind):
    with torch.device("meta"):
        resampler = build_resampler(config_of(kind))
        assert resampler(tokens(), grid=GRID).shape == (3, 6, 10)
    # No buffers: nothing is undefined after a checkpoint fills the parameters.
    assert not list(resampler.buffers())


def test_bare_parameters_can_be_started_again(kind):
    """Whoever re-initialises layers by a rule of their own (transformers does) can restore what is no layer's."""
    resampler = build_resampler(config_of(kind))
    for module in resampler.modules():
        own = dict(module.named_parameters(recurse=False))
        if own and not isinstance(module, torch.nn.Linear | torch.nn.LayerNorm | torch.nn.Conv1d | torch.nn.Conv2d):
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.fill_(float("nan"))
            module.init_parameters()
            assert all(torch.isfinite(p).all() for p in own.values())


def test_fresh_mamba_steps_are_small_and_spread():
    mixer = build_resampler(config_of("bimamba", hidden_dim=256)).blocks[0].forward_block
    steps = torch.nn.functional.softplus(mixer.dt_proj.bias)
    assert 0.0009 < steps.min() < 0.003
    assert 0.04 < steps.max() < 0.11
    torch.testing.assert_close(mixer.A_log.exp()[0], torch.arange(1.0, 65.0))


def test_common_errors(kind):
    config = config_of(kind)
    with pytest.raises(
        ValueError, match=f"a {kind} resampler knows no depth; its keys are input_dim, latent_dimension"
    ):
        build_resampler({**config, "depth": 3})
    with pytest.raises(ValueError, match=f"a {kind} resampler needs input_dim"):
        build_resampler({k: v for k, v in config.items() if k != "input_dim"})
    with pytest.raises(ValueError, match=f"num_latent_tokens of a {kind} resampler must be positive, got 0"):
        build_resampler({**config, "num_latent_tokens": 0})


def test_wrong_grid_is_named():
    for kind, resampler in RESAMPLERS.items():
        if resampler.is_spatial:
            with pytest.raises(ValueError, match="grid 3x4 has 12 cells, but each view has 24 tokens"):
                build_resampler(config_of(kind))(tokens(), grid=(3, 4))


def test_unknown_type_lists_the_known():
    with pytest.raises(ValueError, match="unknown resampler type 'transformer'; expected one of bimamba, c_abstractor"):
        build_resampler({"type": "transformer"})


@pytest.mark.parametrize("kind", ["qformer", "perceiver"])
def test_heads_must_divide_the_width(kind):
    with pytest.raises(ValueError, match="num_heads=5 does not divide the width 16"):
        build_resampler(config_of(kind, num_heads=5))


def test_cross_attention_frequency():
    resampler = build_resampler(config_of("qformer", num_layers=4, cross_attention_frequency=2))
    assert [block.has_cross_attention for block in resampler.blocks] == [True, False, True, False]
    with pytest.raises(ValueError, match="cross_attention_frequency must be positive, got 0"):
        build_resampler(config_of("qformer", cross_attention_frequency=0))


def test_spatial_resamplers_keep_places():
    """Change one corner of the view: of the latents' quadrants, the one in the same corner changes most."""
    for kind, resampler in RESAMPLERS.items():
        if not resampler.is_spatial:
            continue
        module = build_resampler(config_of(kind, num_latent_tokens=36, num_layers=1))
        view = tokens(views=1, grid=(12, 12))
        for top, left in ((0, 0), (0, 1), (1, 0), (1, 1)):
            changed = view.clone().unflatten(1, (12, 12))
            changed[:, 9 * top : 9 * top + 3, 9 * left : 9 * left + 3] += 3
            change = (module(changed.flatten(1, 2), grid=(12, 12)) - module(view, grid=(12, 12))).norm(dim=-1)
            quadrants = change.view(2, 3, 2, 3).sum(dim=(1, 3))
            assert int(quadrants.argmax()) == 2 * top + left, kind


@pytest.mark.parametrize(
    ("count", "grid"),
    [
        (1, (1, 1)),
        (2, (2, 1)),
        (5, (5, 1)),
        (6, (3, 2)),
        (7, (7, 1)),
        (12, (4, 3)),
        (30, (6, 5)),
        (64, (8, 8)),
        (32, (8, 4)),
    ],
)
def test_near_square_grid(count, grid):
    assert near_square_grid(count) == grid


def test_near_square_grid_is_the_originals_wherever_that_has_no_empty_cell():
    for count in range(1, 400):
        height = width = int(count**0.5)
        while height * width < count:
            height, width = (height + 1, width) if height == width else (height, width + 1)
        if height * width == count:
            assert near_square_grid(count) == (height, width)
        rows, columns = near_square_grid(count)
        assert rows * columns == count


def test_grid_with_aspect():
    assert grid_with_aspect(16, (8, 8)) == (4, 4)
    assert grid_with_aspect(8, (4, 8)) == (2, 4)
    assert grid_with_aspect(8, (8, 4)) == (4, 2)
    assert grid_with_aspect(7, (8, 8)) in ((1, 7), (7, 1))
