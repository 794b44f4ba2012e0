"""The processor and generation settings of a converted folder, and its upload."""

from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PretrainedConfig

from panollava_hf.hub import plan_push, push
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
from panollava_hf.processing_panollava import PanoLLaVaProcessor


def write_processor(folder: Path, config: Any, statistics: tuple[list[float], list[float]], tokenizer: Any) -> None:
    """Processor with the vision tower's own mean and standard deviation; without a tokenizer, its image half."""
    mean, std = statistics
    if tokenizer is None:
        PanoLLaVaImageProcessor.from_config(config, mean, std).save_pretrained(str(folder))
    else:
        PanoLLaVaProcessor.from_config(config, tokenizer, mean, std).save_pretrained(str(folder))


def write_generation_config(folder: Path, config: PretrainedConfig, text: str, tokenizer: Any) -> None:
    """The language model's own generation settings, and never the placeholder."""
    try:
        generation = GenerationConfig.from_pretrained(text)
    except OSError:  # many towers have none, and transformers then derives it from the config, as here
        generation = GenerationConfig.from_model_config(config.text_config)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(generation, name) is None:
            setattr(generation, name, getattr(tokenizer, name))
    generation.suppress_tokens = [config.image_token_id]  # it is read, never written
    generation.save_pretrained(str(folder))


def upload(folder: Path, repository: str) -> str:
    """Push a converted folder in one commit, to a private repository if it is new; returns the commit's id.

    Raises:
        PushError: The repository's name is not valid, or the Hub refused or could not be reached.
    """
    return push(plan_push(folder, repository, message="Convert from a Lightning checkpoint", exported=False))
