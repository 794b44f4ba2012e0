"""The projector in front of a VICReg loss."""

from jaxtyping import Float
from torch import Tensor, nn


class VICRegProjector(nn.Module):
    """`depth − 1` times (Linear → LayerNorm → GELU), then Linear, on the last axis.

    The state dict has the keys of the original PanoLLaVA (`mlp.0`, `mlp.1`, `mlp.3`, …).

    Args:
        input_dim: Number of input features.
        output_dim: Number of output features.
        hidden_dim: Number of hidden features; `output_dim` when None.
        depth: Number of Linear layers.
        use_ln: Use LayerNorm between Linear and GELU. Without it, Identity takes its place, so the keys stay the same.

    Raises:
        ValueError: If `depth` or a size is below 1.

    Example:
        >>> from panollava_losses import VICRegProjector
        >>> import torch
        >>> VICRegProjector(48, 40)(torch.randn(2, 4, 8, 8, 48)).shape
        torch.Size([2, 4, 8, 8, 40])
    """

    def __init__(
        self, input_dim: int, output_dim: int, *, hidden_dim: int | None = None, depth: int = 2, use_ln: bool = True
    ) -> None:
        super().__init__()
        hidden = output_dim if hidden_dim is None else hidden_dim
        for name, value in (
            ("input_dim", input_dim),
            ("output_dim", output_dim),
            ("hidden_dim", hidden),
            ("depth", depth),
        ):
            if value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        sizes = [input_dim, *[hidden] * (depth - 1)]
        layers: list[nn.Module] = []
        for size in sizes[:-1]:
            layers += [nn.Linear(size, hidden), nn.LayerNorm(hidden) if use_ln else nn.Identity(), nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(sizes[-1], output_dim))

    def forward(self, x: Float[Tensor, "*batch input_dim"]) -> Float[Tensor, "*batch output_dim"]:
        """Project the last axis."""
        projected: Tensor = self.mlp(x)
        return projected
