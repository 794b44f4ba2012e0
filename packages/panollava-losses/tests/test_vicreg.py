"""VICReg against the formulas of the paper (the `textbook` fixture) in float64."""

import pytest
import torch
from panollava_losses import VICRegLoss, vicreg

SHAPES = [(3, 5, 7), (3, 9, 7), (1, 2, 9), (4, 40, 64), (2, 64, 40)]
MODES = ["pairwise", "batchwise"]


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_paper(sides, shape, mode, correction, tolerances, textbook):
    x, y = sides(shape)
    ours = vicreg(x, y, mode=mode, variance_correction=correction)
    theirs = textbook(x, y, mode, correction)
    close = tolerances[torch.float64]
    torch.testing.assert_close(tuple(ours), theirs, **close)
    torch.testing.assert_close(torch.autograd.grad(ours.total, (x, y)), torch.autograd.grad(theirs[0], (x, y)), **close)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(8, 128, 192), (2, 300, 96)])
def test_float32_is_close_to_float64(sides, shape, mode, tolerances, textbook):
    """Large enough for several chunks, far from zero mean."""
    x, y = sides(shape, torch.float32, offset=3.0)
    ours = vicreg(x, y, mode=mode)
    xd, yd = x.detach().double().requires_grad_(), y.detach().double().requires_grad_()
    theirs = textbook(xd, yd, mode)
    torch.testing.assert_close(torch.stack(ours).double(), torch.stack(theirs), **tolerances[torch.float32])
    for a, b in zip(torch.autograd.grad(ours.total, (x, y)), torch.autograd.grad(theirs[0], (xd, yd)), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4 * b.abs().max().item())


def lightly_formula(rows_terms, z_a, z_b, nu=1.0):
    """`lightly.loss.VICRegLoss`: unbiased variance, half the sum of the hinges, the full sum of the covariances."""
    (h_a, c_a), (h_b, c_b) = (rows_terms(z, 1, 1.0, 1e-4) for z in (z_a, z_b))
    return 25 * (z_a - z_b).square().mean() + 25 * 0.5 * (h_a + h_b) + nu * (c_a + c_b)


@pytest.mark.parametrize("n", [16, 48])
def test_equals_lightlys_reduction(sides, n, tolerances, rows_terms):
    z_a, z_b = (z[0] for z in sides((1, n, 32)))
    ours = vicreg(z_a, z_b, covariance_weight=2.0, variance_correction=1).total
    torch.testing.assert_close(ours, lightly_formula(rows_terms, z_a, z_b), **tolerances[torch.float64])


def test_equals_lightly_itself(sides, tolerances):
    lightly = pytest.importorskip("lightly.loss")
    z_a, z_b = (z[0] for z in sides((1, 48, 32)))
    ours = vicreg(z_a, z_b, covariance_weight=2.0, variance_correction=1).total
    torch.testing.assert_close(ours, lightly.VICRegLoss()(z_a, z_b), **tolerances[torch.float64])


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(3, 11, 4), (3, 9, 20)])
def test_masked_tokens_leave_no_trace(sides, shape, mode, correction, tolerances, textbook):
    x, y = sides(shape)
    keep = torch.rand(shape[:2]) < 0.6
    keep[:, :2] = True
    filled_x, filled_y = (z.masked_fill(~keep.unsqueeze(-1), float("nan")) for z in (x, y))
    close = tolerances[torch.float64]
    theirs = textbook(x, y, mode, correction, keep=keep)
    expected = torch.autograd.grad(theirs[0], (x, y))
    for weight in (keep, 0.37 * keep.double()):
        ours = vicreg(filled_x, filled_y, mode=mode, variance_correction=correction, weight=weight)
        torch.testing.assert_close(tuple(ours), theirs, **close)
        got = torch.autograd.grad(ours.total, (x, y), retain_graph=True)
        torch.testing.assert_close(got, expected, **close)


