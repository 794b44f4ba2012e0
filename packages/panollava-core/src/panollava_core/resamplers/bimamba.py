"""`bimamba`: Mamba-1 along the tokens of a view, in both directions.

Source: Gu & Dao 2023, https://arxiv.org/abs/2312.00752; both directions over image tokens as in Vision Mamba (Zhu et
al. 2024, https://arxiv.org/abs/2401.09417). The blocks' parameters have the names of the public mamba-ssm package.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from panollava_core._selective_scan import selective_scan
from panollava_core.resamplers._base import Resampler
from panollava_core.resamplers._grids import Grid
from panollava_core.resamplers._layers import CheckpointedLayer, pool_tokens
from panollava_core.resamplers._options import ResamplerOptions, check_positive_integers, check_positive_numbers
from panollava_core.resamplers._registry import register_resampler


@dataclass(frozen=True, kw_only=True)
class BiMambaOptions(ResamplerOptions):
    """Options of `BiMambaResampler`.

    Attributes:
        num_latent_tokens: None keeps one token per token of the view. A number average-pools the result to that many
            tokens, on the grid with that many cells whose aspect ratio is nearest to the view's.
        hidden_dim: width of the blocks; None is the larger of `input_dim` and `latent_dimension`.
        num_layers: number of blocks.
        d_state: states per channel.
        d_conv: taps of the causal convolution.
        expand: inner width over the width of the block.
        norm_first: normalise the input of a block instead of its output.
    """

    d_state: int = 64
    d_conv: int = 4
    expand: float | int = 2
    norm_first: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        check_positive_integers(self, "d_state", "d_conv")
        check_positive_numbers(self, "expand")


@register_resampler("bimamba")
class BiMambaResampler(Resampler):
    """`num_layers` bidirectional Mamba blocks between two Linear layers.

    Args:
        options: the fields of `BiMambaOptions`.
    """

    options_class = BiMambaOptions
    options: BiMambaOptions
    keeps_tokens = True
    no_split_modules = ("BiMambaBlock",)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        given = self.options
        hidden = given.hidden_dim or max(given.input_dim, given.latent_dimension)
        self.input_proj = nn.Linear(given.input_dim, hidden)
        self.blocks = nn.ModuleList(
            BiMambaBlock(hidden, given.d_state, given.d_conv, given.expand, norm_first=given.norm_first)
            for _ in range(given.num_layers)
        )
        self.final_norm = nn.LayerNorm(hidden)
        self.output_proj = nn.Linear(hidden, given.latent_dimension)

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Run the blocks along the tokens of each view, row by row on `grid` (default: near-square)."""
        grid = self._grid_of_tokens(tokens, grid)
        hidden = self.input_proj(tokens)
        for block in self.blocks:
            hidden = block(hidden)
        latents = self.output_proj(self.final_norm(hidden))
        return pool_tokens(latents, grid, self.output_grid(grid))


class BiMambaBlock(CheckpointedLayer):
    """`x + (forward(x') + backward(x')) / 2` with the normalised input `x'` (`norm_first`), or that sum normalised."""

    def __init__(self, width: int, d_state: int, d_conv: int, expand: float | int, *, norm_first: bool = True) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.norm = nn.LayerNorm(width)
        self.forward_block = MambaMixer(width, d_state, d_conv, expand)
        self.backward_block = MambaMixer(width, d_state, d_conv, expand)

    def compute(self, hidden: Float[Tensor, "views tokens width"]) -> Float[Tensor, "views tokens width"]:
        """Mix tokens along the sequence in one scan, with one group of channels per direction."""
        inputs = self.norm(hidden) if self.norm_first else hidden
        ahead = self.forward_block(inputs)
        back = self.backward_block(inputs.flip(1))
        u, delta, A, D = (
            torch.cat(pair, dim=-1 if pair[0].ndim == 3 else 0) for pair in zip(ahead[:4], back[:4], strict=True)
        )
        B, C = (torch.stack(pair, dim=2) for pair in zip(ahead[4:6], back[4:6], strict=True))
        scanned_ahead, scanned_back = selective_scan(u, delta, A, B, C, D).chunk(2, dim=-1)
        mixed = self.forward_block.after_scan(scanned_ahead, ahead[6])
        mixed = mixed + self.backward_block.after_scan(scanned_back, back[6]).flip(1)
        out = hidden + 0.5 * mixed
        return out if self.norm_first else self.norm(out)


class MambaMixer(nn.Module):
    """A Mamba-1 block without its scan: parameters and initial values as in `Mamba` of mamba-ssm."""

    def __init__(self, width: int, d_state: int, d_conv: int, expand: float | int) -> None:
        super().__init__()
        inner, rank = int(expand * width), math.ceil(width / 16)
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv1d = CausalConv1d(inner, inner, d_conv, groups=inner, padding=d_conv - 1)
        self.x_proj = nn.Linear(inner, rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.empty(inner, d_state))
        self.D = nn.Parameter(torch.empty(inner))
        self.out_proj = nn.Linear(inner, width, bias=False)
        self.init_parameters()

    @torch.no_grad()
    def init_parameters(self) -> None:
        """Initialise decay rates to 1, 2, … per channel, and step sizes log-uniformly between 0.001 and 0.1."""
        rank, states = self.dt_proj.in_features, self.A_log.shape[1]
        self.A_log.copy_(
            torch.arange(1, states + 1, dtype=torch.float32, device=self.A_log.device).log().expand_as(self.A_log)
        )
        self.D.fill_(1.0)
        self.dt_proj.weight.uniform_(-(rank**-0.5), rank**-0.5)
        uniform = torch.rand_like(self.dt_proj.bias, dtype=torch.float32)
        step = torch.exp(uniform * math.log(0.1 / 0.001) + math.log(0.001))
        self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))  # softplus of this is the step

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Return the inputs of the scan, `u, delta, A, D, B, C`, and the gate."""
        rank, states = self.dt_proj.in_features, self.A_log.shape[1]
        u, gate = self.in_proj(hidden).chunk(2, dim=-1)
        u = silu(self.conv1d(u))
        step, B, C = self.x_proj(u).split([rank, states, states], dim=-1)
        delta = softplus(self.dt_proj(step))
        return u, delta, -torch.exp(self.A_log.float()), self.D, B, C, gate

    def after_scan(self, scanned: Tensor, gate: Tensor) -> Tensor:
        """Gate the output of the scan and project it back to the block's width."""
        return self.out_proj(scanned * silu(gate))


class CausalConv1d(nn.Conv1d):
    """Depthwise convolution of `[B, L, D]` tokens along L; a token sees itself and the `d_conv - 1` before it.

    Computed as a sum of shifted products on channels-last tokens, which needs no transposition as `conv1d` would.
    """

    def forward(self, input: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        """Convolve without changing the length."""
        taps, length = self.weight.shape[-1], input.shape[1]
        padded = pad(input, (0, 0, taps - 1, 0))
        out = torch.zeros_like(self.weight[:, 0, 0]) if self.bias is None else self.bias
        for tap in range(taps):
            out = torch.addcmul(out, padded[:, tap : tap + length], self.weight[:, 0, tap])
        return out
