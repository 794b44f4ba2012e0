"""Three-stage training on transformers' Trainer: recipes, stages, packed questions."""

from panollava_hf._errors import RecipeError, TrainingError
from panollava_hf.training._recipe import Recipe, load_recipe, shipped
from panollava_hf.training._run import train

__all__ = ["Recipe", "RecipeError", "TrainingError", "load_recipe", "shipped", "train"]
