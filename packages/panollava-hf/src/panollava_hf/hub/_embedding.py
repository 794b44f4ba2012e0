"""What an embedding export has in addition to its weights and code: the files of sentence-transformers.

They name its modules as sentence-transformers 6 does. Its Transformer module loads `auto_map.AutoModel`, reads images
with `auto_map.AutoImageProcessor`, and takes `pooler_output`; its Normalize module gives the vectors unit length.
"""

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

#: Files of sentence-transformers, by name.
SENTENCE_TRANSFORMERS: dict[str, Any] = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Normalize",
            "type": "sentence_transformers.base.modules.normalize.Normalize",
        },
    ],
    "sentence_bert_config.json": {
        "transformer_task": "feature-extraction",
        "modality_config": {"image": {"method": "forward", "method_output_name": "pooler_output"}},
        "module_output_name": "sentence_embedding",
    },
    "config_sentence_transformers.json": {
        "model_type": "SentenceTransformer",
        "prompts": {},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    },
}

#: What a model card says about the licence, on a line of its own in the metadata at its beginning.
LICENCE = re.compile(r"^license:[ \t]*['\"]?([a-z0-9][a-z0-9.+-]{0,39})['\"]?[ \t]*$", re.MULTILINE)
#: Bytes of a model card that are read for its metadata.
CARD_BYTES = 2**16


#: How the texts of licences begin that towers often have.
LICENCE_TEXTS = {
    "apache-2.0": r"\s*Apache License\s+Version 2\.0",
    "mit": r"\s*(?:The )?MIT License\b",
}


def write_sentence_transformers(folder: Path) -> None:
    """Write the JSON files by which sentence-transformers loads a folder.

    Args:
        folder: The exported folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_sentence_transformers(folder)
        >>> sorted(file.name for file in folder.iterdir())
        ['config_sentence_transformers.json', 'modules.json', 'sentence_bert_config.json']
    """
    for name, content in SENTENCE_TRANSFORMERS.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def is_embedding_export(folder: Path) -> bool:
    """Whether a folder has the files of sentence-transformers."""
    return all((folder / name).is_file() for name in SENTENCE_TRANSFORMERS)


def stated_licence(source: str | Path) -> str | None:
    r"""The licence that the model card in a local folder states; None if there is no card, or it states none.

    Args:
        source: The folder of a model; a Hub id has no local card.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A tower")
        >>> stated_licence(folder)
        'apache-2.0'
    """
    card = Path(source) / "README.md"
    if not Path(source).is_dir() or not card.is_file():
        return None
    with card.open("rb") as stream:
        text = stream.read(CARD_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return None
    found = LICENCE.search(text[4:].partition("\n---")[0])
    return found[1] if found else None


def tower_licence(name: str) -> str | None:
    """The licence of a tower, from files on this machine; None if they do not state one. Nothing is downloaded.

    Args:
        name: Its folder, whose card or file `LICENSE` is read, or its Hub id, whose card may be in the local cache.
    """
    if not name:
        return None
    folder = Path(name)
    if not folder.is_dir():
        try:
            card = try_to_load_from_cache(name, "README.md")
        except HFValidationError:  # a folder of another machine
            return None
        return stated_licence(Path(card).parent) if isinstance(card, str) else None
    if (stated := stated_licence(folder)) is not None:
        return stated
    for file in sorted(folder.glob("LICENSE*")):
        if file.is_file():
            with file.open("rb") as stream:
                text = stream.read(CARD_BYTES).decode("utf-8", "replace")
            return next((kind for kind, start in LICENCE_TEXTS.items() if re.match(start, text)), None)
    return None