@pytest.mark.parametrize("mode", MODES)
def test_integer_weights_are_repeated_tokens_up_to_the_denominator(sides, mode, tolerances):
    """Means and biased variances with weight 2 are those with the token written twice."""
    x, y = sides((1, 6, 4))
    weight = torch.tensor([[1.0, 2.0, 1.0, 3.0, 1.0, 2.0]], dtype=torch.float64)
    times = weight[0].long()
    ours = vicreg(x, y, mode=mode, weight=weight)
    repeated = vicreg(x.repeat_interleave(times, 1), y.repeat_interleave(times, 1), mode=mode)
    torch.testing.assert_close(ours[1:3], repeated[1:3], **tolerances[torch.float64])
    p = weight / weight.sum()
    sides = torch.cat([p, p]) / 2 if mode == "batchwise" else p
    n = int(times.sum()) * (2 if mode == "batchwise" else 1)
    ratio = ((1 - 1 / n) / (1 - sides.square().sum())) ** 2
    torch.testing.assert_close(ours.covariance, repeated.covariance * ratio, **tolerances[torch.float64])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["similarity_weight", "variance_weight", "covariance_weight"])
def test_total_is_the_weighted_sum(sides, name, mode, tolerances):
    x, y = sides((3, 6, 5))
    terms = vicreg(x, y, mode=mode)
    other = vicreg(x, y, mode=mode, **{name: 7.0})
    weights = {"similarity_weight": 25.0, "variance_weight": 25.0, "covariance_weight": 1.0, name: 7.0}
    expected = sum(w * t for w, t in zip(weights.values(), terms[1:], strict=True))
    torch.testing.assert_close(other.total, expected, **tolerances[torch.float64])


@pytest.mark.parametrize("mode", MODES)
def test_invariants(sides, mode, tolerances):
    """Order of tokens, of features and of the sides does not matter; a shift of both sides does not either."""
    x, y = sides((4, 6, 5))
    close = tolerances[torch.float64]
    terms = vicreg(x, y, mode=mode)
    tokens, features = torch.randperm(6), torch.randperm(5)
    torch.testing.assert_close(vicreg(x[:, tokens], y[:, tokens], mode=mode), terms, **close)
    torch.testing.assert_close(vicreg(x[..., features], y[..., features], mode=mode), terms, **close)
    torch.testing.assert_close(vicreg(y, x, mode=mode), terms, **close)
    torch.testing.assert_close(vicreg(x + 5, y + 5, mode=mode), terms, **close)
    torch.testing.assert_close(vicreg(x.view(2, 2, 6, 5), y.view(2, 2, 6, 5), mode=mode), terms, **close)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 6, 3), (1, 2, 6)])
def test_gradcheck(sides, shape, mode, weighted):
    x, y = sides(shape)
    weight = torch.rand(shape[:2], dtype=torch.float64) + 0.1 if weighted else None

    def terms(x, y):
        return tuple(vicreg(x, y, mode=mode, weight=weight, gamma=1.3))

    assert torch.autograd.gradcheck(terms, (x, y))
    assert torch.autograd.gradgradcheck(terms, (x, y))


@pytest.mark.parametrize("mode", MODES)
def test_gradient_of_one_side_only(sides, mode, tolerances):
    x, y = sides((2, 4, 3))
    both = torch.autograd.grad(vicreg(x, y, mode=mode).total, (x, y))
    (alone,) = torch.autograd.grad(vicreg(x, y.detach(), mode=mode).total, (x,))
    torch.testing.assert_close(alone, both[0], **tolerances[torch.float64])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(2, 16, 24), (2, 24, 16)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_has_float32_statistics(sides, dtype, shape, mode, tolerances):
    x, y = sides(shape, dtype)
    ours = vicreg(x, y, mode=mode)
    xs, ys = x.detach().float().requires_grad_(), y.detach().float().requires_grad_()
    theirs = vicreg(xs, ys, mode=mode)
    assert ours.total.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, **tolerances[torch.float32])
    got = torch.autograd.grad(ours.total, (x, y))
    assert {g.dtype for g in got} == {dtype}
    expected = torch.autograd.grad(theirs.total, (xs, ys))
    torch.testing.assert_close(got, tuple(g.to(dtype) for g in expected), **tolerances[dtype])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(2, 16, 24), (2, 24, 16)])
