"""`panollava push FOLDER OWNER/NAME`: an exported folder → the Hub."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from panollava_hf._errors import UsageError
from panollava_hf.cli._usage import usage_errors

stderr = Console(stderr=True, highlight=False)


def push(
    folder: Annotated[Path, typer.Argument(help="Folder that `panollava export` wrote.")],
    repo_id: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository; made if it does not exist.")],
    tag: Annotated[str | None, typer.Option(help="Tag of the new commit, as in v1.0.0.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public; default: private.")] = False,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be pushed, and send nothing.")] = False,
) -> None:
    """Push an exported folder to the Hub in one commit.

    The token is huggingface_hub's: HF_TOKEN, `hf auth login`, or a CI job's OIDC identity. It is never printed.
    """
    from panollava_hf.hub._push import PushError, prepare
    from panollava_hf.hub._push import push as send

    with usage_errors(f"cannot push {folder}", OSError, ValueError):
        what = prepare(folder, repo_id, tag=tag, private=not public, message=message)
    summary = f"{len(what.files)} files, {what.size / 1e6:.1f} MB"
    if dry_run:
        for name in what.files:
            typer.echo(f"{(folder / name).stat().st_size:>12,}  {name}")
        visible = "public" if public else "private"
        tagged = f" and tag it {tag}" if tag else ""
        typer.echo(f"Would commit {summary} to {repo_id} ({visible} if new){tagged}; nothing was sent.")
        return
    with stderr.status(f"Pushing {summary} …"):
        try:
            commit = send(what)
        except PushError as error:
            raise UsageError(f"cannot push to {repo_id}: {error}") from error
    typer.echo(commit)
    stderr.print(f"Pushed {summary} to {repo_id}" + (f", tag {tag}." if tag else "."), soft_wrap=True)
