"""The base class of the resamplers: one interface, and the options that rebuild a resampler."""

from dataclasses import asdict
from typing import Any, ClassVar

from torch import Tensor, nn

from panollava_core.resamplers._grids import Grid, as_grid, grid_with_aspect, near_square_grid
from panollava_core.resamplers._layers import CheckpointedLayer, recompute
from panollava_core.resamplers._options import DEFAULT_LATENTS, ResamplerOptions, parse_options


class Resampler(nn.Module):
    """Base class of the resamplers: `[N, S, D_in]` tokens to `[N, N_lat, D_latent]` latents, each view by itself.

    A subclass is registered with `register_resampler`, sets the class attributes below, passes its keyword arguments on
    to `super().__init__` and then builds its layers from `self.options`. Its `forward` takes `tokens` `[N, S, D_in]`
    and the keyword `grid`, the (rows, columns) of a view's tokens or None.

    A module that owns parameters outside of the layers of `torch.nn` has a method `init_parameters` that gives them
    (and layers that depend on them) their initial values. A model that initialises layers by a rule of its own, as
    transformers does, calls it afterwards.

    Args:
        options: the fields of `options_class`.

    Raises:
        ValueError: an option is unknown, missing, or has an invalid value.
    """

    #: Name in `RESAMPLERS` and value of a config's `type`; set by `register_resampler`.
    resampler_type: ClassVar[str] = ""
    #: The dataclass of the options.
    options_class: ClassVar[type[ResamplerOptions]] = ResamplerOptions
    #: Whether latent token (r, c) describes cell (r, c) of the view. False for tokens that describe the whole view.
    is_spatial: ClassVar[bool] = True
    #: Whether `num_latent_tokens=None` means one latent token per token of the view, instead of 64.
    keeps_tokens: ClassVar[bool] = False
    #: Class names of modules that must stay on one device: those with both parameters and submodules of their own, and
    #: those with a residual connection. Models pass them on to accelerate.
    no_split_modules: ClassVar[tuple[str, ...]] = ()

    #: The checked options.
    options: ResamplerOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = self.parse_options(options)

    @classmethod
    def parse_options(cls, options: dict[str, Any]) -> ResamplerOptions:
        """Check options and add the defaults, without building the resampler."""
        return parse_options(cls.options_class, options, cls.resampler_type or cls.__name__)

    @property
    def config(self) -> dict[str, Any]:
        """The type and all options; `build_resampler` builds an equal resampler from it."""
        return {"type": self.resampler_type, **asdict(self.options)}

    @classmethod
    def grid_of(cls, options: ResamplerOptions, input_grid: Grid) -> Grid:
        """`output_grid` from the options alone, without building the resampler."""
        count = options.num_latent_tokens
        if count is None and cls.keeps_tokens:
            return input_grid
        count = count or DEFAULT_LATENTS
        return grid_with_aspect(count, input_grid) if cls.is_spatial else near_square_grid(count)

    def output_grid(self, input_grid: Grid) -> Grid:
        """The (rows, columns) of latent tokens for a view whose tokens have the grid `input_grid`."""
        return self.grid_of(self.options, input_grid)

    def num_output_tokens(self, num_input_tokens_or_grid: int | Grid) -> int:
        """The number of latent tokens for a view with that many tokens, or with such a grid."""
        rows, columns = self.output_grid(as_grid(num_input_tokens_or_grid))
        return rows * columns

    def set_gradient_checkpointing(self, enable: bool = True) -> None:
        """Recompute the activations of the blocks in the backward pass instead of keeping them."""
        for module in self.modules():
            if isinstance(module, CheckpointedLayer):
                module.gradient_checkpointing = enable
                module._gradient_checkpointing_func = recompute

    def _grid_of_tokens(self, tokens: Tensor, grid: Grid | None) -> Grid:
        """The given grid, checked against the number of tokens, or the near-square grid if none is given."""
        count = tokens.shape[1]
        if grid is None:
            return near_square_grid(count)
        if grid[0] * grid[1] != count:
            raise ValueError(
                f"grid {grid[0]}x{grid[1]} has {grid[0] * grid[1]} cells, but each view has {count} tokens; "
                "pass the (rows, columns) of the tokens"
            )
        return grid
