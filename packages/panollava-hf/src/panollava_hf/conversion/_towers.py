"""Find the two towers a checkpoint was trained with, and complete their configs from the tensors."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from panollava_hf._chat_template import IMAGE_TOKEN
from panollava_hf._errors import CheckpointError
from panollava_hf._pretrained import load_config, sub_config
from panollava_hf._pretrained import load_tokenizer as load_plain


def find_tower(
    given: str | None, named: Iterable[Any], folders: Iterable[Path], part: str
) -> tuple[str, PretrainedConfig]:
    """A tower's folder or Hub id, and its config.

    Args:
        given: What the user says; nothing else is tried then.
        named: Names in the model config and the hyper-parameters.
        folders: Folders that relative names may start from.
        part: `vision_config` or `text_config`.

    Raises:
        CheckpointError: None of them can be found.
    """
    option = "--vision-tower" if part == "vision_config" else "--text-tower"
    names = [given] if given is not None else [str(name) for name in dict.fromkeys(named) if name]
    if given is None:
        starts = [folder / name for name in names for folder in folders]
        names = [str(path) for path in starts if (path / "config.json").is_file()] + names
    tried = []
    for name in names:
        try:
            return name, sub_config(load_config(name), part)
        except (ValueError, OSError) as error:
            tried.append(str(error).splitlines()[0])
    told = "; ".join(tried) or "the checkpoint and the model config name none"
    raise CheckpointError(
        f"the {part.removesuffix('_config')} tower cannot be found: {told}. Give {option} FOLDER or ID"
    )


def load_tokenizer(text: str) -> Any:
    """The tower's tokenizer with the tokens that the original added, in its order.

    Raises:
        CheckpointError: The tower has no tokenizer.
    """
    try:
        tokenizer = load_plain(text)
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


def image_token_id(tokenizer: Any, rows: int) -> int:
    """Id of the placeholder, which must have its row in the embedding.

    Raises:
        CheckpointError: It has none: this is not the tokenizer the checkpoint was trained with.
    """
    found = int(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
    if found >= rows:
        raise CheckpointError(
            f"the vocabulary is contradictory: the checkpoint's embedding has {rows} rows, but with {IMAGE_TOKEN} the "
            f"text tower's tokenizer has {len(tokenizer)} tokens. Give the --text-tower it was trained with"
        )
    return found
