"""Multi-head attention of projected tokens; the weights belong to the blocks that call it."""

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, *, causal: bool = False) -> Tensor:
    """Attention of `[N, Q, D]` queries over `[N, S, D]` keys and values, D cut into `heads`."""
    query, key, value = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return scaled_dot_product_attention(query, key, value, is_causal=causal).transpose(1, 2).flatten(2)


def check_heads(width: int, heads: int) -> None:
    """Refuse a width that the heads do not divide."""
    if heads < 1 or width % heads:
        raise ValueError(f"num_heads={heads} does not divide the width {width}")
