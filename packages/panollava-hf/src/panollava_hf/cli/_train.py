"""`panollava train --config RECIPE`."""

import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer
from panollava_geometry.cli import echo, on_interrupt

from panollava_hf._console import note, say, status
from panollava_hf._errors import ModelError, OutputExistsError, RecipeError, TableError, TrainingError, UsageError
from panollava_hf._files import check_writable
from panollava_hf.cli._usage import usage_errors


def train(
    config: Annotated[
        str | None, typer.Option(metavar="RECIPE", help="Recipe: a YAML file, or the name of a recipe in this package.")
    ] = None,
    stage: Annotated[
        str, typer.Option(metavar="STAGE", help="vicreg, resampler, finetune, refine, polish, or all.")
    ] = "all",
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was stopped.")] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting: stages.vicreg.steps=10. Repeatable."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip unreadable images and unusable rows, and report their number.")
    ] = False,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes in this package, and exit.")] = False,
    show: Annotated[
        str | None, typer.Option(metavar="NAME", help="Print a recipe of this package, to copy and change, and exit.")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="NEW.yaml", help="Write a recipe for --data, --vision and --text, with sizes for this machine."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--data", metavar="TABLE", help="With --init: table (.csv, .jsonl, .parquet), folder or dataset."),
    ] = None,
    vision: Annotated[
        str | None, typer.Option(metavar="MODEL", help="With --init: vision tower, folder or Hub id.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="MODEL", help="With --init: causal language model, folder or Hub id.")
    ] = None,
) -> None:
    """Train in up to three stages: VICReg on overlapping views, resampler, finetuning.

    `--init mine.yaml --data my.csv --vision MODEL --text MODEL` writes a recipe; `--config mine.yaml` trains it.
    """
    try:
        from panollava_hf.training._checkpoints import what_is_complete
        from panollava_hf.training._recipe import STAGES
        from panollava_hf.training._recipe_file import load_recipe, shipped_recipe, shipped_recipes
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
    if show is not None:
        with usage_errors("--show", RecipeError):
            echo(shipped_recipe(show).read_text(encoding="utf-8").rstrip("\n"))
        return
    towers = {"--data": source, "--vision": vision, "--text": text}
    if init is not None:
        if config is not None or resume or stage != "all":
            raise UsageError("--init writes a recipe and trains nothing; leave out --config, --stage and --resume")
        if missing := [option for option, value in towers.items() if value is None]:
            raise UsageError(f"--init {init} needs {', '.join(missing)}, too")
        _write_recipe(init, str(source), str(vision), str(text), changes or [], skip_bad=skip_bad)
        return
    if given := [option for option, value in towers.items() if value is not None]:
        raise UsageError(f"{given[0]} goes with --init; change a recipe with --set, e.g. --set data.source=my.csv")
    if config is None:
        raise UsageError("choose a recipe with --config, or write one with --init; --list shows those in this package")
    if stage not in (*STAGES, "all"):
        near = get_close_matches(stage[:100], STAGES, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"--stage {stage}: expected {', '.join(STAGES)} or all{hint}")
    with usage_errors("cannot train", RecipeError, TrainingError, TableError, ModelError, OSError):
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
        if not (Path(recipe.output) / stages[0]).exists():
            _check_start(recipe.model.path, {"vision": recipe.model.vision, "text": recipe.model.text})
        with on_interrupt(lambda: what_is_complete(Path(recipe.output), list(recipe.stages))):
            from panollava_hf.training._run import train as run_stages

            folder = run_stages(recipe, stages, resume=resume, skip_bad=skip_bad)
    echo(str(folder))


def _check_start(path: str | None, towers: Mapping[str, str | None]) -> None:
    """Report what is wrong with the models that training starts from before torch is imported."""
    from panollava_hf.outside._checkpoint_folder import check_checkpoint, check_tower

    if path is not None:
        with usage_errors("model.path", ModelError):
            check_checkpoint(path)
    for part, name in towers.items():
        if name is not None:
            with usage_errors(f"model.{part}", ModelError):
                check_tower(name, part)


def _write_recipe(path: Path, source: str, vision: str, text: str, changes: Sequence[str], *, skip_bad: bool) -> None:
    """Write a recipe for two towers and a table, and say what was found."""
    from panollava_hf.cli._usage import check_tower
    from panollava_hf.data._examples import find_table

    if path.exists() or path.is_symlink():
        raise UsageError(f"--init {path}: this file exists and is not overwritten; choose another name, or delete it")
    check_tower("vision", vision)
    check_tower("text", text)
    kinds = (OutputExistsError, RecipeError, TrainingError, TableError, OSError)
    with usage_errors(f"cannot write {path}", *kinds), status("Reading the table and the towers …"):
        if not any(change.startswith("data.") for change in changes):
            find_table(source)
        from panollava_hf._quiet import without_noise
        from panollava_hf.training._own_recipe import write_own_recipe

        with without_noise():
            written = write_own_recipe(path, source, vision, text, changes, skip_bad=skip_bad)
    for line in written.lines:
        say(line)
    say(f"Wrote {path}. Train with: panollava train --config {path}{' --skip-bad' * skip_bad}")
    echo(str(path))
