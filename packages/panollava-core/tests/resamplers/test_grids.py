"""Token grids, and the rule of the original PanoLLaVA."""

import pytest
from panollava_core import near_square_grid
from panollava_core.resamplers._grids import as_grid, grid_with_aspect


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


def test_near_square_grid_is_the_originals_if_that_has_no_empty_cell():
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


def test_near_square_grid_needs_tokens():
    with pytest.raises(ValueError, match="expected a positive number of tokens, got 0"):
        near_square_grid(0)


def test_as_grid():
    assert as_grid(6) == (3, 2)
    assert as_grid((2, 3)) == (2, 3)
