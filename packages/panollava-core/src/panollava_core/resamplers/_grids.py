"""Arithmetic of token grids: how a number of tokens is laid out in rows and columns."""

Grid = tuple[int, int]


def as_grid(num_tokens_or_grid: int | Grid) -> Grid:
    """Return a grid unchanged, and a number of tokens as its near-square grid."""
    if isinstance(num_tokens_or_grid, int):
        return near_square_grid(num_tokens_or_grid)
    return num_tokens_or_grid


def near_square_grid(count: int) -> Grid:
    """Return the (rows, columns) on which `count` tokens without a position of their own are laid out, row by row.

    Both sides start at the floor of the square root. Rows grow first, then columns, until the tokens fit; the original
    PanoLLaVA used the same rule. Where that would leave cells empty (7 tokens on 3x3), the most nearly square grid
    without empty cells is used instead.

    Raises:
        ValueError: `count` is not positive.

    Example:
        >>> from panollava_core import near_square_grid
        >>> near_square_grid(64), near_square_grid(30), near_square_grid(32), near_square_grid(7)
        ((8, 8), (6, 5), (8, 4), (7, 1))
    """
    if count < 1:
        raise ValueError(f"expected a positive number of tokens, got {count}")
    rows = columns = int(count**0.5)
    while rows * columns < count:
        if rows <= columns:
            rows += 1
        else:
            columns += 1
    if rows * columns == count:
        return rows, columns
    columns = next(side for side in range(int(count**0.5), 0, -1) if count % side == 0)
    return count // columns, columns


def grid_with_aspect(count: int, like: Grid) -> Grid:
    """Return the grid of exactly `count` cells whose aspect ratio is nearest to that of `like`.

    Example:
        >>> grid_with_aspect(32, (8, 8)), grid_with_aspect(32, (4, 8)), grid_with_aspect(16, (12, 12))
        ((4, 8), (4, 8), (4, 4))
    """

    def distance(rows: int) -> float:
        ratio = (rows * rows * like[1]) / (count * like[0])  # (rows / columns) over the aspect ratio of `like`
        return max(ratio, 1 / ratio)

    best = 1  # a loop, because torch.compile of torch 2.10 refuses `min` with a key
    for rows in range(2, count + 1):
        if count % rows == 0 and distance(rows) < distance(best):
            best = rows
    return best, count // best
