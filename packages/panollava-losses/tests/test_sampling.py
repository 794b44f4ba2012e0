"""The sparse sampling matrix and its gradient against `grid_sample`, and its behaviour at the border."""

import torch
from panollava_losses._sampling import bilinear_taps, sample_rows, sparse_rows
from torch.nn import functional

GRID = (3, 4)


def matrix(xy, grid=GRID):
    taps, weight = bilinear_taps(xy, grid)
    rows = torch.arange(len(xy)).expand(4, -1)
    used = weight > 0
    return sparse_rows(rows[used], taps[used], weight[used], len(xy), grid[0] * grid[1])


def test_equals_grid_sample(tolerances):
    tokens = torch.randn(2, 12, 5, dtype=torch.float64, requires_grad=True)
    xy = torch.rand(20, 2, dtype=torch.float64) * torch.tensor([4, 3])
    ours = sample_rows(tokens, matrix(xy)).view(2, 20, 5)
    places = (2 * xy / torch.tensor([4, 3]) - 1)[None, None].expand(2, -1, -1, -1)
    image = tokens.mT.unflatten(2, GRID)
    theirs = functional.grid_sample(image, places, padding_mode="border", align_corners=False)[:, :, 0].mT
    close = tolerances[torch.float64]
    torch.testing.assert_close(ours, theirs, **close)
    by = torch.randn_like(ours)
    torch.testing.assert_close(*(torch.autograd.grad((t * by).sum(), tokens)[0] for t in (ours, theirs)), **close)
    with torch.no_grad():
        torch.testing.assert_close(sample_rows(tokens, matrix(xy)).view(2, 20, 5), theirs, **close)


def test_border_takes_the_outermost_token():
    tokens = torch.randn(1, 12, 5, dtype=torch.float64)
    xy = torch.tensor([[0.0, 0.0], [4.0, 0.2], [0.1, 3.0], [3.7, 2.9]], dtype=torch.float64)
    torch.testing.assert_close(sample_rows(tokens, matrix(xy)), tokens[0, [0, 3, 8, 11]])


def test_a_grid_of_one_row():
    tokens = torch.arange(4.0)[None, :, None]
    xy = torch.tensor([[0.5, 0.9], [2.0, 0.1]])
    torch.testing.assert_close(sample_rows(tokens, matrix(xy, (1, 4))), torch.tensor([[0.0], [1.5]]))


def test_gradcheck():
    tokens = torch.randn(2, 12, 2, dtype=torch.float64, requires_grad=True)
    sampling = matrix(torch.rand(3, 2, dtype=torch.float64) * torch.tensor([4, 3]))
    assert torch.autograd.gradcheck(lambda t: sample_rows(t, sampling), (tokens,))
    assert torch.autograd.gradgradcheck(lambda t: sample_rows(t, sampling), (tokens,))
