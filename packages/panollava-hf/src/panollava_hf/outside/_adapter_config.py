"""The settings of a stored LoRA adapter, checked before peft acts on them.

peft imports the module that a megatron setting names, and matches every name of a layer against the regular expressions
of a file. Only what an adapter of a checkpoint folder needs is accepted.
"""

import re
from pathlib import Path
from typing import Any

from panollava_hf._errors import ModelError
from panollava_hf._shown import shown
from panollava_hf.outside._bounds import require_count, require_number
from panollava_hf.outside._json_file import read_object

#: Highest rank that is always accepted; a higher one must be that of the stored weights.
USUAL_RANK, MAX_RANK = 256, 4096
#: Settings of peft that change how a model is built, or that run other code.
REFUSED = ("megatron_config", "layer_replication", "corda_config", "eva_config", "auto_mapping", "loftq_config")
#: Settings that hold names of layers, as a list or as one pattern.
NAMES = ("target_modules", "exclude_modules", "modules_to_save", "layers_pattern", "target_parameters")
#: Longest pattern, and how many `*`, `+`, `?` or `{…}` it may contain.
MAX_PATTERN, MAX_REPEATS = 1_000_000, 3


def read_adapter_config(path: Path) -> dict[str, Any]:
    """Read and check an adapter_config.json.

    Raises:
        ModelError: It is damaged, is not a LoRA adapter's, or has a setting that is not accepted; the message names it.
    """
    settings = read_object(path)
    try:
        _check(settings)
    except ValueError as error:
        raise ModelError(f"{path}: {error}; use the adapter_config.json that was saved with the adapter") from error
    return settings


def require_rank(path: Path, settings: dict[str, Any], stored: int) -> None:
    """Check the ranks of the settings against the highest rank of the stored weights.

    Raises:
        ModelError: A rank is higher, and not a usual one.
    """
    rank = max([settings.get("r", 8), *(settings.get("rank_pattern") or {}).values()])
    if rank > max(USUAL_RANK, stored):
        raise ModelError(f"{path}: its rank is {rank}, but that of its weights is {stored}; copy the adapter again")


def _check(settings: dict[str, Any]) -> None:
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise ValueError(f"peft_type must be 'LORA', got {shown(kind)}")
    for name in REFUSED:
        if settings.get(name):
            raise ValueError(f"{name} is not supported, got {shown(settings[name])}")
    require_count("r", settings.get("r", 8), 1, MAX_RANK)
    require_number("lora_alpha", settings.get("lora_alpha", 8), 0, 1e6)
    require_number("lora_dropout", settings.get("lora_dropout", 0.0), 0, 1)
    for name in NAMES:
        _check_names(name, settings.get(name))
    for name in ("rank_pattern", "alpha_pattern"):
        patterns = settings.get(name) or {}
        if not isinstance(patterns, dict) or len(patterns) > 100_000:
            raise ValueError(f"{name} must be an object of numbers by name, got {shown(patterns)}")
        for pattern, value in patterns.items():
            _check_pattern(name, pattern)
            if name == "rank_pattern":
                require_count(name, value, 1, MAX_RANK)
            else:
                require_number(name, value, 0, 1e6)


def _check_names(name: str, value: Any) -> None:
    if value is None or isinstance(value, str):
        _check_pattern(name, value or "")
    elif not isinstance(value, list) or not all(
        isinstance(entry, str) and re.fullmatch(r"[\w.]+", entry) for entry in value
    ):
        raise ValueError(f"{name} must be a list of names of layers, got {shown(value)}")


def _check_pattern(name: str, pattern: str) -> None:
    """Accept regular expressions that cannot take long: few repetitions, and none of a group."""
    plain = re.sub(r"\\.", "x", pattern)
    plain = re.sub(r"\[[^\]]*\]", "x", plain)
    repeats = len(re.findall(r"[*+?{]", plain))
    if len(pattern) > MAX_PATTERN or repeats > MAX_REPEATS or re.search(r"\)[*+?{]|\(\?|[*+?}][*+?{]", plain):
        raise ValueError(f"{name} is a pattern that may take very long to match, got {shown(pattern)}")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{name} is not a valid pattern ({error}), got {shown(pattern)}") from error
