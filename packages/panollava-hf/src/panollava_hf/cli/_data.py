"""`panollava data`: check, repair and write tables of panoramas, questions and answers."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from panollava_hf._console import progress, say
from panollava_hf._errors import PanoShapesError
from panollava_hf.cli._data_check import check
from panollava_hf.cli._usage import usage_errors

data = typer.Typer(help="Check, repair and write tables of panoramas, questions and answers.", no_args_is_help=True)


class Split(enum.StrEnum):
    """Splits of PanoShapes."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Wordings(enum.StrEnum):
    """Wordings of the questions of PanoShapes."""

    PLAIN = "plain"
    MANY = "many"


class ImageFormat(enum.StrEnum):
    """Image formats of PanoShapes."""

    JPG = "jpg"
    PNG = "png"


@data.callback()
def _group() -> None:
    """Check, repair and write tables of panoramas, questions and answers."""


data.command(short_help="Find what training and evaluation would refuse.")(check)


@data.command(short_help="Render panoramas with questions and exact answers.")
def panoshapes(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder; it may contain other splits of PanoShapes.")],
    split: Annotated[Split, typer.Option(help="Name of the split; no scene is in two splits.")] = Split.TEST,
    n: Annotated[int, typer.Option("--n", help="Number of scenes.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the dataset.")] = 0,
    width: Annotated[int, typer.Option(help="Width of the images in pixels.")] = 1024,
    image_format: Annotated[ImageFormat, typer.Option("--format", help="Format of the images.")] = ImageFormat.JPG,
    questions: Annotated[int, typer.Option(help="Maximum number of questions per family and scene.")] = 2,
    wordings: Annotated[
        Wordings, typer.Option(help="Few wordings, or many as people type them, in English and Korean (for training).")
    ] = Wordings.PLAIN,
    max_objects: Annotated[int, typer.Option(help="Largest number of objects in a scene, up to 8.")] = 6,
    workers: Annotated[int | None, typer.Option(help="Number of processes; default: one per core.")] = None,
) -> None:
    """Write PanoShapes: rendered panoramas, and questions about them with exact answers.

    Prints the number of questions of each family, and the score of always giving the most common answer (prior).
    """
    from panollava_hf.panoshapes import write_panoshapes
    from panollava_hf.panoshapes._dataset import summarise, table_file

    with usage_errors("cannot write PanoShapes", PanoShapesError, OSError), progress() as bar:
        task = bar.add_task("Drawing scenes", total=n)
        write_panoshapes(
            output,
            split.value,
            n,
            seed=seed,
            width=width,
            image_format=image_format.value,
            workers=workers,
            questions_per_family=questions,
            wordings=wordings.value,
            max_objects=max_objects,
            progress=lambda done: bar.update(task, completed=done),
        )
    families = summarise(table_file(output, split.value))
    typer.echo(f"{'family':<10} {'questions':>9} {'answers':>8} {'prior':>6}  most common answer")
    for row in families:
        typer.echo(
            f"{row.family:<10} {row.questions:>9} {row.answers:>8} {row.prior:>6.1%}  {_short(row.commonest, 60)}"
        )
    asked = sum(row.questions for row in families)
    say(f"Wrote {output}/: {n} scene{'' if n == 1 else 's'}, {asked} questions ({split.value}).")


def _short(text: str, width: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
