"""A vision tower alone as a model that makes vectors of panoramas."""

from typing import Any, TypeVar

import torch
from panollava_core import VisionBackbone
from transformers import AutoModel, PreTrainedModel

from panollava_hf._errors import ModelError, boundary
from panollava_hf._pooling import TOKEN_POOLING
from panollava_hf._pretrained import UNUSED, load_config, load_tower, name_tower, sub_config
from panollava_hf._shown import shown
from panollava_hf._tower_pixels import tower_pixels
from panollava_hf.outside._bounds import as_size
from panollava_hf.outside._checkpoint_folder import check_tower
from panollava_hf.outside._weight_files import require_whole

Model = TypeVar("Model", bound=PreTrainedModel)

#: Weights of a pooling that is not trained with the tower: what BERT did with the CLS token.
UNTRAINED_POOLING = "pooler.dense."


def wrap_tower(
    model_class: type[Model],
    name: str,
    *,
    settings: dict[str, Any],
    dtype: torch.dtype | None = None,
    where: dict[str, Any],
) -> Model:
    """Build `model_class` from a pretrained vision tower alone, without connector and language model.

    Args:
        model_class: `PanoLLaVaForFeatureExtraction` or a subclass.
        name: Vision tower, a folder or Hub id.
        settings: Fields of `PanoLLaVaConfig`; `pooling`, `pooled_views` and `view_size` that are None are chosen.
        dtype: Type of all weights; default float32.
        where: Arguments of `find_source` for a Hub id.

    Raises:
        ModelError: The tower cannot be found or loaded; code in its folder is never run.
        ValueError: A setting has an impossible value, or the tower has no such pooling.
    """
    dtype = torch.float32 if dtype is None else dtype
    settings = dict(settings)
    check_tower(name, "vision", **where)
    config = sub_config(load_config(name, **where), "vision_config")
    if settings.get("view_size") is None:
        size = tower_pixels(name, **where).size
        settings["view_size"] = None if size is None else list(size)
    encoder, info = load_tower(AutoModel, name, dtype, config, **where)
    require_whole(name, info, fresh=UNUSED, extra=True)
    tower = f"{shown(name)}: {type(encoder).__name__} cannot be used as a vision tower"
    with boundary(ModelError, tower, "use another, such as facebook/dinov2-small"):
        backbone = VisionBackbone(encoder.config, _encoder=encoder.eval()).to(dtype)
    settings["pooling"] = _pooling(backbone, settings["view_size"], settings.get("pooling"))
    if settings["pooling"].startswith("pooler"):
        require_whole(name, info, extra=True)
    if settings.get("pooled_views") is None:
        settings["pooled_views"] = "all"
    built = model_class.config_class(
        vision_config=encoder.config,
        vision_source=name_tower(encoder.config, name, **where),
        resampler_type="none",
        latent_dimension=backbone.hidden_size,
        dtype=dtype,
        **settings,
    )
    with torch.device("meta"):
        model = model_class(built)
    for part, module in backbone.named_children():
        setattr(model.base_model.vision_backbone, part, module)
    return model.eval()


def _pooling(backbone: VisionBackbone, view_size: Any, wanted: str | None) -> str:
    """The pooling of a view, checked or chosen by what the tower returns for one view.

    Raises:
        ValueError: The tower has no such pooling, or refuses views of this size.
    """
    encoder: Any = backbone.encoder
    tower = type(encoder).__name__
    size = as_size("view_size", encoder.config.image_size if view_size is None else view_size)
    with boundary(ModelError, f"{tower} cannot read views of {size[0]}x{size[1]} pixels", "use another view_size"):
        with torch.no_grad():
            output = backbone.encode(torch.zeros(1, 3, *size), summaries=True)
    cls, pooler = output.cls_token, output.pooler_output
    if pooler is not None and pooler.shape[-1] != backbone.hidden_size:
        pooler = None
    if wanted is None:
        return _default_pooling(encoder, cls, pooler)
    part = wanted.partition("+")[0]
    if (part == "cls" and cls is None) or (part == "pooler" and pooler is None):
        known = [*TOKEN_POOLING, *(kind for kind in ("cls", "cls+mean") if cls is not None)]
        known += [kind for kind in ("pooler", "pooler+mean") if pooler is not None]
        raise ValueError(f"{tower} has no pooling {wanted!r}; expected one of {', '.join(known)}")
    return wanted


def _default_pooling(encoder: Any, cls: torch.Tensor | None, pooler: torch.Tensor | None) -> str:
    """What a tower was trained to summarise an image with; a CLS token is better together with the mean."""
    trained = not any(UNTRAINED_POOLING in name for name, _ in encoder.named_parameters())
    if pooler is not None and trained and (cls is None or not torch.equal(cls, pooler)):
        return "pooler"
    return "mean" if cls is None else "cls+mean"
