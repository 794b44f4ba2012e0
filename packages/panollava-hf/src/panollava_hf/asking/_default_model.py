"""Which model is used when none is named, and the checkpoint that ships inside this package.

Without `--model`, the environment's `PANOLLAVA_MODEL` decides, and else a public vision-language model of the Hub.
"""

import os
from importlib.resources import files
from pathlib import Path

#: Name of the checkpoint that ships inside this package.
EMBEDDED = "embedded"
#: Environment variable with the name of the default model.
VARIABLE = "PANOLLAVA_MODEL"
#: The default model.
DEFAULT_MODEL = "Qwen/Qwen3-VL-2B-Instruct"
#: Its size and licence, for the line that is printed before it is fetched.
DEFAULT_FACTS = "2 billion parameters, 4.3 GB, Apache 2.0"


def default_checkpoint() -> Path:
    """Folder of the checkpoint that ships inside this package."""
    return Path(str(files("panollava_hf") / "default_checkpoint"))


def chosen_model(name: str | None = None) -> str:
    """The model to use: the one named, else that of the environment, else the default."""
    return name or os.environ.get(VARIABLE, "").strip() or DEFAULT_MODEL
