"""InfoNCE against `torch.nn.functional.cross_entropy` on the whole matrix of similarities."""

from types import SimpleNamespace

import pytest
import torch
from panollava_losses import OverlapInfoNCELoss, column_correspondences, info_nce
from torch.nn import functional

KINDS = ["pair", "batch"]


def cross_entropies(x, y, negatives, temperature, keep=None):
    """Both directions, one pair at a time; masked tokens are left out."""
    keep = torch.ones(x.shape[:2], dtype=torch.bool) if keep is None else keep
    sides = [[functional.normalize(z[k], dim=-1) for z, k in zip(side, keep, strict=True)] for side in (x, y)]
    losses, start = [], 0
    for a, b in zip(*sides, strict=True):
        others_a, others_b, first = (a, b, 0) if negatives == "pair" else (*map(torch.cat, sides), start)
        target = torch.arange(len(a)) + first
        forth = functional.cross_entropy(a @ others_b.T / temperature, target)
        back = functional.cross_entropy(b @ others_a.T / temperature, target)
        losses.append((forth + back) / 2)
        start += len(a)
    return torch.stack(losses).mean()


def pair(shape=(3, 6, 5), dtype=torch.float64):
    return tuple(torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_() for _ in "xy")


@pytest.mark.parametrize("masking", ["none", "mask"])
@pytest.mark.parametrize("negatives", KINDS)
def test_equals_cross_entropy(negatives, masking, tolerances):
    x, y = pair()
    keep = torch.rand(3, 6) < 0.6
    keep[:, :2] = True
    theirs = cross_entropies(x, y, negatives, 0.3, keep if masking == "mask" else None)
    if masking == "mask":
        x_in, y_in = (z.masked_fill(~keep.unsqueeze(-1), float("nan")) for z in (x, y))
        ours = info_nce(x_in, y_in, negatives=negatives, temperature=0.3, weight=keep)
    else:
        ours = info_nce(x, y, negatives=negatives, temperature=0.3)
    close = tolerances[torch.float64]
    torch.testing.assert_close(ours, theirs, **close)
    torch.testing.assert_close(torch.autograd.grad(ours, (x, y)), torch.autograd.grad(theirs, (x, y)), **close)


def test_weights_weigh_anchors(tolerances):
    x, y = pair((1, 4, 5))
    weight = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    s = functional.normalize(x[0], dim=-1) @ functional.normalize(y[0], dim=-1).T / 0.2
    each = torch.stack([functional.cross_entropy(m, torch.arange(4), reduction="none") for m in (s, s.T)]).mean(0)
    expected = (each * weight[0]).sum() / 10
    torch.testing.assert_close(info_nce(x, y, weight=weight), expected, **tolerances[torch.float64])


@pytest.mark.parametrize("negatives", KINDS)
def test_invariants(negatives, tolerances):
    """Neither the length of a feature nor the order of tokens, pairs or sides matters."""
    x, y = pair()
    close = tolerances[torch.float64]
    loss = info_nce(x, y, negatives=negatives)
    torch.testing.assert_close(info_nce(3 * x, 0.5 * y, negatives=negatives), loss, **close)
    torch.testing.assert_close(info_nce(y, x, negatives=negatives), loss, **close)
    order = torch.randperm(6)
    torch.testing.assert_close(info_nce(x[:, order], y[:, order], negatives=negatives), loss, **close)
    torch.testing.assert_close(info_nce(x.flip(0), y.flip(0), negatives=negatives), loss, **close)


@pytest.mark.parametrize(("negatives", "candidates"), [("pair", 6), ("batch", 18)])
def test_equal_features_give_the_log_of_the_candidates(negatives, candidates):
    loss = info_nce(torch.ones(3, 6, 5), torch.ones(3, 6, 5), negatives=negatives)
    torch.testing.assert_close(loss, torch.tensor(float(candidates)).log())


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("negatives", KINDS)
def test_gradcheck(negatives, weighted):
    x, y = pair((2, 4, 3))
    weight = torch.rand(2, 4, dtype=torch.float64) + 0.1 if weighted else None

    def loss(x, y):
        return info_nce(x, y, negatives=negatives, weight=weight)

    assert torch.autograd.gradcheck(loss, (x, y))
    assert torch.autograd.gradgradcheck(loss, (x, y))


