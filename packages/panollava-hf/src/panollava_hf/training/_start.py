"""The checkpoint folder that the first stage starts from."""

import itertools
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, GenerationConfig, PretrainedConfig

from panollava_hf._errors import TrainingError, boundary
from panollava_hf._files import staged_folder
from panollava_hf._loading import load_model, load_processor
from panollava_hf._lora import merge_lora
from panollava_hf._pretrained import image_token_id, load_config, resolve, sub_config
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.data._examples import Examples
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.outside._hub_source import find_source
from panollava_hf.processing_panollava import PanoLLaVaProcessor
from panollava_hf.training._recipe import ModelSettings, TokenizerSettings
from panollava_hf.training._validation import RECORDS

#: Weight names of the connector.
CONNECTOR_NAMES = ("panollava.resampler.", "panollava.projector.", "panollava.vision_backbone.norm.")
#: Fields of a config that say what the training of a checkpoint had.
KNOWLEDGE = ("known_words", "known_topics", "known_images")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision|>")
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' ~ message['role'] ~ '\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] ~ '<|im_end|>' -}}{%- endgeneration -%}{{- '\\n' -}}"
    "{%- else -%}"
    "{{- message['content'] ~ '<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
#: Marks of roles that are one token each, and the template with them: four tokens less for each question.
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
SHORT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|assistant|>' -}}{%- generation -%}{{- message['content'] ~ '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- ('<|system|>' if message['role'] == 'system' else '<|user|>') ~ message['content'] -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def write_tokenizer(
    folder: Path, texts: Iterable[str], vocab_size: int = 512, lower_case: bool = False, short_roles: bool = False
) -> None:
    """Train a byte-level BPE tokenizer and write it in files that transformers 4.57 and 5.x both read.

    It can represent every text, because all single bytes are in the vocabulary. Frequent words become one token.

    Args:
        folder: Where `tokenizer.json` and `tokenizer_config.json` are written.
        texts: The training texts, e.g. all questions and answers.
        vocab_size: Largest number of tokens; short texts may give fewer.
        lower_case: Read all texts in lower case and in one form of Unicode.
        short_roles: Write a chat with one token for each role instead of in ChatML.
    """
    tokenizer = Tokenizer(models.BPE())
    special = (*SPECIAL, *ROLES) if short_roles else SPECIAL
    if lower_case:
        steps = [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("’", "'")]
        tokenizer.normalizer = normalizers.Sequence(steps)
    # A word is the same token everywhere, also at the beginning of an answer.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(itertools.chain(("user\n", "assistant\n", "\n") * 1000, texts), trainer)
    with boundary(TrainingError, f"{folder} cannot be written", "make room, and run the same command again"):
        tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "left",
        "pad_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": True,
        "model_max_length": 2048,
        "chat_template": SHORT_TEMPLATE if short_roles else CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def write_start(settings: ModelSettings, examples: Examples, output: Path, seed: int) -> None:
    """Write the folder that a run starts from: a copy of a checkpoint, joined towers, or a model from scratch.

    Args:
        settings: Where training starts. What a checkpoint says about its own training (`KNOWLEDGE`) is not copied.
        examples: The table; a tokenizer is trained on its texts if the model starts from scratch.
        output: The folder; it appears when it is complete.
        seed: Seed of the new weights.

    Raises:
        TrainingError: The checkpoint or a tower cannot be loaded, or a field of the config is not valid.
    """
    torch.manual_seed(seed)
    try:
        with staged_folder(output) as folder:
            if settings.tokenizer is not None:
                model, processor = _from_scratch(settings, settings.tokenizer, examples, folder)
            elif settings.vision is not None and settings.text is not None:
                model = PanoLLaVaForConditionalGeneration.from_towers(settings.vision, settings.text, **settings.config)
                processor = PanoLLaVaProcessor.from_towers(settings.vision, settings.text, model.config)
            else:
                # Other settings may need a connector of another kind, which starts fresh.
                fresh = CONNECTOR_NAMES if settings.config else ()
                model = load_model(
                    PanoLLaVaForConditionalGeneration, str(settings.path), changes=settings.config, fresh=fresh
                )
                model = merge_lora(model)
                for name in KNOWLEDGE:  # of the earlier training only
                    setattr(model.config, name, settings.config.get(name))
                processor = load_processor(str(settings.path))
            kept = {file: file.read_bytes() for file in folder.iterdir()}
            with boundary(TrainingError, f"{output} cannot be written", "make room, and run the same command again"):
                model.save_pretrained(folder)
                processor.save_pretrained(folder)
            for file, content in kept.items():  # transformers 5.x saves a tokenizer_config that 4.57 cannot read
                file.write_bytes(content)
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"the model to start from cannot be made: {error}") from error


