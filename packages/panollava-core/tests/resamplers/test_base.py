"""One set of tests for every resampler, including one from outside of the package."""

import pytest
import torch
from panollava_core import RESAMPLERS, build_resampler, near_square_grid, resampler_is_spatial, resampler_output_grid

GRID = (4, 6)


def test_shape_and_count_are_what_the_config_says(kind, config_of, tokens):
    config = config_of(kind)
    resampler = build_resampler(config)
    latents = resampler(tokens(), grid=GRID)
    rows, columns = resampler.output_grid(GRID)
    assert latents.shape == (3, 6, 10)
    assert rows * columns == 6 == resampler.num_output_tokens(GRID)
    assert resampler_output_grid(config, GRID) == (rows, columns)
    assert resampler_is_spatial(config) is resampler.is_spatial


@pytest.mark.parametrize("size", [5, 16, 24])
def test_count_without_a_number_of_latents(kind, size, config_of):
    config = config_of(kind, num_latent_tokens=None)
    resampler = build_resampler(config)
    latents = resampler(torch.randn(2, size, 24))
    assert latents.shape[1] == resampler.num_output_tokens(size)
    rows, columns = resampler_output_grid(config, near_square_grid(size))
    assert latents.shape[1] == rows * columns


def test_grid_is_optional_where_views_are_square(kind, config_of, tokens):
    resampler = build_resampler(config_of(kind, num_latent_tokens=4)).eval()
    views = tokens(grid=(5, 5))
    torch.testing.assert_close(resampler(views), resampler(views, grid=(5, 5)))


def test_every_parameter_receives_a_gradient(kind, config_of, tokens):
    resampler = build_resampler(config_of(kind))
    (resampler(tokens(), grid=GRID) * torch.randn(3, 6, 10)).sum().backward()
    for name, parameter in resampler.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_views_do_not_see_each_other(kind, config_of, tokens):
    resampler = build_resampler(config_of(kind))  # in training mode, where batch statistics would show
    views = tokens()
    together = resampler(views, grid=GRID)
    alone = torch.cat([resampler(view[None], grid=GRID) for view in views])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    changed = views.clone()
    changed[0] += 5
    torch.testing.assert_close(resampler(changed, grid=GRID)[1:], together[1:], rtol=1e-5, atol=1e-6)


def test_config_rebuilds_the_resampler(kind, config_of, tokens):
    first = build_resampler(config_of(kind))
    second = build_resampler(first.config)
    assert second.config == first.config
    second.load_state_dict(first.state_dict())
    views = tokens()
    torch.testing.assert_close(second(views, grid=GRID), first(views, grid=GRID), rtol=0, atol=0)


def test_bfloat16_forward_and_backward(kind, config_of, tokens):
    resampler = build_resampler(config_of(kind)).bfloat16()
    views = tokens(dtype=torch.bfloat16).requires_grad_()
    latents = resampler(views, grid=GRID)
    assert latents.dtype == torch.bfloat16
    latents.float().square().sum().backward()
    assert torch.isfinite(views.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in resampler.parameters())
    wide = resampler.float()(views.detach().float(), grid=GRID)
    torch.testing.assert_close(latents.float(), wide, rtol=0.1, atol=0.1)


def test_autocast(kind, config_of, tokens):
    resampler = build_resampler(config_of(kind))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        resampler(tokens(), grid=GRID).float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in resampler.parameters())


def test_gradient_checkpointing_changes_nothing_but_memory(kind, config_of, tokens):
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


def test_gradients_are_right(kind, config_of):
    resampler = build_resampler(config_of(kind, hidden_dim=8, num_layers=1)).double()
    views = torch.randn(1, 6, 24, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resampler(x, grid=(2, 3)), views, fast_mode=True)


def test_meta_device(kind, config_of, tokens):
    with torch.device("meta"):
        resampler = build_resampler(config_of(kind))
        assert resampler(tokens(), grid=GRID).shape == (3, 6, 10)
    # No buffers: nothing is undefined after a checkpoint fills the parameters.
    assert not list(resampler.buffers())


def test_parameters_outside_of_layers_can_be_initialised_again(kind, config_of):
    """transformers initialises the layers of torch.nn by its own rule and then calls `init_parameters`."""
    resampler = build_resampler(config_of(kind))
    for module in resampler.modules():
        own = dict(module.named_parameters(recurse=False))
        if own and not isinstance(module, torch.nn.Linear | torch.nn.LayerNorm | torch.nn.Conv1d | torch.nn.Conv2d):
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.fill_(float("nan"))
            module.init_parameters()
            assert all(torch.isfinite(p).all() for p in own.values())


def test_modules_that_must_not_be_split(kind, config_of):
    """A module with both parameters and submodules stays on one device, with its parameters."""
    resampler = build_resampler(config_of(kind))
    classes = {name: type(module).__name__ for name, module in resampler.named_modules()}
    assert set(resampler.no_split_modules) <= set(classes.values())
    for name, module in resampler.named_modules():
        if list(module.parameters(recurse=False)) and list(module.children()):
            above = [".".join(name.split(".")[:end]) for end in range(name.count(".") + 2)]
            assert {classes[ancestor] for ancestor in above} & set(resampler.no_split_modules), name


def test_options_are_not_changed_by_the_module(kind, config_of):
    resampler = build_resampler(config_of(kind))
    with pytest.raises(AttributeError, match="cannot assign to field 'num_layers'"):
        resampler.options.num_layers = 3
    assert resampler.config == {**resampler.config, **config_of(kind)}


def test_a_class_takes_the_options_as_keywords(config_of):
    config = config_of("mlp")
    kind = config.pop("type")
    assert RESAMPLERS[kind](**config).config == {"type": kind, **config}


def test_wrong_grid_is_an_error(config_of, tokens):
    for kind, resampler in RESAMPLERS.items():
        if resampler.is_spatial and kind != "none":
            with pytest.raises(ValueError, match="grid 3x4 has 12 cells, but each view has 24 tokens"):
                build_resampler(config_of(kind))(tokens(), grid=(3, 4))


def test_spatial_resamplers_keep_positions(config_of, tokens):
    """Change one corner of the view: of the latents' quadrants, the one in the same corner changes most."""
    for kind, resampler in RESAMPLERS.items():
        if not resampler.is_spatial or kind == "none":
            continue
        module = build_resampler(config_of(kind, num_latent_tokens=36, num_layers=1))
        view = tokens(views=1, grid=(12, 12))
        for top, left in ((0, 0), (0, 1), (1, 0), (1, 1)):
            changed = view.clone().unflatten(1, (12, 12))
            changed[:, 9 * top : 9 * top + 3, 9 * left : 9 * left + 3] += 3
            change = (module(changed.flatten(1, 2), grid=(12, 12)) - module(view, grid=(12, 12))).norm(dim=-1)
            quadrants = change.view(2, 3, 2, 3).sum(dim=(1, 3))
            assert int(quadrants.argmax()) == 2 * top + left, kind
