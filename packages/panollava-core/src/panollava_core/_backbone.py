"""Vision towers of transformers and timm behind one module: views in, a grid of tokens out."""

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import transformers  # AutoModel is resolved where it is used: in 4.57 it loads torch._dynamo
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig
from transformers.modeling_outputs import BaseModelOutput

from panollava_core._towers import (
    Grid,
    as_pair,
    default_image_size,
    has_cls_token,
    is_channels_last,
    is_feature_map,
    num_prefix_tokens,
    run_tower,
    tower_blocks,
    vision_config_of,
    vision_token_grid,
)


@dataclass
class VisionOutput(BaseModelOutput):
    """Output of `VisionBackbone.encode`.

    Attributes:
        last_hidden_state: the tokens of the grid, `[N, H'·W', D_vision]`.
        hidden_states: one tensor per layer as the tower returns it, including prefix tokens, if requested.
        attentions: one tensor per layer as the tower returns it, if requested.
        cls_token: one vector per view, the tower's CLS token, `[N, D_vision]`, if requested and the tower has one.
        pooler_output: one vector per view from the tower's own pooling, `[N, D]`, if requested and the tower has one.
    """

    # Declared again: in transformers 4.57 these are torch.FloatTensor, which a tensor in bfloat16 is not.
    last_hidden_state: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    cls_token: Tensor | None = None
    pooler_output: Tensor | None = None


