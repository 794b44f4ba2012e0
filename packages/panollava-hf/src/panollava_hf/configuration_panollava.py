"""Configuration of PanoLLaVA: two towers, the connector between them, and how a panorama is cut into views."""

import math
import warnings
from typing import Any, Literal, SupportsIndex, get_args

from panollava_core import (
    Interpolation,
    PositionalEncoding,
    StitchingMode,
    num_image_tokens,
    resampler_class,
    resampler_output_grid,
    vision_token_grid,
    vision_width,
)
from panollava_geometry import EquirectangularView, ViewPlan, plan_views
from transformers import AutoConfig, PretrainedConfig

from panollava_hf._own_code import forget_exported_code
from panollava_hf._pickling import by_name
from panollava_hf._pooling import TOKEN_POOLING, TOWER_POOLING, Pooling
from panollava_hf._pretrained import keep_name, no_language_model, resolve
from panollava_hf._shown import shown
from panollava_hf.outside._bounds import (
    MAX_LAYERS,
    MAX_TOKENS,
    MAX_WIDTH,
    as_size,
    require_buildable,
    require_choice,
    require_count,
    require_flag,
    require_number,
    require_plan,
    require_total,
)
from panollava_hf.outside._model_card import checked_source

__all__ = ["PanoLLaVaConfig"]

#: Id of the placeholder in the default tower's tokenizer (the first free row of Qwen2.5's padded vocabulary).
IMAGE_TOKEN_ID = 151665

#: Strategies whose tiles form a closed ring of `num_views`.
RINGS = ("anyres_e2p", "e2p")

#: Most words that `known_words` and `known_topics` can have, and the fields of `known_images`.
MAX_KNOWN_WORDS = 100_000
KNOWN_IMAGES = frozenset({"layers", "mean", "scale", "whitening", "threshold", "description"})

# Ranges of the fields.
COUNTS = {
    "latent_dimension": (1, MAX_WIDTH),
    "num_latent_tokens": (1, MAX_TOKENS),
    "trainable_vision_blocks": (-1, MAX_LAYERS),
    "vicreg_projector_depth": (0, MAX_LAYERS),
    "lora_r": (1, 4096),
    "image_token_id": (0, 2**31),
}
OPTIONAL_COUNTS = {
    "view_chunk_size": (1, 2**31),
    "vicreg_projector_dim": (1, MAX_WIDTH),
    "vicreg_projector_hidden_dim": (1, MAX_WIDTH),
}
NUMBERS = {
    "positional_temperature": (1e-6, 1e12),
    "vicreg_similarity_weight": (-math.inf, math.inf),
    "vicreg_variance_weight": (-math.inf, math.inf),
    "vicreg_covariance_weight": (-math.inf, math.inf),
    "lora_alpha": (0, 1e6),
    "lora_dropout": (0, 1),
    "initializer_range": (0, 1e6),
}
CHOICES = {
    "positional_encoding": get_args(PositionalEncoding),
    "stitching_mode": get_args(StitchingMode),
    "stitch_interp": get_args(Interpolation),
    "vicreg_mode": ("pairwise", "batchwise"),
    "vicreg_pairs": ("spherical", "columns"),
    "pooling": (*TOKEN_POOLING, *TOWER_POOLING),
    "pooled_views": ("all", "tiles"),
}
FLAGS = ("stitch_target_to_view_width", "vision_output_norm", "use_lora", "connector_trained", "tie_word_embeddings")
#: Options of resamplers that count modules.
LIMITED = {"num_layers": MAX_LAYERS}


