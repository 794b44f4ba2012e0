"""Three-stage training on the Trainer of transformers: recipes, stages, several questions per panorama.

Importing this package is cheap: pydantic and torch are imported when a name below is used that needs them.
"""

from typing import TYPE_CHECKING

from panollava_hf._errors import RecipeError, TrainingError
from panollava_hf._faces import lazy, renamed

if TYPE_CHECKING:
    from panollava_hf.training._data_collator import PanoLLaVaDataCollator
    from panollava_hf.training._recipe import Recipe
    from panollava_hf.training._recipe_file import load_recipe, shipped_recipes
    from panollava_hf.training._run import train

__all__ = [
    "PanoLLaVaDataCollator",
    "Recipe",
    "RecipeError",
    "TrainingError",
    "load_recipe",
    "shipped_recipes",
    "train",
]

_HOMES = {
    "PanoLLaVaDataCollator": "_data_collator",
    "Recipe": "_recipe",
    "load_recipe": "_recipe_file",
    "shipped_recipes": "_recipe_file",
    "train": "_run",
}

__getattr__, __dir__ = lazy(__name__, _HOMES, old=renamed(__name__, {"shipped": f"{__name__}.shipped_recipes"}))
