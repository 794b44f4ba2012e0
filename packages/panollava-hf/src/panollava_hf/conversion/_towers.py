"""The two towers a checkpoint was trained with: their configs, tokenizer, pixel statistics and generation settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig

from panollava_hf._chat_template import IMAGE_TOKEN
from panollava_hf._errors import CheckpointError
from panollava_hf._pretrained import load_config, load_tokenizer, sub_config, tower_normalisation
from panollava_hf.conversion._parts import ModelType
from panollava_hf.conversion._settings import RunSettings

#: Families whose embeddings transformers 4 scaled inside the model, including those of vision tokens.
SCALED_INSIDE = ("gemma", "gemma2")


@dataclass(frozen=True)
class LanguageNames:
    """Names inside a family's `…ForCausalLM` class.

    Attributes:
        base: Prefix of the model without its head.
        embedding: The input embedding's weight.
        head: The output head.
        scale: What transformers 4 multiplied all embeddings by inside the model, and 5.x multiplies those of words by
            before it; the projector must then multiply the vision tokens.
    """

    base: str
    embedding: str
    head: str
    scale: float = 1.0


@dataclass(frozen=True)
class Towers:
    """Everything that a conversion takes from the towers. Their weights come from the checkpoint.

    Attributes:
        vision: Config of the vision tower.
        normalisation: Mean and standard deviation of its pixels.
        text: Config of the language model; None if it was not found and is not needed.
        text_source: Folder or Hub id of the language model.
        names: Names inside the language model; None if the new model has none.
        tokenizer: Its tokenizer with the original's added tokens; None if the new model has no language model.
        notes: What was chosen.
    """

    vision: PretrainedConfig
    normalisation: tuple[list[float], list[float]]
    text: PretrainedConfig | None
    text_source: str = ""
    names: LanguageNames | None = None
    tokenizer: Any = None
    notes: tuple[str, ...] = ()


def find_towers(
    settings: RunSettings, vision: str | Path | None, text: str | Path | None, model_type: ModelType
) -> Towers:
    """Find both towers.

    Args:
        settings: The run's settings, which name the towers.
        vision: Folder or Hub id of the vision tower; default: as the run named it.
        text: Folder or Hub id of the language model; default: as the run named it.
        model_type: What the checkpoint is converted to.

    Raises:
        CheckpointError: A tower, or something that is needed of it, cannot be found.
        ValueError: The vision tower has no pixel statistics.
    """
    vision_source, vision_config = _find(settings, vision, "vision_name", "vision_config")
    normalisation = tower_normalisation(vision_source)
    try:
        text_source, text_config = _find(settings, text, "language_model_name", "text_config")
    except CheckpointError:
        if model_type == "conditional-generation" or text is not None:
            raise
        note = "the language model was not found and is not needed: text_config has default values"
        return Towers(vision_config, normalisation, None, notes=(note,))
    if model_type != "conditional-generation":
        return Towers(vision_config, normalisation, text_config)
    names, tokenizer = _language_names(text_config), _tokenizer(text_source)
    return Towers(vision_config, normalisation, text_config, text_source, names, tokenizer)


def _find(settings: RunSettings, given: str | Path | None, name: str, part: str) -> tuple[str, PretrainedConfig]:
    """A tower's folder or Hub id, and its config under the name that the run gave it."""
    recorded = list(dict.fromkeys(settings.towers[name]))
    local = [str(folder / name) for name in recorded for folder in settings.folders]
    sources = [path for path in local if (Path(path) / "config.json").is_file()] + recorded
    errors = []
    for source in sources if given is None else [str(given)]:
        try:
            config = sub_config(load_config(source), part)
        except (ValueError, OSError) as error:
            errors.append(str(error).splitlines()[0])
            continue
        known_as = Path((recorded or [source])[-1])
        # A config file should not contain folders of the machine that wrote it.
        config._name_or_path = known_as.name if known_as.is_absolute() or known_as.is_dir() else known_as.as_posix()
        config.dtype = None  # the tower's own type is not the checkpoint's
        return source, config
    option = "--vision-tower" if part == "vision_config" else "--text-tower"
    raise CheckpointError(
        f"the {part.removesuffix('_config')} tower cannot be found: "
        f"{'; '.join(errors) or 'neither the checkpoint nor the model config names it'}. Give {option} FOLDER or ID"
    )


def _language_names(config: PretrainedConfig) -> LanguageNames:
    """Look the names up in a model without weights."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    names: dict[int, str] = {id(module): name for name, module in model.named_modules()}
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if not isinstance(head, nn.Linear):
        raise CheckpointError(f"{type(model).__name__} has no linear output head: this family is not supported")
    if head.bias is not None:
        raise CheckpointError(f"the output head of {type(model).__name__} has a bias, which PanoLLaVA's head has not")
    moved = config.model_type in SCALED_INSIDE and hasattr(embedding, "embed_scale")
    scale = float(config.hidden_size**0.5) if moved else 1.0
    return LanguageNames(f"{model.base_model_prefix}.", f"{names[id(embedding)]}.weight", names[id(head)], scale)


def _tokenizer(text: str) -> Any:
    """The language model's tokenizer with the tokens that the original added, in its order."""
    try:
        tokenizer = load_tokenizer(text)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the text tower {text!r} has no tokenizer: {str(error).splitlines()[0]}") from error
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is not None:
            tokenizer.pad_token = tokenizer.eos_token
        else:
            tokenizer.add_special_tokens({"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"})
    known = tokenizer.get_vocab()
    tokenizer.add_tokens([t for t in (IMAGE_TOKEN, "<|endoftext|>") if t not in known], special_tokens=True)
    return tokenizer
