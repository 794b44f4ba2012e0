"""Three-stage training on transformers' Trainer: recipes, stages, packed questions."""

from panollava_hf.training.recipe import Recipe, RecipeError, load_recipe, shipped
from panollava_hf.training.run import TrainingError, train

__all__ = ["Recipe", "RecipeError", "TrainingError", "load_recipe", "shipped", "train"]
