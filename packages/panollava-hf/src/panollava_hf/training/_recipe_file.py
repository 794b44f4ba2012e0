"""Reading recipes: YAML files, changes from the command line, renamed keys, and errors that name the nearest key."""

import difflib
import os
import warnings
from collections.abc import Collection, Iterable
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from panollava_hf._errors import RecipeError
from panollava_hf.outside._plain_yaml import parse_yaml, read_yaml
from panollava_hf.training._recipe import DataSettings, Recipe
from panollava_hf.training._spelling import MAX_NAME, explained, short, unknown_field

#: Settings of a stage that replace each other.
_EITHER = {"steps": "epochs", "epochs": "steps"}
#: Deepest key of `--set`.
MAX_PARTS = 32
#: Old names of keys in `data` and `stages.*.data`, valid for one release.
RENAMED = {"easy_first": "curriculum", "favour": "sampling_weights", "roll": "yaw_augmentation"}


def shipped_recipes() -> dict[str, Path]:
    """The recipes in this package by name."""
    folder = Path(str(files("panollava_hf") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def load_recipe(source: str | Path, changes: Iterable[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        source: A YAML file, or the name of a recipe in this package.
        changes: `key=value` settings that replace those of the recipe, keys with dots (`stages.vicreg.steps=10`),
            values in YAML.

    Raises:
        RecipeError: The file does not exist or is not YAML, a key is unknown (the message names the nearest valid
            one), or a value is impossible.

    Example:
        >>> from panollava_hf.training import load_recipe
        >>> load_recipe("tiny", ["stages.vicreg.steps=3"]).stages["vicreg"].steps
        3
    """
    path = _find(str(source))
    values = _mapping(read_yaml(path, RecipeError, what="a recipe"), path)
    for old, new in dict(change_values(values, changes := list(changes))).items():
        warnings.warn(f"{path.name}: the key {old} is now {new}; rename it", DeprecationWarning, stacklevel=2)
    return validated(values, path.name, changes)


def change_values(values: dict[str, Any], changes: Iterable[str]) -> list[tuple[str, str]]:
    """Apply `key=value` settings to the values of a recipe, in place.

    Returns:
        Old and new name of each renamed key, as `rename_keys`.

    Raises:
        RecipeError: A change is not `key=value`, or a mapping has the old and the new name of a key.
    """
    renamed = rename_keys(values)
    for change in changes:
        renamed += _set(values, change)
    return renamed + rename_keys(values)  # a change may set a whole mapping


def read_written_recipe(path: Path, output: str) -> Recipe:
    """Read the recipe that a run wrote into its output folder, also with the key names of the last release.

    Args:
        path: The file; it does not name the output folder, so that a run can be moved.
        output: The output folder.

    Raises:
        RecipeError: The file cannot be read as a recipe.
    """
    try:
        values = {**_mapping(read_yaml(path, RecipeError, what="a recipe"), path), "output": output}
        rename_keys(values)
        return validated(values, str(path), is_written=True)
    except RecipeError as error:
        raise RecipeError(
            f"this run's {path.name} is damaged: {error}; put the recipe of this run there again, or choose another "
            "output folder"
        ) from error


def rename_keys(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Give renamed keys of a recipe their new names, in place.

    Returns:
        Old and new key of each, with dots.

    Raises:
        RecipeError: A mapping has both the old and the new key.
    """
    found: list[tuple[str, str]] = []
    for place, data in _data_mappings(values):
        for old, new in RENAMED.items():
            if old in data:
                if new in data:
                    raise RecipeError(f"{place}.{old} is the old name of {place}.{new}: remove {place}.{old}")
                data[new] = data.pop(old)
                found.append((f"{place}.{old}", f"{place}.{new}"))
    return found


def _data_mappings(values: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The mappings `data` and `stages.*.data`, by their place, of a recipe that is not validated yet."""
    stages = values.get("stages")
    found = {"data": values.get("data")}
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        found[f"stages.{name}.data"] = stage.get("data") if isinstance(stage, dict) else None
    return [(place, data) for place, data in found.items() if isinstance(data, dict)]


def shipped_recipe(name: str) -> Path:
    """A recipe in this package.

    Raises:
        RecipeError: There is none with this name; the message names the nearest.
    """
    shipped = shipped_recipes()
    if name in shipped:
        return shipped[name]
    near = difflib.get_close_matches(name[:MAX_NAME], shipped, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"the recipes in this package are {', '.join(shipped)}"
    raise RecipeError(f"{name[:MAX_NAME]!r} is not a recipe in this package; {hint}")


def _find(source: str) -> Path:
    if os.path.isfile(source):
        return Path(source)
    shipped = shipped_recipes()
    if source in shipped:
        return shipped[source]
    if os.path.exists(source):
        return Path(source)  # the reader says what it is
    near = difflib.get_close_matches(source[:MAX_NAME], shipped, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"the recipes in this package are {', '.join(shipped)}"
    raise RecipeError(f"{source[:MAX_NAME]!r} is neither a file nor a recipe in this package; {hint}")


def _mapping(values: Any, path: Path) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise RecipeError(f"{path} is not a recipe: expected keys such as output, model, data, stages")
    return values


def validated(values: dict[str, Any], name: str, changes: Collection[str] = (), *, is_written: bool = False) -> Recipe:
    """Check the values of a recipe.

    Args:
        values: The values.
        name: The file, for messages.
        changes: The `key=value` settings among the values; an error in one of them names it.
        is_written: Whether a run wrote the recipe, perhaps with fields of `PanoLLaVaConfig` that there are no more.

    Raises:
        RecipeError: A key is unknown or missing, or a value is impossible.
    """
    if (place := _place_of_nul(values)) is not None:
        raise RecipeError(f"{name}: {place} contains a NUL character; remove it")
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise _error(name, changes, *explained(error, Recipe)) from error
    for stage in recipe.stages:
        try:
            recipe.data_of(stage)
        except ValidationError as error:
            raise _error(name, changes, *explained(error, DataSettings, "stages", stage, "data")) from error
    if not is_written and (unknown := unknown_field(recipe.model.config)) is not None:
        raise _error(name, changes, *unknown)
    return recipe


def _error(name: str, changes: Collection[str], key: str, message: str) -> RecipeError:
    """The error about a key; a key that `--set` gave is not an error of the file."""
    given = next((change for change in changes if change.partition("=")[0].strip() == key), None)
    return RecipeError(f"{name}: {message}" if given is None else f"--set {short(given)!r}: {message}")


def _place_of_nul(values: Any, place: str = "") -> str | None:
    """Where a text contains NUL, which no path and no name can."""
    if isinstance(values, str):
        return (place or "a text") if "\0" in values else None
    pairs = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    found = (_place_of_nul(inner, short(f"{place}.{key}".lstrip("."))) for key, inner in pairs)
    return next((inner for inner in found if inner is not None), None)


def _set(values: dict[str, Any], change: str) -> list[tuple[str, str]]:
    """Apply one `key=value`, under the new name if the key was renamed; returns the renamed key, as `rename_keys`."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {short(change)!r}: expected key=value, e.g. stages.vicreg.steps=10")
    value = parse_yaml(text, f"--set {short(change)!r}: the value", RecipeError)
    given = key.strip().split(".")
    if len(given) > MAX_PARTS:
        raise RecipeError(f"--set {short(change)!r}: the key has {len(given)} parts; expected at most {MAX_PARTS}")
    parts = [RENAMED.get(part, part) if parent == "data" else part for parent, part in pairwise(["", *given])]
    *folders, last = parts
    for name in folders:
        inner = values.setdefault(name, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {short(change)!r}: {name} is a value and has no keys below it")
        values = inner
    values[last] = value
    if len(parts) == 3 and parts[0] == "stages" and last in _EITHER and value is not None:
        values.pop(_EITHER[last], None)  # a stage has one of them
    return [] if parts == given else [(".".join(given), ".".join(parts))]
