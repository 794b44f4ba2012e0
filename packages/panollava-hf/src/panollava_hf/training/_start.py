"""The checkpoint folder that the first stage starts from."""

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, GenerationConfig, PretrainedConfig

from panollava_hf._errors import TrainingError
from panollava_hf._lora import merge_lora
from panollava_hf._pretrained import resolve
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.data._examples import Examples
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.processing_panollava import PanoLLaVaProcessor
from panollava_hf.training._recipe import ModelSettings, TokenizerSettings
from panollava_hf.training._tokenizer import SPECIAL, write_tokenizer


def write_start(settings: ModelSettings, examples: Examples, output: Path, seed: int) -> None:
    """Make the folder a run starts from: a copy of a checkpoint, joined towers, or a model from nothing.

    It appears whole or not at all.

    Raises:
        TrainingError: The checkpoint, a tower, or a field of the config is not as it should be.
    """
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        folder = Path(scratch) / "start"
        folder.mkdir()
        try:
            if settings.tokenizer is not None:
                _from_nothing(settings, settings.tokenizer, examples, folder)
            elif settings.path is not None:
                _from_checkpoint(settings.path, settings.config, folder)
            else:
                _from_towers(settings, folder)
        except (OSError, ValueError, TypeError) as error:
            raise TrainingError(f"the model to start from cannot be made: {error}") from error
        os.replace(folder, output)


def _from_checkpoint(path: str, changes: dict[str, Any], folder: Path) -> None:
    model = merge_lora(PanoLLaVaForConditionalGeneration.from_pretrained(path, **changes))
    processor = PanoLLaVaProcessor.from_pretrained(path)
    _write(model, processor, folder)


def _from_towers(settings: ModelSettings, folder: Path) -> None:
    assert settings.vision is not None  # by the recipe's own check
    assert settings.text is not None
    model = PanoLLaVaForConditionalGeneration.from_towers(settings.vision, settings.text, **settings.config)
    processor = PanoLLaVaProcessor.from_towers(settings.vision, settings.text, model.config)
    _write(model, processor, folder)


def _from_nothing(settings: ModelSettings, wanted: TokenizerSettings, examples: Examples, folder: Path) -> None:
    questions, answers = (examples.rows[examples.columns[role]][:] for role in ("question", "answer"))
    texts = itertools.chain((f"\n{question}" for question in questions), answers)
    write_tokenizer(folder, texts, wanted.vocab_size)
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    fields = dict(settings.config)
    text = _text_config(fields.pop("text_config", None), tokenizer)
    vision = fields.pop("vision_config", None)
    if not isinstance(vision, dict) or "model_type" not in vision:
        raise ValueError("model.config.vision_config needs a full config with model_type, as nothing else is known")
    token = tokenizer.convert_tokens_to_ids(SPECIAL[-1])
    config = PanoLLaVaConfig(resolve(vision, "vision_config"), text, image_token_id=token, **fields)
    model = PanoLLaVaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=[token],
        max_new_tokens=64,
    )
    processor = PanoLLaVaProcessor.from_config(config, tokenizer, list(settings.image_mean), list(settings.image_std))
    _write(model, processor, folder)
    for name, content in kept.items():  # 5.x saves a tokenizer_config that 4.57 does not read
        (folder / name).write_bytes(content)


def _text_config(given: Any, tokenizer: Any) -> PretrainedConfig:
    if not isinstance(given, dict) or "model_type" not in given:
        raise ValueError("model.config.text_config needs a full config with model_type, as nothing else is known")
    ids = {"bos_token_id": None, "pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    return resolve({**given, "vocab_size": len(tokenizer), **ids}, "text_config")


def _write(model: PanoLLaVaForConditionalGeneration, processor: PanoLLaVaProcessor, folder: Path) -> None:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def copy_processor(source: Path, target: Path) -> None:
    """Copy everything of a checkpoint folder but weights, config and adapters, byte for byte."""
    for path in sorted(source.iterdir()):
        weights = path.suffix in (".safetensors", ".bin") or path.name.endswith(".index.json")
        if path.is_file() and not weights and path.name not in ("config.json", "generation_config.json"):
            shutil.copyfile(path, target / path.name)