class VisionBackbone(nn.Module):
    """A vision tower that returns only its token grid: `[N, 3, h, w]` pixels to `[N, H'·W', D_vision]`, row by row.

    The tower is built from `config` with random weights; this never downloads anything (see `from_pretrained`).
    SigLIP, SigLIP 2, CLIP, DINOv2, DINOv3, ViT and similar towers come from transformers; timm feature models are used
    through transformers' `TimmWrapperConfig`. CLS, distillation and register tokens are removed.

    Args:
        config: config of a vision tower. Of a full SigLIP or CLIP config, the vision part is used. The tower has the
            config's `attn_implementation`.
        trainable_blocks: the last k blocks are trained and the rest of the tower is frozen; 0 freezes the whole tower,
            -1 freezes nothing. A completely frozen tower runs without autograd and stays in eval mode.
        view_chunk_size: encode at most this many views at once; None encodes all views at once.
        output_norm: apply a LayerNorm (submodule `norm`, always trainable) to the output.

    Raises:
        ValueError: `trainable_blocks` or `view_chunk_size` is out of range, or no list of blocks is found in the tower.

    Example:
        >>> import torch
        >>> from panollava_core import VisionBackbone
        >>> from transformers import SiglipVisionConfig
        >>> config = SiglipVisionConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        ...                             intermediate_size=64, image_size=32, patch_size=8)
        >>> backbone = VisionBackbone(config, trainable_blocks=1)
        >>> backbone.token_grid(), backbone(torch.zeros(6, 3, 32, 32)).shape
        ((4, 4), torch.Size([6, 16, 32]))
    """

    encoder: Any

    def __init__(
        self,
        config: PretrainedConfig,
        *,
        trainable_blocks: int = -1,
        view_chunk_size: int | None = None,
        output_norm: bool = False,
        _encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if view_chunk_size is not None and view_chunk_size < 1:
            raise ValueError(f"view_chunk_size must be positive or None, got {view_chunk_size}")
        self.config = vision_config_of(config)
        self._grids: dict[Grid, Grid] = {}
        self.view_chunk_size = view_chunk_size
        self.encoder = transformers.AutoModel.from_config(self.config) if _encoder is None else _encoder
        self.hidden_size = _hidden_size(self.encoder)
        if output_norm:
            self.norm = nn.LayerNorm(self.hidden_size)
        self._accepted = frozenset(inspect.signature(self.encoder.forward).parameters)
        self.set_trainable_blocks(trainable_blocks)

    @property
    def _no_split_modules(self) -> Any:
        """The tower's blocks that must stay on one device; transformers collects them from the children of a model."""
        return getattr(self.encoder, "_no_split_modules", None)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        *,
        trainable_blocks: int = -1,
        view_chunk_size: int | None = None,
        output_norm: bool = False,
        **kwargs: Any,
    ) -> "VisionBackbone":
        """Load a tower with its weights.

        Args:
            name_or_path: Hub id or folder.
            trainable_blocks: as in the constructor, like the next two.
            view_chunk_size: see there.
            output_norm: see there.
            kwargs: passed to `AutoModel.from_pretrained`.
        """
        full = AutoConfig.from_pretrained(name_or_path, **{k: kwargs[k] for k in _HUB_ARGUMENTS & kwargs.keys()})
        config = vision_config_of(full)
        encoder = transformers.AutoModel.from_pretrained(name_or_path, config=config, **kwargs)
        backbone = cls(
            encoder.config,
            trainable_blocks=trainable_blocks,
            view_chunk_size=view_chunk_size,
            output_norm=output_norm,
            _encoder=encoder,
        )
        return backbone.to(encoder.dtype)

    def set_trainable_blocks(self, count: int) -> None:
        """Train the last `count` blocks and freeze the rest of the tower; 0 freezes the whole tower, -1 nothing."""
        if count < -1:
            raise ValueError(f"trainable_blocks must be -1 (all), 0 (none) or the number of last blocks, got {count}")
        self.encoder.requires_grad_(count == -1)
        if count > 0:
            blocks = tower_blocks(self.encoder)
            if count > len(blocks):
                raise ValueError(
                    f"trainable_blocks={count}, but {type(self.encoder).__name__} has {len(blocks)} blocks"
                )
            for block in blocks[-count:]:
                block.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> "VisionBackbone":
        """Set the mode as `torch.nn.Module` does; a frozen tower stays in eval mode (dropout, batch statistics)."""
        super().train(mode)
        if self.is_frozen:
            self.encoder.eval()
        return self

    @property
    def is_frozen(self) -> bool:
        """Whether no parameter of the tower is trained."""
        return not any(parameter.requires_grad for parameter in self.encoder.parameters())

    def token_grid(self, image_size: int | Sequence[int] | None = None) -> Grid:
        """Return `(H', W')` for an image of `image_size` pixels (default: the config's), from the config alone."""
        if not is_feature_map(self.config):
            return vision_token_grid(self.config, image_size)
        return self._map_of(*(default_image_size(self.config) if image_size is None else as_pair(image_size)))

    def _map_of(self, height: int, width: int) -> Grid:
        """The size of a feature map, for which a tower is built: computed once per size, and not traced."""
        if (height, width) not in self._grids:
            self._grids[height, width] = vision_token_grid(self.config, (height, width))
        return self._grids[height, width]

    # What torch.compiler.assume_constant_result sets: the decorator itself loads torch._dynamo with every import.
    _map_of._dynamo_marked_constant = True  # type: ignore[attr-defined]

    def forward(self, pixel_values: Float[Tensor, "views 3 height width"]) -> Float[Tensor, "views tokens features"]:
        """Encode views.

        Args:
            pixel_values: normalised pixels, of any size that the tower accepts. Position embeddings are interpolated if
                the tower supports it.

        Returns:
            The tokens of the grid, row by row.

        Raises:
            ValueError: the tower returned a different number of tokens than its config says.
        """
        return self.encode(pixel_values).last_hidden_state

    def encode(
        self, pixel_values: Float[Tensor, "views 3 height width"], *, summaries: bool = False, **options: Any
    ) -> VisionOutput:
        """Encode views and also return the tower's hidden states and attentions.

        Args:
            pixel_values: normalised pixels, as for `forward`.
            summaries: whether to also return what summarises a whole view: `cls_token` and `pooler_output`.
            options: further arguments of the tower (`output_hidden_states`, `output_attentions`).

        Returns:
            `last_hidden_state`: the tokens that `forward` returns. The others as in `VisionOutput`, None if they were
            not requested or the tower does not have them.

        Raises:
            ValueError: the tower returned a different number of tokens than its config says.
        """
        frozen = self.is_frozen and not pixel_values.requires_grad
        with torch.no_grad() if frozen else nullcontext():
            if self.view_chunk_size is None or pixel_values.shape[0] <= self.view_chunk_size:
                output = self._encode(pixel_values, summaries, options)
            else:
                chunks = pixel_values.split(self.view_chunk_size)
                output = _joined([self._encode(chunk, summaries, options) for chunk in chunks])
        if hasattr(self, "norm"):
            output.last_hidden_state = self.norm(output.last_hidden_state)
        return output

    def _encode(self, pixel_values: Tensor, summaries: bool, requested: dict[str, Any]) -> VisionOutput:
        size = (pixel_values.shape[-2], pixel_values.shape[-1])
        options: dict[str, Any] = {}
        if "interpolate_pos_encoding" in self._accepted and size != default_image_size(self.config):
            options["interpolate_pos_encoding"] = True
        pixel_values = pixel_values.to(self.encoder.dtype)
        if self.config.model_type == "siglip2_vision_model":
            pixel_values, options = _naflex_inputs(pixel_values, self.config.patch_size)
        output = run_tower(self.encoder, pixel_values, pool=summaries, **options, **requested)
        prefix, tokens = self._split_tokens(output.last_hidden_state, size)
        found = VisionOutput(tokens, output.get("hidden_states"), output.get("attentions"))
        if summaries:
            found.cls_token = prefix[:, 0] if prefix is not None and has_cls_token(self.encoder) else None
            pooled = output.get("pooler_output")
            found.pooler_output = None if pooled is None else pooled.flatten(1)  # ResNet's is [N, D, 1, 1]
        return found

    def _split_tokens(self, tokens: Tensor, size: Grid) -> tuple[Tensor | None, Tensor]:
        """The tokens before the grid, None if there are none, and those of the grid."""
        if tokens.ndim == 4:
            grid = tokens.flatten(1, 2) if is_channels_last(self.encoder) else tokens.flatten(2).transpose(1, 2)
            return None, grid
        rows, columns = self.token_grid(size)
        expected = num_prefix_tokens(self.config)
        prefix = tokens.shape[1] - rows * columns
        if prefix < 0 or (expected is not None and prefix != expected):
            raise ValueError(
                f"{type(self.encoder).__name__} returned {tokens.shape[1]} tokens for {size[0]}x{size[1]} pixels, "
                f"expected {expected or 0} + {rows}x{columns}; use an image size that the tower supports"
            )
        return tokens[:, :prefix] if prefix else None, tokens[:, prefix:]


