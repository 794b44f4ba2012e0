"""Latent tokens of a panorama's views to language-model tokens: a place on the sphere, one Linear, one sequence."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from panollava_core._positional import SphericalEncoding, yaw_encoding
from panollava_core._stitching import (
    Interpolation,
    StitchingMode,
    check_stitching,
    num_image_tokens,
    stitch_columns,
    stitch_resampled,
)

PositionalEncoding = Literal["spherical", "yaw", "none"]


class PanoramaProjector(nn.Module):
    """`[B·V, N, D_latent]` latents to `[B, T, D_lm]` language-model tokens.

    A positional code is added to the latents, `linear` maps them to the language model, and the views' grids are
    stitched to one sequence, row by row over the whole mosaic.

    Args:
        input_dim: D_latent.
        output_dim: D_lm.
        positional_encoding: `spherical` encodes each token's ray (`position`, a learned linear map of its Fourier
            features), `yaw` its place in the row of views (the original's formula, nothing learned), `none` nothing.
        stitching_mode: `concat` keeps all columns; `stride_views` and `drop_overlap` drop the first
            `round(W'·overlap_ratio)` columns of every view after the first; `resample` blends the views into
            evenly spaced columns.
        overlap_ratio: the part of a view that its neighbour also sees; unused by `spherical` with `concat`.
        stitch_target_to_view_width: `resample` to the width of one view instead of the mosaic's.
        stitch_interp: `linear` or `nearest`, for `resample`.
        temperature: of the `yaw` code.
        num_frequencies: octaves of the `spherical` code.

    Raises:
        ValueError: an option that does not exist or cannot work.

    Example:
        >>> import torch
        >>> projector = PanoramaProjector(40, 64)
        >>> rays = torch.nn.functional.normalize(torch.randn(4, 8, 8, 3), dim=-1)
        >>> projector(torch.zeros(2 * 4, 64, 40), num_views=4, grid=(8, 8), rays=rays).shape
        torch.Size([2, 256, 64])
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        positional_encoding: PositionalEncoding = "spherical",
        stitching_mode: StitchingMode = "concat",
        overlap_ratio: float | int = 0.3,
        stitch_target_to_view_width: bool = False,
        stitch_interp: Interpolation = "linear",
        temperature: float | int = 10000.0,
        num_frequencies: int = 6,
    ) -> None:
        super().__init__()
        check_stitching(stitching_mode, overlap_ratio, stitch_interp)
        if positional_encoding not in get_args(PositionalEncoding):
            raise ValueError(
                f"unknown positional_encoding {positional_encoding!r}; "
                f"expected one of {', '.join(get_args(PositionalEncoding))}"
            )
        if positional_encoding == "yaw" and input_dim % 2:
            raise ValueError(f"the yaw encoding needs an even latent dimension, got {input_dim}")
        self.positional_encoding = positional_encoding
        self.stitching_mode = stitching_mode
        self.overlap_ratio = overlap_ratio
        self.stitch_target_to_view_width = stitch_target_to_view_width
        self.stitch_interp = stitch_interp
        self.temperature = temperature
        if positional_encoding == "spherical":
            self.position = SphericalEncoding(input_dim, num_frequencies)
        self.linear = nn.Linear(input_dim, output_dim)

    def num_image_tokens(self, num_views: int, grid: tuple[int, int]) -> int:
        """T for panoramas of so many views with such a grid of latents."""
        return num_image_tokens(
            num_views,
            grid,
            self.stitching_mode,
            overlap_ratio=self.overlap_ratio,
            stitch_target_to_view_width=self.stitch_target_to_view_width,
        )

    def forward(
        self,
        latents: Float[Tensor, "batch_views tokens features"],
        *,
        num_views: int,
        grid: tuple[int, int],
        rays: Float[Tensor, "*batch views rows columns 3"] | None = None,
    ) -> Float[Tensor, "batch image_tokens lm_features"]:
        """Project and stitch.

        Args:
            latents: latents of all views, the views of a panorama in order, one panorama after another.
            num_views: V.
            grid: the (rows, columns) of a view's latents, row by row.
            rays: unit directions `[V, H', W', 3]`, the same for all panoramas, or `[B, V, H', W', 3]`; needed by
                `spherical`, not looked at otherwise.

        Raises:
            ValueError: latents, views, grid and rays do not fit together.
        """
        total, tokens, features = latents.shape
        if total % num_views or tokens != grid[0] * grid[1]:
            raise ValueError(
                f"latents of shape {tuple(latents.shape)} are not {num_views} views per panorama "
                f"of {grid[0]}x{grid[1]} tokens"
            )
        views = latents.reshape(total // num_views, num_views, *grid, features)
        if self.positional_encoding == "spherical":
            views = views + self.position(self._checked(rays, views)).to(views.dtype)
        elif self.positional_encoding == "yaw":
            code = yaw_encoding(
                num_views,
                grid,
                features,
                overlap_ratio=self.overlap_ratio,
                temperature=self.temperature,
                device=views.device,
            )
            views = views + code.to(views.dtype)
        if self.stitching_mode != "resample":
            # Columns are only picked, so fewer tokens reach the Linear when they are dropped first.
            return self.linear(stitch_columns(views, self.stitching_mode, self.overlap_ratio))
        return stitch_resampled(
            self.linear(views),
            self.overlap_ratio,
            to_view_width=self.stitch_target_to_view_width,
            interpolation=self.stitch_interp,
        )

    def _checked(self, rays: Tensor | None, views: Tensor) -> Tensor:
        """The rays, if they are as many as the tokens of `views` `[B, V, H', W', D]`."""
        if rays is None:
            raise ValueError(
                "positional_encoding='spherical' needs rays [V, H', W', 3]; pass them, or use 'yaw' or 'none'"
            )
        shapes = ((*views.shape[1:4], 3), (*views.shape[:4], 3))
        if tuple(rays.shape) not in shapes:
            raise ValueError(f"rays of shape {tuple(rays.shape)} fit neither {shapes[0]} nor {shapes[1]}")
        return rays.to(views.device)
