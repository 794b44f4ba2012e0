"""Write the checkpoint that ships inside panollava-hf: small, random, and announced as untrained.

    python tools/default_checkpoint.py packages/panollava-hf/src/panollava_hf/default_checkpoint

A trained one takes its place when there is one; until then it lets the whole path run anywhere, offline.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, Dinov2Config, GenerationConfig, PreTrainedTokenizerBase, Qwen2Config

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision|>"]
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' ~ message['role'] ~ '\\n' ~ message['content'] ~ '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
DIRECTIONS = ["ahead", "right", "behind", "left", "above", "below", "ahead right", "behind left"]
COLOURS = ["red", "green", "blue", "yellow", "purple", "orange"]
SHAPES = ["sphere", "cube", "cone", "cylinder", "torus"]


def corpus() -> list[str]:
    """Sentences of the kind asked about panoramas, to learn the vocabulary from."""
    lines = ["What is in front of me?", "What do you see?", "How many objects are there?", "Yes.", "No."]
    for colour in COLOURS:
        for shape in SHAPES:
            for direction in DIRECTIONS:
                lines.append(f"Where is the {colour} {shape}? The {colour} {shape} is {direction}.")
                lines.append(f"Is there a {colour} {shape} {direction} of the camera? What is {direction}?")
    return lines


def write_tokenizer(folder: Path, vocab_size: int = 512) -> None:
    """A byte-level BPE tokenizer in files that transformers 4.57 and 5.x both read."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "left",
        "pad_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def unspeakable(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids that random weights should not say: single bytes, and special tokens other than the end."""
    ends = {tokenizer.eos_token_id}
    words = {i for i in range(len(tokenizer)) if len(tokenizer.decode([i]).strip()) > 1} - set(
        tokenizer.all_special_ids
    )
    return sorted(set(range(len(tokenizer))) - words - ends)


def build(output: Path, seed: int = 0) -> None:
    """Make the checkpoint; the folder appears whole or not at all."""
    from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration, PanoLLaVaProcessor

    torch.manual_seed(seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        folder = Path(scratch) / "checkpoint"
        folder.mkdir()
        write_tokenizer(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        vision = Dinov2Config(
            hidden_size=64, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2, image_size=112, patch_size=14
        )
        text = Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            tie_word_embeddings=False,
            initializer_range=0.3,  # large, so that random weights at least say varied words
            bos_token_id=None,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        config = PanoLLaVaConfig(
            vision, text, latent_dimension=64, image_token_id=tokenizer.convert_tokens_to_ids("<|vision|>")
        )
        model = PanoLLaVaForConditionalGeneration(config)
        model.generation_config = GenerationConfig(
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            suppress_tokens=unspeakable(tokenizer),
            max_new_tokens=64,
        )
        half = [0.5, 0.5, 0.5]
        processor = PanoLLaVaProcessor.from_config(config, tokenizer, half, half)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        write_tokenizer(folder)  # again: 5.x saves a tokenizer_config that 4.57 does not read
        shutil.rmtree(output, ignore_errors=True)
        os.replace(folder, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    build(parser.parse_args().output)
