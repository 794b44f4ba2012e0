"""`panollava train --config RECIPE`."""

import warnings
from pathlib import Path
from typing import Annotated

import typer
from panollava_geometry.cli import echo, on_interrupt

from panollava_hf._console import note
from panollava_hf._errors import RecipeError, TableError, TrainingError, UsageError
from panollava_hf._files import check_writable
from panollava_hf.cli._usage import usage_errors


def train(
    config: Annotated[
        str | None, typer.Option(metavar="RECIPE", help="Recipe: a YAML file, or the name of a recipe in this package.")
    ] = None,
    stage: Annotated[str, typer.Option(metavar="STAGE", help="vicreg, resampler, finetune, refine, or all.")] = "all",
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was stopped.")] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting: stages.vicreg.steps=10. Repeatable."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip unreadable images and unusable rows, and report their number.")
    ] = False,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes in this package, and exit.")] = False,
) -> None:
    """Train in three stages: VICReg on overlapping views, resampler, finetuning."""
    try:
        from panollava_hf.training._checkpoints import what_is_complete
        from panollava_hf.training._recipe import STAGES
        from panollava_hf.training._recipe_file import load_recipe, shipped_recipes
    except ModuleNotFoundError as error:
        if error.name != "pydantic":
            raise
        raise UsageError("training needs the package pydantic: pip install 'panollava-hf[train]'") from error
    if list_recipes:
        recipes = shipped_recipes()
        for name, path in recipes.items():
            purpose = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
            typer.echo(f"{name:{max(map(len, recipes))}}  {purpose}")
        return
    if config is None:
        raise UsageError("choose a recipe with --config; --list shows those in this package")
    if stage not in (*STAGES, "all"):
        raise UsageError(f"--stage {stage}: expected {', '.join(STAGES)} or all")
    with usage_errors("cannot train", RecipeError, TrainingError, TableError, OSError):
        with warnings.catch_warnings(record=True) as renamed:
            warnings.simplefilter("always")
            recipe = load_recipe(config, changes or ())
        for warning in renamed:
            note(str(warning.message))
        stages = recipe.select(None if stage == "all" else [stage])
        from panollava_hf.data._examples import find_table

        for name in stages:  # a missing table is reported before torch is imported
            data = recipe.data_of(name)
            find_table(data.source, data.split)
        check_writable(Path(recipe.output), "output")
        with on_interrupt(lambda: what_is_complete(Path(recipe.output), list(recipe.stages))):
            from panollava_hf.training._run import train as run_stages

            folder = run_stages(recipe, stages, resume=resume, skip_bad=skip_bad)
    echo(str(folder))
