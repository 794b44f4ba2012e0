"""Twelve rows about nine panoramas, and two tiny towers saved as anybody's: material of `test_own_table.py`."""

import csv
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

#: Rows of the table: nine panoramas, a question that all share, and a second one about three of them.
NAMES = ["rotunda", "market", "garden", "arena", "hall", "square", "temple", "workshop", "lake"]
ROWS = [(name, "What is this place?", f"It is a {name}.") for name in NAMES] + [
    ("market", "Is this indoors?", "Yes."),
    ("garden", "Is this indoors?", "No."),
    ("lake", "Is this indoors?", "No."),
]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_table(folder: Path) -> Path:
    """`my.csv` and its images: a colour of its own for each panorama, with a ramp from pole to pole."""
    ramp = np.linspace(0, 40, 64)[:, None, None]
    for number, name in enumerate(NAMES):
        colour = np.array([number % 3, number // 3, (number * 5) % 4]) * [100, 100, 60]
        pixels = np.broadcast_to(colour + ramp, (64, 128, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    write_rows(folder / "my.csv", [(f"{name}.png", question, answer) for name, question, answer in ROWS])
    return folder / "my.csv"


def write_rows(path, rows):
    """Rows of image, question and answer as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["url", "question", "answer"])
        table.writerows(rows)


def write_towers(folder: Path) -> tuple[Path, Path]:
    """A vision tower and a language model with random weights, in folders as transformers saves them."""
    torch.manual_seed(0)
    vision, text = folder / "vision", folder / "text"
    config = SiglipVisionConfig(
        hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8
    )
    SiglipVisionModel(config).save_pretrained(vision)
    pixels = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 32, "width": 32}}
    pixels |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (vision / "preprocessor_config.json").write_text(json.dumps(pixels))
    text.mkdir()
    size = write_tokenizer(text)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.1,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=2, pad_token_id=0)
    model.save_pretrained(text)
    return vision, text


def write_tokenizer(folder: Path) -> int:
    """A byte-level tokenizer that has no placeholder for images; returns the number of its tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True) for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text for row in ROWS for text in row], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer.get_vocab_size()


def write_encoder(folder: Path) -> Path:
    """A language model that is not causal."""
    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertForMaskedLM(config).save_pretrained(folder / "bert")
    return folder / "bert"
