"""Which model is used when none is named, and the checkpoint that ships inside this package.

Without `--model`, the environment's `PANOLLAVA_MODEL` decides, and else a public vision-language model of the Hub.
Nothing here imports torch.
"""

import os
import re
import tempfile
from importlib.resources import files
from pathlib import Path

from panollava_hf._errors import ModelError
from panollava_hf.outside._hub_source import HUB_ID, check_endpoint, find_source, status_of
from panollava_hf.outside._json_file import TOKENIZER_BYTES, read_object

#: Name of the checkpoint that ships inside this package.
EMBEDDED = "embedded"
#: Environment variable with the name of the default model.
VARIABLE = "PANOLLAVA_MODEL"
#: The default model.
DEFAULT_MODEL = "Qwen/Qwen3-VL-2B-Instruct"
#: Its size, and its licence: 2,127,532,032 parameters in bfloat16.
DEFAULT_SIZE, DEFAULT_LICENCE = "2.1 billion parameters, 4.3 GB", "Apache 2.0"
#: What to do where the default model cannot be had.
WAYS_OUT = (
    "connect to the network, name an OpenAI-compatible server with --base-url, or use --model embedded, which is for "
    "rendered scenes only"
)


def default_checkpoint() -> Path:
    """Folder of the checkpoint that ships inside this package."""
    return Path(str(files("panollava_hf") / "default_checkpoint"))


def named_model(name: str | None = None) -> str | None:
    """The model that is named: `name`, else that of the environment, else None.

    Raises:
        ModelError: `name` is empty.
    """
    if name is not None and not name.strip():
        raise ModelError("the name of the model is empty; name one, or leave out --model for the default")
    return name or os.environ.get(VARIABLE, "").strip() or None


def chosen_model(name: str | None = None) -> str:
    """The model to use: the one named, else that of the environment, else the default."""
    return named_model(name) or DEFAULT_MODEL


def default_notice() -> str:
    """One line about the default model: which, under which licence, how large a download, how to name another.

    Raises:
        ModelError: It is neither in the local cache nor reachable. The Hub is asked for at most a few seconds.
    """
    another = "name another with --model or PANOLLAVA_MODEL"
    if needs_download(DEFAULT_MODEL):
        _require_reachable()
        return f"downloading the default model {DEFAULT_MODEL} ({DEFAULT_SIZE}, {DEFAULT_LICENCE}); {another}."
    return f"using the default model {DEFAULT_MODEL} ({DEFAULT_LICENCE}); {another}."


def needs_download(name: str) -> bool:
    """Whether weights of a Hub model are not in the local cache yet. The network is not used.

    Raises:
        ModelError: The address of the Hub in the environment is not a URL.
    """
    if Path(name).is_dir() or not HUB_ID.fullmatch(name) or name == EMBEDDED:
        return False
    check_endpoint()
    from huggingface_hub import try_to_load_from_cache

    def cached(file: str) -> Path | None:
        found = try_to_load_from_cache(name, file)
        return Path(found) if isinstance(found, str) else None

    if cached("config.json") is None:
        return True
    for stem in ("model.safetensors", "pytorch_model.bin"):
        if cached(stem) is not None:
            return False
        index = cached(f"{stem}.index.json")
        if index is not None:
            parts = read_object(index, TOKENIZER_BYTES).get("weight_map")
            names = set(parts.values()) if isinstance(parts, dict) else set()
            return not names or any(cached(str(part)) is None for part in names)
    return True


def _require_reachable() -> None:
    """Check that the Hub has the default model.

    Raises:
        ModelError: It cannot be reached, or refuses; the message names the ways out.
    """
    with tempfile.TemporaryDirectory() as empty:  # without the cache, in which a part of the model may be
        try:
            find_source(DEFAULT_MODEL, "config", cache_dir=empty)
        except ModelError as error:
            found, status = re.search(r"\(([^()]+)\)", str(error)), status_of(error.__cause__)
            reason = f"HTTP status {status}" if status else found[1] if found else str(error).partition(": ")[2]
            raise ModelError(
                f"the default model {DEFAULT_MODEL} is neither in the local cache nor reachable ({reason}); {WAYS_OUT}"
            ) from error
