"""Latent tokens of a panorama's views to language-model tokens: add positions, project, stitch to one sequence."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from panollava_core._positional import SphericalEncoding, check_yaw_dimension, yaw_encoding
from panollava_core._stitching import (
    Interpolation,
    StitchingMode,
    check_stitching,
    num_image_tokens,
    stitch_columns,
    stitch_resampled,
)

#: How the positions of latent tokens are encoded.
PositionalEncoding = Literal["spherical", "yaw", "none"]


class PanoramaProjector(nn.Module):
    """`[B·V, N, D_latent]` latents to `[B, T, D_lm]` language-model tokens.

    A positional encoding is added to the latents, `linear` maps them to D_lm, and the grids of the views are stitched
    to one sequence, row by row over the whole panorama.

    Args:
        input_dim: D_latent.
        output_dim: D_lm.
        positional_encoding: `spherical` encodes the ray of each token (submodule `position`, a trained linear map of
            Fourier features); `yaw` encodes the position in the row of views (the original's formula, without
            parameters); `none` adds nothing.
        stitching_mode: `concat` keeps all columns; `stride_views` and `drop_overlap` drop the first
            `round(W'·overlap_ratio)` columns of every view after the first; `resample` blends the views into evenly
            spaced columns.
        overlap_ratio: the part of a view that its neighbour also sees, in [0, 1); not used by `spherical` with
            `concat`.
        stitch_target_to_view_width: `resample` to the width of one view instead of the panorama's.
        stitch_interp: `linear` or `nearest`, for `resample`.
        temperature: temperature of the `yaw` encoding.
        num_frequencies: number of octaves of the `spherical` encoding.

    Raises:
        ValueError: an option is unknown or out of range, or `yaw` is used with an odd `input_dim`.

    Example:
        >>> from panollava_core import PanoramaProjector
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
        if positional_encoding == "yaw":
            check_yaw_dimension(input_dim)
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
        """Return T for a panorama of `num_views` views with `grid` latent tokens each."""
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
        """Add positions, project and stitch.

        Args:
            latents: latents of all views; the views of a panorama are consecutive and in order.
            num_views: V.
            grid: the (rows, columns) of the latents of a view, stored row by row.
            rays: unit directions `[V, H', W', 3]`, the same for all panoramas, or `[B, V, H', W', 3]`; required by
                `spherical`, ignored otherwise.

        Raises:
            ValueError: the shapes of latents, grid and rays do not match, or `spherical` gets no rays.
        """
        total, tokens, features = latents.shape
        if total % num_views or tokens != grid[0] * grid[1]:
            raise ValueError(
                f"latents of shape {tuple(latents.shape)} do not fit {num_views} views per panorama with "
                f"{grid[0]}x{grid[1]} tokens each; expected [panoramas * {num_views}, {grid[0] * grid[1]}, features]"
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
            # These modes only select columns. Dropping them first leaves fewer tokens for the Linear.
            return self.linear(stitch_columns(views, self.stitching_mode, self.overlap_ratio))
        return stitch_resampled(
            self.linear(views),
            self.overlap_ratio,
            to_view_width=self.stitch_target_to_view_width,
            interpolation=self.stitch_interp,
        )

    def _checked(self, rays: Tensor | None, views: Tensor) -> Tensor:
        """Return the rays on the device of `views` `[B, V, H', W', D]`, or raise if there is not one per token."""
        if rays is None:
            raise ValueError(
                "positional_encoding='spherical' needs rays [V, H', W', 3], got None; pass rays, or use 'yaw' or 'none'"
            )
        shapes = ((*views.shape[1:4], 3), (*views.shape[:4], 3))
        if tuple(rays.shape) not in shapes:
            raise ValueError(f"rays have the shape {tuple(rays.shape)}, expected {shapes[0]} or {shapes[1]}")
        return rays.to(views.device)
