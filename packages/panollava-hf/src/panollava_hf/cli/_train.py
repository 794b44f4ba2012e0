"""`panollava train --config RECIPE`."""

from pathlib import Path
from typing import Annotated

import typer

from panollava_hf._errors import UsageError
from panollava_hf.cli._usage import usage_errors


def train(
    config: Annotated[
        str | None, typer.Option(help="Recipe: a YAML file, or the name of one that ships with panollava-hf.")
    ] = None,
    stage: Annotated[str, typer.Option(help="vicreg, resampler, finetune, or all.")] = "all",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was ended.")] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: stages.vicreg.steps=10. Repeatable."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Pass over pictures that cannot be read, and count them.")
    ] = False,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes that ship, and stop.")] = False,
) -> None:
    """Train in three stages: VICReg on view overlaps, resampler, finetuning."""
    try:
        from panollava_hf.training import RecipeError, TrainingError, load_recipe, shipped
        from panollava_hf.training import train as run
    except ModuleNotFoundError as error:
        if error.name not in ("pydantic", "datasets"):
            raise
        raise UsageError(f"training needs the package {error.name}: pip install 'panollava-hf[train]'") from error
    from panollava_hf.data._tables import TableError
    from panollava_hf.training._recipe import STAGES

    if list_recipes:
        recipes = shipped()
        for name, path in recipes.items():
            first = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
            typer.echo(f"{name:{max(map(len, recipes))}}  {first}")
        return
    if config is None:
        raise UsageError("name a recipe with --config, or see those that ship with --list")
    if stage not in (*STAGES, "all"):
        raise UsageError(f"--stage {stage}: expected {', '.join(STAGES)} or all")
    with usage_errors("cannot train", RecipeError, TrainingError, TableError):
        recipe = load_recipe(config, changes or ())
        chosen = [name for name in STAGES if name == stage] or None  # None: all that the recipe has
        folder = run(recipe, chosen, resume=resume, skip_bad=skip_bad)
    typer.echo(str(Path(folder)))