def _from_scratch(
    settings: ModelSettings, wanted: TokenizerSettings, examples: Examples, folder: Path
) -> tuple[PanoLLaVaForConditionalGeneration, PanoLLaVaProcessor]:
    """A model with new weights, and a processor with a tokenizer trained on the table and written to `folder`."""
    questions, answers = (examples.cells(examples.columns[role]) for role in ("question", "answer"))
    texts = itertools.chain((f"\n{question}" for question in questions), answers)
    write_tokenizer(folder, texts, wanted.vocab_size, wanted.lower_case, wanted.short_roles)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    placeholder = tokenizer.convert_tokens_to_ids(SPECIAL[-1])
    vocabulary = {
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    fields = dict(settings.config)
    text = _full_config(fields.pop("text_config", None), "text_config", vocabulary)
    vision = _full_config(fields.pop("vision_config", None), "vision_config", {})
    config = PanoLLaVaConfig(vision, text, image_token_id=placeholder, **fields)
    model = PanoLLaVaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=[placeholder],
        max_new_tokens=64,
    )
    return model, PanoLLaVaProcessor.from_config(config, tokenizer, settings.image_mean, settings.image_std)


def start_config(settings: ModelSettings) -> PanoLLaVaConfig:
    """The config of the model that a run starts from, without its weights; a tokenizer to be trained has its full size.

    Args:
        settings: Where training starts.

    Raises:
        ModelError: A tower or the checkpoint does not exist.
        ValueError: A field of the config is not valid, or contradicts another.
    """
    if settings.path is not None:
        config: PanoLLaVaConfig = PanoLLaVaConfig.from_pretrained(
            find_source(settings.path, "config"), **settings.config
        )
        return config
    if settings.tokenizer is None:
        vision, text = load_config(str(settings.vision)), load_config(str(settings.text))
        return PanoLLaVaConfig(
            vision_config=sub_config(vision, "vision_config"),
            text_config=text,
            image_token_id=image_token_id(str(settings.text)),
            **settings.config,
        )
    fields = dict(settings.config)
    sizes = {"vocab_size": settings.tokenizer.vocab_size, "bos_token_id": None, "pad_token_id": 0, "eos_token_id": 2}
    text = _full_config(fields.pop("text_config", None), "text_config", sizes)
    vision = _full_config(fields.pop("vision_config", None), "vision_config", {})
    return PanoLLaVaConfig(vision, text, image_token_id=len(SPECIAL) - 1, **fields)


def _full_config(given: Any, name: str, changes: dict[str, Any]) -> PretrainedConfig:
    if not isinstance(given, dict) or "model_type" not in given:
        raise ValueError(f"model.config.{name} of a model from scratch must be a full config with a model_type")
    return resolve({**given, **changes}, name)


def copy_processor(source: Path, target: Path) -> None:
    """Copy every file of a checkpoint folder except weights, config, adapters, and what its own training recorded."""
    for path in sorted(source.iterdir()):
        weights = path.suffix in (".safetensors", ".bin") or path.name.endswith(".index.json")
        if path.is_file() and not weights and path.name not in ("config.json", "generation_config.json", *RECORDS):
            shutil.copyfile(path, target / path.name)