def test_autocast_changes_nothing(sides, shape, mode):
    x, y = sides(shape, torch.float32)
    plain = vicreg(x, y, mode=mode)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = vicreg(x, y, mode=mode)
        got = torch.autograd.grad(cast.total, (x, y))
    torch.testing.assert_close(cast, plain, rtol=0, atol=0)
    torch.testing.assert_close(got, torch.autograd.grad(plain.total, (x, y)), rtol=0, atol=0)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["constant", "zero", "large", "one live feature", "offset"])
def test_finite_on_hard_features(kind, dtype, mode, weighted):
    for shape in ((2, 8, 12), (2, 12, 8)):
        x, y = torch.randn(shape), torch.randn(shape)
        if kind == "constant":
            x, y = torch.full(shape, 3.0), torch.full(shape, -1.0)
        elif kind == "zero":
            x, y = torch.zeros(shape), torch.zeros(shape)
        elif kind == "large":
            x, y = x * 1e4, y * 1e4
        elif kind == "one live feature":
            x[..., 1:], y[..., 1:] = 2.0, 2.0
        else:
            x, y = x + 1e4, y + 1e4
        x, y = x.to(dtype).requires_grad_(), y.to(dtype).requires_grad_()
        weight = torch.rand(shape[:2]) + 0.1 if weighted else None
        terms = vicreg(x, y, mode=mode, weight=weight)
        terms.total.backward()
        assert all(bool(t.isfinite()) and t >= 0 for t in terms)
        assert bool(x.grad.isfinite().all())
        assert bool(y.grad.isfinite().all())


def test_float16_at_the_edge_of_its_range():
    """The loss is float32 and finite; a gradient beyond float16 is left infinite, so that a GradScaler sees it."""
    x, y = (torch.randn(2, 8, 12).mul(1e4).to(torch.float16).requires_grad_() for _ in "xy")
    loss = vicreg(x, y).total
    assert bool(loss.isfinite())
    (grad,) = torch.autograd.grad(loss, x)
    (wide,) = torch.autograd.grad(vicreg(x.float(), y.float()).total, x)
    assert not bool(grad.isnan().any())
    assert torch.equal(grad.isinf(), wide.isinf())


def test_constant_features_are_pushed_by_nothing_but_counted():
    """Standard deviation sqrt(eps), as the formula says, and no covariance."""
    x = torch.ones(2, 6, 4)
    terms = vicreg(x, x)
    torch.testing.assert_close(terms.variance, torch.tensor(1 - 1e-2))
    assert terms.invariance == 0
    assert terms.covariance == 0


def test_meta_tensors_have_shapes():
    x = torch.empty(4, 6, 8, device="meta", requires_grad=True)
    for mode in MODES:
        terms = vicreg(x, x.detach(), mode=mode, weight=torch.ones(4, 6, device="meta"))
        assert all(t.shape == () and t.device.type == "meta" for t in terms)
        assert torch.autograd.grad(terms.total, x)[0].shape == x.shape


def test_module_is_the_function(sides, tolerances):
    x, y = sides((2, 5, 4))
    weight = torch.rand(2, 5, dtype=torch.float64)
    module = VICRegLoss(10.0, 5.0, 2.0, gamma=1.5, eps=1e-3, mode="batchwise", variance_correction=1)
    options = {"similarity_weight": 10.0, "variance_weight": 5.0, "covariance_weight": 2.0}
    expected = vicreg(x, y, weight=weight, gamma=1.5, eps=1e-3, mode="batchwise", variance_correction=1, **options)
    torch.testing.assert_close(module(x, y, weight), expected, rtol=0, atol=0)
    assert "mode='batchwise'" in repr(module)
    assert "gather_distributed" not in repr(module)
