"""The two pretrained towers: their configs and tokenizer, and a model joined from them.

A tower is named once, when a config is first built. A saved config holds the full configs of both towers, so that
loading a saved model never downloads a tower.
"""

from pathlib import Path
from typing import Any, TypeVar

import torch
from panollava_core import VisionBackbone
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from panollava_hf._chat_template import IMAGE_TOKEN
from panollava_hf._compat import readable_settings
from panollava_hf._errors import ModelError, boundary
from panollava_hf._lora import built_plain, start_adapters
from panollava_hf._shown import shown
from panollava_hf.outside._hub_source import find_source
from panollava_hf.outside._json_file import read_object
from panollava_hf.outside._model_card import tower_source
from panollava_hf.outside._tokenizer_file import check_tokenizer
from panollava_hf.outside._weight_files import check_weights, require_whole

DEFAULT_VISION = "google/siglip-base-patch16-224"
DEFAULT_TEXT = "Qwen/Qwen2.5-0.5B-Instruct"


def _default_vision() -> PretrainedConfig:
    # SiglipVisionConfig's own defaults are those of siglip-base-patch16-224.
    return SiglipVisionConfig(_name_or_path=DEFAULT_VISION)


def _default_text() -> PretrainedConfig:
    return Qwen2Config(
        vocab_size=151936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        max_window_layers=21,
        rope_theta=1_000_000.0,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        bos_token_id=151643,
        eos_token_id=151645,
        _name_or_path=DEFAULT_TEXT,
    )


#: Tokenizer classes that read everything from tokenizer.json.
GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")

#: Towers whose full config is built in.
KNOWN = {DEFAULT_VISION: _default_vision, DEFAULT_TEXT: _default_text}


def no_language_model() -> PretrainedConfig:
    """The config that stands for the language model of a model without one; it is never built."""
    return Qwen2Config(
        vocab_size=1,
        hidden_size=2,
        intermediate_size=2,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=1,
        max_window_layers=1,
    )


def load_config(name: str, **kwargs: Any) -> PretrainedConfig:
    """Full config of a tower by folder or Hub id; code in that folder is never run.

    Raises:
        ModelError: There is no such folder or model, or its config cannot be used.
    """
    if name in KNOWN and not kwargs:
        return KNOWN[name]()
    problem = f"no config for the tower {shown(name)}"
    with boundary(ModelError, problem, "expected a folder or Hub id of a model that transformers can load"):
        try:
            folder = find_source(name, "config", **kwargs)
            read_object(folder / "config.json")
        except ModelError as error:
            raise ModelError(f"{problem}: {error}") from error
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config._name_or_path = str(name)
    return config


def _resolve_short(given: dict[str, Any], part: str) -> PretrainedConfig:
    """A config from `{"model_name": …, "image_size": …}`: the image size may change, sizes of weights must agree."""
    given = dict(given)
    config = sub_config(load_config(given.pop("model_name")), part)
    for key, value in given.items():
        found = getattr(config, key, None)
        if key == "image_size":
            setattr(config, key, value)
        elif found is None:
            raise ValueError(f"{part}: {config.model_type} has no field {key!r}; remove it or give a full config")
        elif found != value:
            raise ValueError(
                f"{part}: {key}={value!r} contradicts the tower {config.name_or_path!r}, whose {key} is {found!r}; "
                "leave it out or name another tower"
            )
    return config


def sub_config(config: PretrainedConfig, part: str) -> PretrainedConfig:
    """The `vision_config` or `text_config` inside a two-tower config (CLIP, SigLIP, LLaVA), or the config itself."""
    inner = getattr(config, part, None)
    return inner if isinstance(inner, PretrainedConfig) else config


def resolve(given: "PretrainedConfig | dict[str, Any] | str | None", part: str) -> PretrainedConfig:
    """Full config of one tower.

    Args:
        given: A config; a dict with `model_type` (a stored full config); the short form with `model_name`; a folder
            or Hub id; or None for the default tower.
        part: `vision_config` or `text_config`: which side is taken from a two-tower config.

    Returns:
        A config that needs nothing else to build the tower.

    Raises:
        ValueError: The tower cannot be found, is not named, or a given size contradicts it.
    """
    if given is None:
        return KNOWN[DEFAULT_VISION if part == "vision_config" else DEFAULT_TEXT]()
    if isinstance(given, str):
        return sub_config(load_config(given), part)
    if isinstance(given, PretrainedConfig):
        return sub_config(given, part)
    if not isinstance(given, dict):
        raise ValueError(f"{part} must be an object with a model_type, got {shown(given)}")
    if "model_name" in given:
        return _resolve_short(given, part)
    if "model_type" not in given:
        raise ValueError(
            f"{part} has neither model_type (a full config) nor model_name (a folder or Hub id): got "
            f"{shown(sorted(map(str, given)))}"
        )
    with boundary(ModelError, f"{part} cannot be used", "use the config that the tower was saved with"):
        settings = readable_settings({key: value for key, value in given.items() if key != "model_type"})
        return sub_config(AutoConfig.for_model(given["model_type"], **settings), part)


def keep_name(tower: PretrainedConfig) -> None:
    """Store the name of a tower in a field that is saved with its config; transformers never saves `_name_or_path`."""
    if name := getattr(tower, "tower_name", None) or tower.name_or_path:
        tower.tower_name = tower._name_or_path = name


def name_tower(config: PretrainedConfig, name: str, **where: Any) -> dict[str, str]:
    """Where a tower comes from; its config gets the same name, without a path of this machine.

    Args:
        config: The tower's config.
        name: Its folder or Hub id, as the user named it.
        where: Arguments of `find_source`.
    """
    source = tower_source(name, find_source(name, "config", **where))
    config._name_or_path = source["name"]
    return source