@pytest.mark.parametrize("negatives", KINDS)
def test_torch_func_differentiates(negatives, tolerances, monkeypatch):
    monkeypatch.setattr("panollava_losses._similarity.BLOCK_BYTES", 1)
    monkeypatch.setattr("panollava_losses._similarity.BLOCK_ROWS", 2)
    x, y = pair()
    theirs = cross_entropies(x, y, negatives, 0.2)
    got = torch.func.grad(lambda x: info_nce(x, y.detach(), negatives=negatives))(x.detach())
    torch.testing.assert_close(got, torch.autograd.grad(theirs, x)[0], **tolerances[torch.float64])


@pytest.mark.parametrize("negatives", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["random", "constant", "zero", "large"])
def test_finite_on_hard_features(kind, dtype, negatives):
    x, y = torch.randn(2, 6, 8), torch.randn(2, 6, 8)
    if kind != "random":
        factor = {"constant": 0.0, "zero": 0.0, "large": 1e4}[kind]
        x, y = (z * factor + (3.0 if kind == "constant" else 0.0) for z in (x, y))
    x, y = x.to(dtype).requires_grad_(), y.to(dtype).requires_grad_()
    loss = info_nce(x, y, negatives=negatives, temperature=0.01)
    loss.backward()
    assert loss.dtype == torch.float32
    assert bool(loss.isfinite())
    assert bool(x.grad.float().isfinite().all())
    assert bool(y.grad.float().isfinite().all())


@pytest.mark.parametrize("negatives", KINDS)
def test_autocast_changes_nothing(negatives):
    x, y = pair(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = info_nce(x, y, negatives=negatives)
        got = torch.autograd.grad(cast, (x, y))
    plain = info_nce(x, y, negatives=negatives)
    torch.testing.assert_close(cast, plain, rtol=0, atol=0)
    torch.testing.assert_close(got, torch.autograd.grad(plain, (x, y)), rtol=0, atol=0)


@pytest.mark.parametrize("negatives", KINDS)
def test_overlap_loss_is_info_nce_of_the_columns(negatives, tolerances):
    features = torch.randn(2, 3, 4, 6, 5, dtype=torch.float64, requires_grad=True)
    source = features[:, :, :, -3:].flatten(2, 3)
    target = features[:, :, :, :3].roll(-1, dims=1).flatten(2, 3)
    ours = OverlapInfoNCELoss(0.1, negatives=negatives)(features, column_correspondences(3, (4, 6), 0.5))
    theirs = cross_entropies(source.flatten(0, 1), target.flatten(0, 1), negatives, 0.1)
    close = tolerances[torch.float64]
    torch.testing.assert_close(ours, theirs, **close)
    torch.testing.assert_close(*(torch.autograd.grad(t, features)[0] for t in (ours, theirs)), **close)


def test_matching_views_are_told_apart():
    """Features that depend on the place alone give a smaller loss where the correspondences are right."""
    right = column_correspondences(4, (4, 6), 0.5)
    features = torch.randn(1, 4, 4, 3, 16).repeat(1, 1, 1, 2, 1)
    features[..., :3, :] = features[..., 3:, :].roll(1, dims=1)
    wrong = SimpleNamespace(
        **{name: getattr(right, name) for name in ("source_view", "target_view", "source_index", "weight")},
        target_xy=right.target_xy.roll(1, 0),
    )
    loss = OverlapInfoNCELoss(0.1)
    assert loss(features, right) < 0.1
    assert loss(features, wrong) > 3


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: info_nce(x, x, negatives="queue"), "negatives is 'queue', expected one of 'pair', 'batch'"),
        (lambda x: info_nce(x, x, temperature=0.0), r"temperature is 0\.0, expected at least"),
        (lambda x: OverlapInfoNCELoss(float("nan")), "temperature is nan"),
        (lambda x: OverlapInfoNCELoss(negatives="all"), "negatives is 'all'"),
        (lambda x: info_nce(x[:, :1], x[:, :1]), "1 token per pair.*overlap_ratio"),
        (lambda x: info_nce(x, x, weight=torch.zeros(2, 4)), "a pair with 0 token"),
        (lambda x: OverlapInfoNCELoss()(x[:, None, None], column_correspondences(2, (2, 4), 0.5)), "raise num_views"),
    ],
)
def test_errors_say_what_to_change(call, match):
    with pytest.raises(ValueError, match=match):
        call(torch.randn(2, 4, 3))