_HUB_ARGUMENTS = frozenset(
    {"revision", "cache_dir", "token", "local_files_only", "trust_remote_code", "subfolder", "force_download"}
)


def _joined(chunks: list[VisionOutput]) -> VisionOutput:
    """Concatenate the outputs for several chunks of views."""

    def joined(name: str) -> Tensor | None:
        found = [getattr(chunk, name) for chunk in chunks]
        return None if found[0] is None else torch.cat(found)

    def layers(name: str) -> tuple[Any, ...] | None:
        if getattr(chunks[0], name) is None:
            return None
        by_layer = zip(*(getattr(chunk, name) for chunk in chunks), strict=True)
        # transformers leaves None where it was asked for some layers only: `output_hidden_states=[1]`.
        return tuple(None if layer[0] is None else torch.cat(layer) for layer in by_layer)

    return VisionOutput(
        joined("last_hidden_state"),
        layers("hidden_states"),
        layers("attentions"),
        joined("cls_token"),
        joined("pooler_output"),
    )


def _hidden_size(tower: Any) -> int:
    timm_model = getattr(tower, "timm_model", None)
    if timm_model is not None:
        return int(timm_model.num_features)
    config = tower.config
    if getattr(config, "hidden_sizes", None):
        return int(config.hidden_sizes[-1])
    return int(config.hidden_size)


def _naflex_inputs(pixel_values: Tensor, patch: int) -> tuple[Tensor, dict[str, object]]:
    """The inputs of SigLIP 2: flattened patches (channels last in a patch), a mask, and the grid of each image."""
    count, channels, height, width = pixel_values.shape
    rows, columns = height // patch, width // patch
    pixels = pixel_values[:, :, : rows * patch, : columns * patch].reshape(count, channels, rows, patch, columns, patch)
    patches = pixels.permute(0, 2, 4, 3, 5, 1).reshape(count, rows * columns, patch * patch * channels)
    mask = torch.ones(count, rows * columns, dtype=torch.long, device=pixel_values.device)
    shapes = torch.tensor([[rows, columns]], device=pixel_values.device).expand(count, 2)
    return patches, {"pixel_attention_mask": mask, "spatial_shapes": shapes}