class PanoLLaVaConfig(PretrainedConfig):
    """Everything needed to build a PanoLLaVA model without a download.

    Args:
        vision_config: Vision tower: a config, a stored dict, a folder or Hub id, or the short form
            `{"model_name": …, "image_size": …, "patch_size": …}`. Default: google/siglip-base-patch16-224.
        text_config: Language model, likewise (`{"model_name": …, "hidden_size": …}`). Default:
            Qwen/Qwen2.5-0.5B-Instruct.
        resampler_type: Name in `panollava_core.RESAMPLERS`: `mlp`, `qformer`, `bimamba`, `perceiver`, … With `none`
            there is no connector: the latent tokens are the vision tower's, and the model makes vectors only. The
            language model is then never built, and its default is a config of a few numbers.
        latent_dimension: Width of the latent tokens. With `resampler_type="none"` it must be the vision tower's width.
        num_latent_tokens: Latent tokens per view, for the resamplers that choose their number (`mlp` and `bimamba` keep
            one per cell of the view).
        resampler_config: Further settings of that resampler (`hidden_dim`, `num_layers`, `d_state`, …).
        positional_encoding: `spherical` (from the viewing direction of each token), `yaw` (the original's) or `none`.
        positional_temperature: Temperature of the `yaw` encoding.
        stitching_mode: `concat`, `stride_views`, `drop_overlap` or `resample`.
        stitch_target_to_view_width: With `resample`: keep one view's width instead of the panorama's.
        stitch_interp: With `resample`: `linear` or `nearest`.
        vision_output_norm: LayerNorm on the vision tower's output (the original's `use_vicreg_norm`).
        trainable_vision_blocks: Number of last blocks of the vision tower that are trained; 0 none, -1 all.
        view_chunk_size: Views encoded at once; None is all. Fewer need less memory; the result is the same.
        view_size: Height and width of a view in pixels (an int is square); None is the vision tower's own size. Other
            sizes need a tower that interpolates its positions.
        crop_strategy: How a panorama is cut into views (see `panollava_geometry.plan_views`).
        num_views: Tiles of the ring; None derives them from `fov_deg` and `overlap_ratio` (a closed ring).
        fov_deg: Horizontal field of view of a tile, in degrees.
        overlap_ratio: Share of a tile's field of view that its neighbour sees too, in [0, 1).
        vicreg_similarity_weight: Weight of VICReg's invariance term.
        vicreg_variance_weight: Weight of its variance term.
        vicreg_covariance_weight: Weight of its covariance term.
        vicreg_mode: `pairwise` (statistics within each pair of views) or `batchwise` (over all rows of the batch).
        vicreg_pairs: `spherical` pairs tokens that see the same direction; `columns` the original's fixed columns.
        vicreg_projector_dim: Width of the VICReg projector; None is `latent_dimension`.
        vicreg_projector_hidden_dim: Width between its layers; None is `vicreg_projector_dim`.
        vicreg_projector_depth: Number of its linear layers; 0 leaves it out.
        pooling: How `PanoLLaVaForFeatureExtraction` makes one vector of the latent tokens: `mean`, `max` or `first`.
            Without a connector also `cls`, the vision tower's CLS token; `pooler`, the tower's own pooling (such as the
            attention head of SigLIP); `cls+mean` or `pooler+mean`, with the mean of the patches appended. These four
            give one vector of unit length per view, and their mean for the panorama.
        pooled_views: The views that the panorama's vector is made of: `all`, or the `tiles` without the global view.
        use_lora: Whether `PanoLLaVaForConditionalGeneration` carries LoRA adapters on its language model and nothing
            else. Building it, or loading a checkpoint with `from_pretrained(path, use_lora=True)`, adds fresh ones,
            which change no output until they are trained, and freezes all other weights. `save_pretrained` writes the
            base under its usual names and a PEFT adapter in `adapter/`; loading that folder loads the adapter again
            (not with `use_lora=False`). A merged checkpoint has False. Needs peft.
        lora_r: Rank of the adapters.
        lora_alpha: Scale of the adapters.
        lora_dropout: Dropout of the adapters.
        image_token_id: Id of the placeholder token `<|vision|>`.
        vision_source: Where the vision tower comes from: `name` (Hub id, or the last name of a local folder),
            `base_model` (the Hub id that a local folder's model card names), `license` and `revision`, as far as they
            are known. For the model card; nothing is loaded from there.
        text_source: Where the language model comes from, likewise.
        connector_trained: Whether resampler and projector have been trained; commands print a note when they have not.
        known_words: The words that a model was trained on, in lower case, if it cannot use others: commands report a
            question with another word instead of answering it. The words of a phrase, such as "party hat", are known
            together only. None for a model that knows a language.
        known_topics: The words that say what a question is about, in lower case, if a model cannot use others: commands
            report a question with none of them ("Where am I?") instead of answering it.
        known_images: What the training images have in common, if a model cannot use others: `layers` (hidden
            states of the vision tower), `mean` and `scale` of their channels, `whitening` (base64 of the rows of a
            lower triangular matrix in half precision), `threshold` (the largest distance of a known image), and
            `description` (what they are, for messages). None for any image.
        tie_word_embeddings: Whether the output head shares the input embedding; default: what the language model does.
        initializer_range: Standard deviation of fresh linear weights in the connector.

    Raises:
        ValueError: A field has an impossible value, or two contradict each other; the message names the field.

    Example:
        >>> from panollava_hf import PanoLLaVaConfig
        >>> config = PanoLLaVaConfig()
        >>> len(config.view_plan()), config.text_config.hidden_size
        (7, 896)
    """

    model_type = "panollava"
    is_composition = True
    sub_configs = {"vision_config": AutoConfig, "text_config": AutoConfig}  # noqa: RUF012 - transformers reads a plain dict
    keys_to_ignore_at_inference = ["past_key_values", "cache"]  # noqa: RUF012 - as above

    def __init__(
        self,
        vision_config: PretrainedConfig | dict[str, Any] | str | None = None,
        text_config: PretrainedConfig | dict[str, Any] | str | None = None,
        resampler_type: str = "mlp",
        latent_dimension: int = 768,
        num_latent_tokens: int = 64,
        resampler_config: dict[str, Any] | None = None,
        positional_encoding: PositionalEncoding = "spherical",
        positional_temperature: float = 10000.0,
        stitching_mode: StitchingMode = "concat",
        stitch_target_to_view_width: bool = False,
        stitch_interp: Interpolation = "linear",
        vision_output_norm: bool = False,
        trainable_vision_blocks: int = -1,
        view_chunk_size: int | None = None,
        view_size: int | list[int] | tuple[int, int] | None = None,
        crop_strategy: str = "anyres_e2p",
        num_views: int | None = None,
        fov_deg: float = 90.0,
        overlap_ratio: float = 0.3,
        vicreg_similarity_weight: float = 25.0,
        vicreg_variance_weight: float = 25.0,
        vicreg_covariance_weight: float = 1.0,
        vicreg_mode: Literal["pairwise", "batchwise"] = "pairwise",
        vicreg_pairs: Literal["spherical", "columns"] = "spherical",
        vicreg_projector_dim: int | None = None,
        vicreg_projector_hidden_dim: int | None = None,
        vicreg_projector_depth: int = 2,
        pooling: Pooling = "mean",
        pooled_views: Literal["all", "tiles"] = "all",
        use_lora: bool = False,
        lora_r: int = 16,
        lora_alpha: int = 32,
        lora_dropout: float = 0.1,
        image_token_id: int = IMAGE_TOKEN_ID,
        vision_source: dict[str, str] | None = None,
        text_source: dict[str, str] | None = None,
        connector_trained: bool = False,
        known_words: list[str] | None = None,
        known_topics: list[str] | None = None,
        known_images: dict[str, Any] | None = None,
        tie_word_embeddings: bool | None = None,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        self.vision_config = resolve(vision_config, "vision_config")
        if text_config is None and resampler_type == "none":
            text_config = no_language_model()
        self.text_config = resolve(text_config, "text_config")
        for tower in (self.vision_config, self.text_config):
            keep_name(tower)
        self.resampler_type = resampler_type
        self.latent_dimension = latent_dimension
        self.num_latent_tokens = num_latent_tokens
        if not isinstance(resampler_config, (dict, type(None))):
            raise ValueError(f"resampler_config must be an object of options, got {shown(resampler_config)}")
        self.resampler_config = dict(resampler_config or {})
        self.positional_encoding = positional_encoding
        self.positional_temperature = positional_temperature
        self.stitching_mode = stitching_mode
        self.stitch_target_to_view_width = stitch_target_to_view_width
        self.stitch_interp = stitch_interp
        self.vision_output_norm = vision_output_norm
        self.trainable_vision_blocks = trainable_vision_blocks
        self.view_chunk_size = view_chunk_size
        self.view_size = list(view_size) if isinstance(view_size, tuple) else view_size
        self.crop_strategy = crop_strategy
        self.num_views = num_views
        self.fov_deg = fov_deg
        self.overlap_ratio = overlap_ratio
        self.vicreg_similarity_weight = vicreg_similarity_weight
        self.vicreg_variance_weight = vicreg_variance_weight
        self.vicreg_covariance_weight = vicreg_covariance_weight
        self.vicreg_mode = vicreg_mode
        self.vicreg_pairs = vicreg_pairs
        self.vicreg_projector_dim = vicreg_projector_dim
        self.vicreg_projector_hidden_dim = vicreg_projector_hidden_dim
        self.vicreg_projector_depth = vicreg_projector_depth
        self.pooling = pooling
        self.pooled_views = pooled_views
        self.use_lora = use_lora
        self.lora_r = lora_r
        self.lora_alpha = lora_alpha
        self.lora_dropout = lora_dropout
        self.image_token_id = image_token_id
        self.vision_source = checked_source("vision_source", vision_source)
        self.text_source = checked_source("text_source", text_source)
        self.connector_trained = connector_trained
        self.known_words = known_words
        self.known_topics = known_topics
        self.known_images = known_images
        self.initializer_range = initializer_range
        if tie_word_embeddings is None:
            tie_word_embeddings = bool(getattr(self.text_config, "tie_word_embeddings", False))
        width = kwargs.pop("projection_dim", None)  # an export states it for readers of its config.json
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)
        self._check()
        if width not in (None, self.projection_dim):
            raise ValueError(
                f"projection_dim must be {self.projection_dim}, as latent_dimension={self.latent_dimension} and "
                f"pooling={self.pooling!r} give it, got {shown(width)}"
            )

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        # 4.57 reads the flag from the text config, 5.x from the top one: both must agree.
        if name == "tie_word_embeddings" and "text_config" in self.__dict__:
            self.text_config.tie_word_embeddings = value

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return by_name(super().__reduce_ex__(2))

    def to_dict(self) -> dict[str, Any]:
        """All fields; the names of the towers are in their `tower_name`, as when their configs are saved alone."""
        content: dict[str, Any] = super().to_dict()
        for part in ("vision_config", "text_config"):
            tower = content.get(part)
            if isinstance(tower, dict) and (name := tower.get("_name_or_path")):
                content[part] = {**tower, "tower_name": name, "_name_or_path": ""}
        return content

    def _check(self) -> None:
        for name, (low, high) in COUNTS.items():
            require_count(name, getattr(self, name), low, high)
        for name, (low, high) in OPTIONAL_COUNTS.items():
            require_count(name, getattr(self, name), low, high, optional=True)
        for name, (lowest, highest) in NUMBERS.items():
            require_number(name, getattr(self, name), lowest, highest)
        for name, choices in CHOICES.items():
            require_choice(name, getattr(self, name), choices)
        for name in FLAGS:
            require_flag(name, getattr(self, name))
        self._check_known()
        if not isinstance(self.resampler_type, str):
            raise ValueError(f"resampler_type must be a text, got {shown(self.resampler_type)}")
        for name, value in self.resampler_config.items():
            if isinstance(value, int) and not isinstance(value, bool):
                require_count(f"resampler_config: {name}", value, -MAX_WIDTH, LIMITED.get(name, MAX_WIDTH))
        require_plan(self.crop_strategy, self.fov_deg, self.overlap_ratio, self.num_views)
        for part in ("vision_config", "text_config"):
            require_buildable(part, vars(getattr(self, part)))
        given = getattr(self.vision_config, "image_size", None) if self.view_size is None else self.view_size
        if given is not None:
            size = as_size("image_size of vision_config" if self.view_size is None else "view_size", given)
            require_total(len(self.view_plan()), size)
        self.view_plan()  # raises if the plan is impossible
        self.pooled_indices()
        if self.pooling in TOWER_POOLING and self.resampler_type != "none":
            raise ValueError(
                f"pooling={self.pooling!r} needs resampler_type='none', got {self.resampler_type!r}: the latent tokens "
                "of a connector have no CLS token; use mean, max or first"
            )
        # With the original's fixed columns, overlap_ratio is independent of the views.
        if self.num_views is not None and self.crop_strategy in RINGS and self.vicreg_pairs != "columns":
            self._compare_overlap(self.num_views)

    def _check_known(self) -> None:
        for name in ("known_words", "known_topics"):
            words = getattr(self, name)
            if words is None:
                continue
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise ValueError(f"{name} must be a list of words or null, got {shown(words)}")
            if not 0 < len(words) <= MAX_KNOWN_WORDS:
                raise ValueError(f"{name} must have 1 to {MAX_KNOWN_WORDS} words, got {len(words)}")
        images = self.known_images
        if images is not None and (not isinstance(images, dict) or images.keys() != KNOWN_IMAGES):
            raise ValueError(
                f"known_images must have the fields {', '.join(sorted(KNOWN_IMAGES))}, got {shown(images)}"
            )

    def _compare_overlap(self, tiles: int) -> None:
        true = 1.0 - 360.0 / (tiles * self.fov_deg)
        if tiles != math.ceil(360.0 / (self.fov_deg * (1.0 - self.overlap_ratio)) - 1e-9):
            warnings.warn(
                f"num_views={tiles} tiles of {self.fov_deg:g}° overlap by {true:.1%}, not by overlap_ratio="
                f"{self.overlap_ratio:.1%}; leave num_views at None, or set overlap_ratio to {true:.3f}",
                stacklevel=4,
            )

    def view_plan(self) -> ViewPlan:
        """The views a panorama is cut into, global view first."""
        return plan_views(
            self.crop_strategy, fov_deg=self.fov_deg, overlap_ratio=self.overlap_ratio, num_views=self.num_views
        )

    def tiles(self) -> list[int]:
        """Places in `view_plan()` of all views but the global one."""
        plan = PanoLLaVaConfig.view_plan(self)  # from a local export, another class may be the instance's
        return [index for index, view in enumerate(plan) if not isinstance(view, EquirectangularView)]

    def pooled_indices(self) -> list[int]:
        """Places in `view_plan()` of the views that the panorama's vector is made of.

        Raises:
            ValueError: `pooled_views` is `tiles`, but the plan has only a global view.
        """
        if self.pooled_views == "all":
            return list(range(len(PanoLLaVaConfig.view_plan(self))))
        if not (tiles := PanoLLaVaConfig.tiles(self)):
            raise ValueError(
                f"pooled_views='tiles' needs tiles, but crop_strategy={self.crop_strategy!r} has a global view only; "
                "use pooled_views='all'"
            )
        return tiles

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save the config; code of an export is named only if it is saved as well."""
        forget_exported_code(self)
        super().save_pretrained(save_directory, *args, **kwargs)

    def resampler_settings(self) -> dict[str, Any]:
        """The argument of `panollava_core.build_resampler`."""
        keeps_tokens = resampler_class(self.resampler_type).keeps_tokens
        return {
            "type": self.resampler_type,
            "input_dim": vision_width(self.vision_config),
            "latent_dimension": self.latent_dimension,
            "num_latent_tokens": None if keeps_tokens else self.num_latent_tokens,
            **self.resampler_config,
        }

    @property
    def projection_dim(self) -> int:
        """Width of the vectors of `PanoLLaVaForFeatureExtraction`, under CLIP's name."""
        return self.latent_dimension * (2 if self.pooling.endswith("+mean") else 1)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of a view in pixels."""
        size = self.vision_config.image_size if self.view_size is None else self.view_size
        return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))

    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of latent tokens per view, after the resampler."""
        return resampler_output_grid(self.resampler_settings(), vision_token_grid(self.vision_config, self.image_size))

    def num_image_tokens(self, num_views: int | None = None) -> int:
        """How many language-model tokens one panorama becomes."""
        return num_image_tokens(
            len(self.view_plan()) if num_views is None else num_views,
            self.token_grid(),
            self.stitching_mode,
            overlap_ratio=self.overlap_ratio,
            stitch_target_to_view_width=self.stitch_target_to_view_width,
        )