def load_tokenizer(name: str) -> Any:
    """A language model's tokenizer as its folder or repository has it.

    AutoTokenizer of 5.x takes the family's own class even where tokenizer_config.json names a generic one, and that
    class may add tokens (Qwen2's `<|endoftext|>`), so that the placeholder, added next, would get another id.

    Code in that folder is never run.

    Raises:
        ModelError: It is missing, damaged, or of a kind that the installed transformers does not support.
    """
    folder = find_source(name, "settings")
    if (folder / "tokenizer.json").exists():
        check_tokenizer(folder / "tokenizer.json")
    with boundary(
        ModelError, f"the tokenizer of {shown(name)} cannot be loaded", "copy or download its tokenizer files again"
    ):
        generic = get_tokenizer_config(folder).get("tokenizer_class") in GENERIC
        kind = PreTrainedTokenizerFast if generic else AutoTokenizer
        tokenizer = kind.from_pretrained(folder, trust_remote_code=False)
        tokenizer.name_or_path = str(name)
    return tokenizer


Model = TypeVar("Model", bound=PreTrainedModel)

#: Parts that have no pretrained weights, by attribute of the headless model.
CONNECTOR = ("resampler", "projector")


def image_token_id(text: str) -> int:
    """Id that the placeholder has, or will have, in the tokenizer of a language model (folder or Hub id)."""
    tokenizer = load_tokenizer(text)
    return tokenizer.get_vocab().get(IMAGE_TOKEN, len(tokenizer))


#: Parts of vision towers whose outputs are not used; a tower may be stored without them.
UNUSED = ("pooler.", "head.", "classifier.")


def _tower(
    auto: Any, name: str, dtype: torch.dtype, config: PretrainedConfig | None = None, fresh: tuple[str, ...] = ()
) -> Any:
    """A tower with all of its weights."""
    model, info = load_tower(auto, name, dtype, config)
    require_whole(name, info, fresh=fresh, extra=True)
    return model


def load_tower(
    auto: Any, name: str, dtype: torch.dtype, config: PretrainedConfig | None = None, **where: Any
) -> tuple[Any, dict[str, Any]]:
    """A tower, and what transformers reports about its weights, which is to be checked."""
    folder = find_source(name, **where)
    check_weights(folder)
    options: dict[str, Any] = {}
    if (folder / "custom_generate").exists():  # with settings of its own, transformers 4.57 does not run that code
        options["generation_config"] = _generation(folder)
    with boundary(ModelError, f"the tower {shown(name)} cannot be loaded", "copy or download it again, or use another"):
        model, info = auto.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported below
            **options,
        )
    model.config._name_or_path = name
    return model, info


def _generation(folder: Path) -> GenerationConfig:
    try:
        return GenerationConfig.from_pretrained(folder)
    except OSError:
        return GenerationConfig()


def join_towers(
    model_class: type[Model],
    vision: str,
    text: str,
    *,
    settings: dict[str, Any],
    dtype: torch.dtype | None = None,
) -> Model:
    """Build `model_class` from a pretrained vision tower and language model and a freshly initialised connector.

    Args:
        model_class: `PanoLLaVaForConditionalGeneration` or a subclass.
        vision: Vision tower, a folder or Hub id.
        text: Causal language model, a folder or Hub id.
        settings: Fields of `PanoLLaVaConfig` other than the towers.
        dtype: Type of all weights; default float32.

    Returns:
        The model in evaluation mode. Its connector is untrained: `config.connector_trained` is False.

    Raises:
        ModelError: A tower cannot be found or loaded; code in its folder is never run.
        ValueError: Its output head has a bias, which PanoLLaVA's head does not have.
    """
    dtype = torch.float32 if dtype is None else dtype
    load_config(vision), load_config(text)  # a missing tower is reported before any weights are read
    encoder = _tower(AutoModel, vision, dtype, sub_config(load_config(vision), "vision_config"), fresh=UNUSED)
    backbone = VisionBackbone(encoder.config, _encoder=encoder).to(encoder.dtype)
    language = _tower(AutoModelForCausalLM, text, dtype)
    head = language.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        raise ValueError(
            f"the output head of {text!r} has a bias, which PanoLLaVA's head does not; choose another model"
        )
    vision_source, text_source = name_tower(backbone.encoder.config, vision), name_tower(language.config, text)
    token_id = image_token_id(text)
    if token_id >= language.config.get_text_config().vocab_size:
        language.resize_token_embeddings(token_id + 1)
    config = model_class.config_class(
        vision_config=backbone.encoder.config,
        text_config=language.config,
        image_token_id=token_id,
        dtype=dtype,
        vision_source=vision_source,
        text_source=text_source,
        **settings,
    )
    with torch.device("meta"), built_plain():
        model = model_class(config)
    whole = model.base_model
    for name, kind in backbone.named_children():
        setattr(whole.vision_backbone, name, kind)
    whole.language_model = language.get_decoder()
    model.lm_head = language.get_output_embeddings()
    for name in CONNECTOR:
        part: nn.Module = getattr(whole, name)
        part.to_empty(device="cpu").to(dtype)
        part.apply(model._init_weights)
    model.tie_weights()
    model.generation_config = GenerationConfig.from_model_config(language.config)
    model.generation_config.update(**language.generation_config.to_diff_dict())
    model.generation_config.suppress_tokens = [token_id]  # the placeholder is read, never written
    if config.use_lora:
        start_adapters(model)
    return model.eval()
