"""What an embedding export has in addition to its weights and code: the files of sentence-transformers.

They name its modules as sentence-transformers 6 does. Its Transformer module loads `auto_map.AutoModel`, reads images
with `auto_map.AutoImageProcessor`, and takes `pooler_output`; its Normalize module gives the vectors unit length.
"""

import json
from pathlib import Path
from typing import Any

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
