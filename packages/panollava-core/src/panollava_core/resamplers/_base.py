"""What all resamplers share: one interface, a config that rebuilds them, and the arithmetic of token grids."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

Grid = tuple[int, int]

#: Latent tokens of the types that must choose a number when a config names none.
DEFAULT_LATENTS = 64
#: Every resampler by its config `type`.
RESAMPLERS: dict[str, type["Resampler"]] = {}


class Resampler(nn.Module):
    """Base of the resamplers: `[N, S, D_in]` to `[N, N_lat, D_latent]`, each view by itself.

    A subclass names its `resampler_type` (which registers it), passes its constructor's arguments on to
    `super().__init__`, and says whether its tokens have places. Its keyword arguments are the keys of its config.
    A module that owns bare parameters has a method `init_parameters` that gives them (and what must fit them) their
    starting values, so that a model that initialises layers by its own rule can restore them.
    """

    #: The config's `type`.
    resampler_type: ClassVar[str] = ""
    #: True when output token (r, c) looks at cell (r, c) of the view; False for tokens without a place of their own.
    is_spatial: ClassVar[bool] = True
    #: Whether `num_latent_tokens=None` means a latent per cell of the view, instead of `DEFAULT_LATENTS`.
    keeps_tokens: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.resampler_type:
            RESAMPLERS[cls.resampler_type] = cls

    def __init__(self, **config: Any) -> None:
        super().__init__()
        for key in ("input_dim", "latent_dimension", "num_latent_tokens", "hidden_dim", "num_layers"):
            value = config.get(key)
            if value is not None and value < 1:
                raise ValueError(f"{key} of a {self.resampler_type} resampler must be positive, got {value}")
        self.config: dict[str, Any] = {"type": self.resampler_type, **config}

    @classmethod
    def grid_of(cls, config: dict[str, Any], input_grid: Grid) -> Grid:
        """`output_grid` of a resampler that is not built: `config` holds every key."""
        count = config["num_latent_tokens"]
        if count is None and cls.keeps_tokens:
            return input_grid
        count = count or DEFAULT_LATENTS
        return grid_with_aspect(count, input_grid) if cls.is_spatial else near_square_grid(count)

    @classmethod
    def convert_original(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """An original PanoLLaVA resampler's tensors under the names this class has for them; most kept theirs."""
        return dict(state)

    def output_grid(self, input_grid: Grid) -> Grid:
        """The (rows, columns) of latent tokens that a view of `input_grid` becomes."""
        return self.grid_of(self.config, input_grid)

    def num_output_tokens(self, num_input_tokens_or_grid: int | Grid) -> int:
        """How many latent tokens a view of so many tokens (or of such a grid) becomes."""
        rows, columns = self.output_grid(as_grid(num_input_tokens_or_grid))
        return rows * columns

    def set_gradient_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks' activations in the backward pass instead of keeping them."""
        for module in self.modules():
            if isinstance(module, GradientCheckpointingLayer):
                module.gradient_checkpointing = enable
                module._gradient_checkpointing_func = _recompute

    def _grid_of_tokens(self, tokens: Tensor, grid: Grid | None) -> Grid:
        """The grid given, checked against the tokens, or the near-square one."""
        count = tokens.shape[1]
        if grid is None:
            return near_square_grid(count)
        if grid[0] * grid[1] != count:
            raise ValueError(
                f"grid {grid[0]}x{grid[1]} has {grid[0] * grid[1]} cells, but each view has {count} tokens"
            )
        return grid


class CheckpointedSequential(GradientCheckpointingLayer, nn.Sequential):
    """`nn.Sequential` that gradient checkpointing recomputes as one."""


def _recompute(function: Any, *args: Any) -> Any:
    return checkpoint(function, *args, use_reentrant=False)


def as_grid(num_tokens_or_grid: int | Grid) -> Grid:
    """A grid as it is, a number of tokens as the near-square grid."""
    if isinstance(num_tokens_or_grid, int):
        return near_square_grid(num_tokens_or_grid)
    return num_tokens_or_grid


def near_square_grid(count: int) -> Grid:
    """The grid that `count` tokens without a place of their own are laid out on, row by row.

    Both sides start at the floor of the square root; height grows first, then width, until the tokens fit (the rule
    that PanoLLaVA has always used). Where that leaves cells empty (7 tokens on 3x3), the most nearly square grid
    without empty cells is taken instead.

    Example:
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
    """The grid of exactly `count` cells whose aspect ratio is nearest to that of `like`.

    Example:
        >>> grid_with_aspect(32, (8, 8)), grid_with_aspect(32, (4, 8)), grid_with_aspect(16, (12, 12))
        ((4, 8), (4, 8), (4, 4))
    """
    sides = [rows for rows in range(1, count + 1) if count % rows == 0]

    def distance(rows: int) -> float:
        ratio = (rows * rows * like[1]) / (count * like[0])  # (rows / columns) over the wanted rows / columns
        return max(ratio, 1 / ratio)

    rows = min(sides, key=distance)
    return rows, count // rows


def valid_keys(resampler: type[Resampler]) -> dict[str, inspect.Parameter]:
    """The keys a resampler's config may have beside `type`."""
    return {k: p for k, p in inspect.signature(resampler.__init__).parameters.items() if k != "self"}
