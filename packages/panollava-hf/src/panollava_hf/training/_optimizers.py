"""Optimizers that the Trainer of transformers does not have."""

from collections.abc import Collection

from torch import nn
from torch.optim import Optimizer


def muon(
    model: nn.Module, *, learning_rate: float, weight_decay: float, beta2: float, decayed: Collection[str]
) -> Optimizer:
    """Muon for matrices and convolutions, AdamW for embeddings, heads and vectors.

    The momentum of a matrix is orthogonalised before it is applied, and scaled to the size of an AdamW step (Liu et al.
    2025, https://arxiv.org/abs/2502.16982), so learning rates of AdamW can be used. On PanoShapes, Muon reaches the
    loss of AdamW with half as many questions (docs/log.md).

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.

    Args:
        model: The model; its parameters that require gradients are optimised.
        learning_rate: Learning rate of both optimizers.
        weight_decay: Weight decay of the parameters in `decayed`.
        beta2: Second moment decay of AdamW.
        decayed: Names of the parameters with weight decay.

    Example:
        >>> from torch import nn
        >>> optimizer = muon(nn.Linear(4, 4), learning_rate=1e-3, weight_decay=0.1, beta2=0.98, decayed=["weight"])
        >>> [len(group["params"]) for group in optimizer.param_groups]
        [1, 0, 1]
    """
    from panollava_hf.training._muon import BatchedMuon

    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in trainable if p.ndim >= 2 and name in decayed and not _is_table(name, p, embeddings)]
    chosen = {id(p) for p in matrices}
    tables = [p for name, p in trainable if id(p) not in chosen and name in decayed]
    rest = [p for name, p in trainable if id(p) not in chosen and name not in decayed]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": tables, "weight_decay": weight_decay, "use_fallback": True},
        {"params": rest, "weight_decay": 0.0, "use_fallback": True},
    ]
    return BatchedMuon(groups, lr=learning_rate, betas=(0.9, beta2))


def _is_table(name: str, parameter: nn.Parameter, embeddings: Collection[int]) -> bool:
    return id(parameter) in embeddings or "lm_head" in name or "position" in name.rpartition(".")[0]
