"""Errors in recipes in one line: the wrong key or value, and the nearest valid one. Needs no torch."""

import ast
import difflib
import typing
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from panollava_hf._shown import shown
from panollava_hf.training._recipe import STAGES, DataSettings, ModelSettings, Recipe, StageSettings

#: Longest name or key that messages and suggestions look at.
MAX_NAME = 100
#: What other trainers call our keys.
_OTHER_NAMES = {
    "dataloader_num_workers": "workers",
    "gradient_accumulation_steps": "accumulation",
    "logging_steps": "log_every",
    "lr": "learning_rate",
    "lr_scheduler_type": "schedule",
    "max_steps": "steps",
    "max_seq_length": "max_length",
    "num_train_epochs": "epochs",
    "output_dir": "output",
    "per_device_train_batch_size": "batch_size",
    "save_steps": "save_every",
    "warmup_ratio": "warmup",
}
#: Where keys can be, for those that were written at another place.
_PLACES: Mapping[str, type[BaseModel]] = {
    "": Recipe,
    "model": ModelSettings,
    "data": DataSettings,
    "stages.<stage>": StageSettings,
}
#: The module whose class has the fields of `model.config`.
_CONFIG_FILE = Path(__file__).parents[1] / "configuration_panollava.py"


def explained(error: ValidationError, model: type[BaseModel], *inside: str) -> tuple[str, str]:
    """One error in one line: an unknown key with the nearest valid name, or else the first error.

    Args:
        error: What pydantic raised.
        model: The model that was validated.
        inside: Keys that lead to the values of that model.

    Returns:
        The key that is wrong, with dots, and the message, which names it.
    """
    errors = error.errors(include_url=False)
    # A misspelt key is also missing under its right name: report the spelling.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    place = [short(str(part)) for part in first["loc"]]
    where = ".".join([*inside, *(part for part in place if part != "[key]")])
    if first["type"] == "extra_forbidden":
        return where, f"unknown key {where!r}; {suggestion(place[-1], _keys_at(model, place[:-1]), where)}"
    if first["type"] == "literal_error" and place[-1] == "[key]":
        return where, f"unknown stage {place[-2]!r}; {suggestion(place[-2], STAGES, where)}"
    if first["type"] == "literal_error":
        return where, f"{where}: {first['ctx']['expected']} expected, got {shown(first['input'])}{_value_hint(first)}"
    if first["type"] == "missing":
        return where, f"the key {where!r} is missing; add it"
    message = " ".join(first["msg"][:500].removeprefix("Value error, ").split())
    return where, f"{where}: {message}" if where else message


def unknown_field(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first key of `model.config` that is not a field of `PanoLLaVaConfig`, and the message; None if all are."""
    for key in config:
        if key not in config_fields():
            where = f"model.config.{short(str(key))}"
            return where, f"unknown key {where!r}; {suggestion(short(str(key)), config_fields(), where)}"
    return None


@cache
def config_fields() -> tuple[str, ...]:
    """The fields of `PanoLLaVaConfig`, from its source: importing it takes seconds.

    Example:
        >>> config_fields()[:3]
        ('vision_config', 'text_config', 'resampler_type')
    """
    body = ast.parse(_CONFIG_FILE.read_text(encoding="utf-8")).body
    classes = [node for node in body if isinstance(node, ast.ClassDef) and node.name == "PanoLLaVaConfig"]
    methods = [node for one in classes for node in one.body if isinstance(node, ast.FunctionDef)]
    (constructor,) = (node for node in methods if node.name == "__init__")
    return tuple(argument.arg for argument in constructor.args.args[1:])


def suggestion(name: str, known: Collection[str], where: str = "") -> str:
    """The nearest valid name as a question, the place where such a key belongs, or all valid names.

    Args:
        name: What was written.
        known: What is valid there.
        where: The whole key, if it is one.

    Example:
        >>> suggestion("lerning_rate", ["steps", "learning_rate"])
        "did you mean 'learning_rate'?"
        >>> suggestion("lr", ["steps", "learning_rate"]), suggestion("source", ["output", "data"], "source")
        ("did you mean 'learning_rate'?", "this key belongs to data: 'data.source'")
    """
    if _OTHER_NAMES.get(name) in known:
        return f"did you mean {_OTHER_NAMES[name]!r}?"
    near = difflib.get_close_matches(name, known, 1, cutoff=0.8)
    homes = [place for place, model in _PLACES.items() if name in model.model_fields] if where and not near else []
    if name in config_fields() and where and not near:
        homes.append("model.config")
    if homes:
        return f"this key belongs to {homes[0] or 'the recipe itself'}: '{f'{homes[0]}.{name}'.lstrip('.')}'"
    near = near or difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(known)}"


def short(text: str) -> str:
    """A key for a message, of bounded length."""
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def _value_hint(error: Any) -> str:
    """The nearest of the words that a value can be."""
    words = str(error["ctx"]["expected"]).replace("'", " ").replace(" or ", " ").replace(",", " ").split()
    given = error["input"]
    near = difflib.get_close_matches(given[:MAX_NAME], words, 1, cutoff=0.5) if isinstance(given, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _keys_at(model: type[BaseModel], place: Sequence[str]) -> list[str]:
    """The valid keys at a place below a model, found through the types of its fields."""
    kind: Any = model
    for part in place:
        annotation = kind.model_fields[part].annotation if _is_model(kind) else typing.get_args(kind)[1]
        inner = (annotation, *typing.get_args(annotation))  # the model in `Model | None`, or a mapping of models
        kind = next(one for one in inner if _is_model(one) or typing.get_origin(one) is dict)
    return list(kind.model_fields)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
