"""Three-stage training on the Trainer of transformers: recipes, stages, several questions per panorama.

Importing this package is cheap: pydantic and torch are imported when a name below is used that needs them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from panollava_hf._deprecated import renamed
from panollava_hf._errors import RecipeError, TrainingError

if TYPE_CHECKING:
    from panollava_hf.training._recipe import Recipe
    from panollava_hf.training._recipe_file import load_recipe, shipped_recipes
    from panollava_hf.training._run import train

__all__ = ["Recipe", "RecipeError", "TrainingError", "load_recipe", "shipped_recipes", "train"]

#: Module of each lazy name.
_HOMES = {"Recipe": "_recipe", "load_recipe": "_recipe_file", "shipped_recipes": "_recipe_file", "train": "_run"}
_old_name = renamed(__name__, {"shipped": f"{__name__}.shipped_recipes"})


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return _old_name(name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
