"""panollava-core against peers: the selective scan and mambapy, resamplers and torch's layers, fusion and a loop."""

from collections.abc import Callable
from functools import partial

import torch
from panollava_core import LanguageFusion, selective_scan
from panollava_core.resamplers.bimamba import BiMambaBlock
from panollava_core.resamplers.perceiver import PerceiverBlock
from panollava_core.resamplers.qformer import QFormerBlock
from torch import Tensor, nn
from torch.nn.functional import gelu

from tools.bench.harness import compare, milliseconds, peak_memory, table

BATCH, LENGTH, WIDTH, STATES = 2, 256, 384, 16
VIEWS, TOKENS, QUERIES, HIDDEN, HEADS = 8, 196, 64, 768, 8


def run() -> str:
    """Return every section as Markdown."""
    return "\n\n".join(["## panollava-core", _mamba(), _linear(), _attention(), _fusion()])


class Bidirectional(nn.Module):
    """Two mixers of another library, combined as in `BiMambaBlock`."""

    def __init__(self, mixer: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.forward_block, self.backward_block = mixer(), mixer()

    def forward(self, hidden: Tensor) -> Tensor:
        """Average both directions."""
        inputs = self.norm(hidden)
        return hidden + 0.5 * (self.forward_block(inputs) + self.backward_block(inputs.flip(1)).flip(1))


class Products(nn.Module):
    """Only the matrix products of a BiMamba block: a lower bound for any implementation."""

    def __init__(self) -> None:
        super().__init__()
        inner, rank = 2 * WIDTH, WIDTH // 16
        sizes = ((WIDTH, 2 * inner), (inner, rank + 2 * STATES), (rank, inner), (inner, WIDTH))
        self.directions = nn.ModuleList(nn.ModuleList(nn.Linear(*size, bias=False) for size in sizes) for _ in range(2))

    def forward(self, hidden: Tensor) -> Tensor:
        """Apply each product to the same part of the previous one as the block does."""
        total = hidden
        for enter, project, step, leave in self.directions:
            inner = enter(hidden)[..., : 2 * WIDTH]
            total = total + leave(inner + step(project(inner)[..., : WIDTH // 16]))
        return total


def _blocks() -> dict[str, Callable[[], nn.Module]]:
    def mambapy() -> nn.Module:
        from mambapy.mamba import MambaBlock, MambaConfig

        return Bidirectional(lambda: MambaBlock(MambaConfig(d_model=WIDTH, n_layers=1, d_state=STATES)))

    def transformers() -> nn.Module:
        from transformers import MambaConfig
        from transformers.models.mamba.modeling_mamba import MambaMixer

        return Bidirectional(lambda: MambaMixer(MambaConfig(hidden_size=WIDTH, state_size=STATES), layer_idx=0))

    return {
        "panollava-core": lambda: BiMambaBlock(WIDTH, STATES, 4, 2),
        "mambapy, parallel scan": mambapy,
        "transformers, sequential": transformers,
        "its matrix products only": Products,
    }


def _step(module: nn.Module, *shapes: tuple[int, ...]) -> Callable[[], Tensor]:
    """Return a forward and backward pass of a module on fixed random tensors."""
    torch.manual_seed(0)
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]

    def step() -> Tensor:
        output = module(*inputs)
        output.square().mean().backward()
        return output.detach()

    return step


def _prepare_block(name: str) -> Callable[[], Tensor]:
    step = _step(_blocks()[name](), (BATCH, LENGTH, WIDTH))
    step()  # so that loading libraries and starting threads is not measured
    return step


def _mamba() -> str:
    steps = {name: _step(make(), (BATCH, LENGTH, WIDTH)) for name, make in _blocks().items()}
    slow = {"transformers, sequential": steps.pop("transformers, sequential")}
    times = compare(steps, rounds=15, seconds=60)
    times |= compare(slow, rounds=3)
    memory = {name: peak_memory(partial(_prepare_block, name))[1] / 2**20 for name in times}
    ours = times["panollava-core"]
    rows = [
        [name, milliseconds(times[name]), f"{times[name] / ours:.2f}×", f"{memory[name]:.0f} MiB"]
        for name in (*_blocks(),)
    ]
    head = (
        f"One bidirectional Mamba block, forward and backward: batch {BATCH}, {LENGTH} tokens, "
        f"width {WIDTH} (inner {2 * WIDTH}), {STATES} states."
    )
    return f"{head}\n\n" + table(["", "time", "over ours", "memory above start"], rows)


def _scan_step(length: int) -> Callable[[], Tensor]:
    channels = 2 * WIDTH

    def scan(u: Tensor, delta: Tensor, rates: Tensor, into: Tensor, out_of: Tensor) -> Tensor:
        return selective_scan(u, delta.sigmoid(), -rates.exp(), into, out_of)

    weights = (1, length, 1, STATES)

    class Scan(nn.Module):
        forward = staticmethod(scan)

    return _step(Scan(), (1, length, channels), (1, length, channels), (channels, STATES), weights, weights)


def _linear() -> str:
    lengths = [64, 128, 256, 512, 1024, 2048, 4096]
    times = compare({str(length): _scan_step(length) for length in lengths}, rounds=9, seconds=60)
    rows = [
        [length, milliseconds(times[str(length)]), f"{times[str(length)] / length * 1e6:.1f} µs"] for length in lengths
    ]
    head = f"Only the scan, forward and backward, batch 1, {2 * WIDTH} channels, {STATES} states: linear in length."
    return f"{head}\n\n" + table(["tokens", "time", "per token"], rows)


class DecoderLayer(nn.TransformerDecoderLayer):
    """The layer of torch with the sizes of the Q-Former block."""

    def __init__(self) -> None:
        super().__init__(HIDDEN, HEADS, 4 * HIDDEN, dropout=0.0, activation=gelu, batch_first=True)


class PlainPerceiver(nn.Module):
    """The perceiver block built from `nn.MultiheadAttention`: the same products on one concatenated sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.context_norm, self.latent_norm, self.norm = (nn.LayerNorm(HIDDEN) for _ in range(3))
        self.attention = nn.MultiheadAttention(HIDDEN, HEADS, bias=False, batch_first=True)
        self.up = nn.Linear(HIDDEN, 4 * HIDDEN, bias=False)
        self.down = nn.Linear(4 * HIDDEN, HIDDEN, bias=False)

    def forward(self, hidden: Tensor, context: Tensor) -> Tensor:
        """Update the latents."""
        latents = self.latent_norm(hidden)
        both = torch.cat([self.context_norm(context), latents], dim=1)
        hidden = hidden + self.attention(latents, both, both, need_weights=False)[0]
        return hidden + self.down(gelu(self.up(self.norm(hidden))))


def _attention() -> str:
    shapes = (VIEWS, QUERIES, HIDDEN), (VIEWS, TOKENS, HIDDEN)
    modules: dict[str, tuple[nn.Module, str]] = {
        "Q-Former block": (QFormerBlock(HIDDEN, HIDDEN, HEADS), ""),
        "nn.TransformerDecoderLayer": (DecoderLayer(), "Q-Former block"),
        "perceiver block": (PerceiverBlock(HIDDEN, HIDDEN, HEADS, 4 * HIDDEN), ""),
        "nn.MultiheadAttention and MLP": (PlainPerceiver(), "perceiver block"),
    }
    times = compare({name: _step(module, *shapes) for name, (module, _) in modules.items()}, rounds=9, seconds=90)
    rows = []
    for name, (_, ours) in modules.items():
        ratio = f"ours takes {times[ours] / times[name]:.2f}× its time" if ours else ""
        rows.append([name, milliseconds(times[name]), ratio])
    head = (
        f"One block, forward and backward: {VIEWS} views of {TOKENS} tokens, {QUERIES} queries, width {HIDDEN}, "
        f"{HEADS} heads; the peer computes the same products."
    )
    return f"{head}\n\n" + table(["", "time", ""], rows)


PROMPTS, IMAGE_TOKENS, TEXT, PLACEHOLDER = 8, 1408, 64, 9


def _fusion_candidates(width: int, training: bool) -> dict[str, Callable[[], object]]:
    torch.manual_seed(0)
    embed = nn.Embedding(1000, width).requires_grad_(False)
    vision = torch.randn(PROMPTS, IMAGE_TOKENS, width, requires_grad=training)
    single = torch.randint(10, 1000, (PROMPTS, TEXT))
    single[:, 20] = PLACEHOLDER
    placeholders = torch.full((IMAGE_TOKENS,), PLACEHOLDER)
    ids = torch.stack([torch.cat([row[:20], placeholders, row[21:]]) for row in single])
    mask, fusion = torch.ones_like(ids), LanguageFusion(PLACEHOLDER, embed=embed)
    short_mask = torch.ones_like(single)
    grad = torch.randn(PROMPTS, IMAGE_TOKENS + TEXT - 1, width)

    def fuse() -> Tensor:
        fused = fusion.fuse(vision, ids, mask, ids)["inputs_embeds"]
        assert fused is not None  # only labels can be None
        return fused

    def loop() -> Tensor:
        embeds, masks, labels = [], [], []
        for index in range(PROMPTS):
            place = int((single[index] == PLACEHOLDER).nonzero()[0, 0])
            text = embed(single[index])
            embeds.append(torch.cat([text[:place], vision[index], text[place + 1 :]]))
            ones = torch.ones(IMAGE_TOKENS, dtype=torch.long)
            masks.append(torch.cat([short_mask[index, :place], ones, short_mask[index, place + 1 :]]))
            ignored = torch.full((IMAGE_TOKENS,), -100)
            labels.append(torch.cat([single[index, :place], ignored, single[index, place + 1 :]]))
        torch.stack(labels)
        (torch.stack(masks).cumsum(-1) - 1).clamp_min(0)
        return torch.stack(embeds)

    def copy() -> Tensor:
        return torch.cat([vision[:, : TEXT - 1], vision], dim=1)

    def trained(function: Callable[[], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(function(), vision, grad)

    candidates = {"fuse": fuse, "loop": loop, "copy": copy}
    return {name: trained(function) if training else function for name, function in candidates.items()}


def _fusion() -> str:
    rows = []
    for training in (True, False):
        for width in (64, 896, 2048):
            times = compare(_fusion_candidates(width, training), rounds=15, seconds=30)
            cells = [milliseconds(times[name]) for name in ("fuse", "loop", "copy")]
            what = "forward and backward" if training else "forward"
            rows.append([what, width, *cells, f"{times['loop'] / times['fuse']:.1f}×"])
    head = (
        f"Fusing {PROMPTS} prompts of {TEXT} text tokens with {IMAGE_TOKENS} vision tokens each, compared with a loop "
        "that concatenates prompt by prompt and stacks. The lower bound is one copy of the vision tokens."
    )
    return f"{head}\n\n" + table(["", "width", "fuse", "loop", "one copy", "loop over fuse"], rows)
