"""`panollava push FOLDER OWNER/NAME`."""

from pathlib import Path
from typing import Annotated

import typer

from panollava_hf import _console
from panollava_hf._errors import PushError, UsageError
from panollava_hf._shown import shown
from panollava_hf.cli._usage import usage_errors


def push(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of `panollava export`, or of `panollava space`.")
    ],
    repo_id: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository; created if it does not exist.")],
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="Tag of the new commit, as in v1.0.0.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public; default: private.")] = False,
    message: Annotated[str | None, typer.Option(metavar="TEXT", help="Commit message.")] = None,
    space: Annotated[
        bool, typer.Option("--space", help="Push to a Space: FOLDER is one that `panollava space` wrote.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be pushed, and send nothing.")] = False,
) -> None:
    """Push an exported folder, or with --space a Space, to the Hub in one commit.

    The token comes from huggingface_hub: HF_TOKEN, `hf auth login`, or the OIDC identity of a CI job. It is never
    printed.
    """
    if not folder.exists() and Path(repo_id).is_dir():
        raise UsageError(
            f"{shown(repo_id)} is a folder and {shown(str(folder))} is not: the folder comes first, as in panollava "
            "push FOLDER OWNER/NAME"
        )
    from panollava_hf import hub

    with usage_errors(f"cannot push {folder}", OSError, PushError):
        plan_for = hub.plan_space if space else hub.plan_push
        plan = plan_for(folder, repo_id, tag=tag, private=not public, message=message)
    place = f"the Space {repo_id}" if space else repo_id
    summary = f"{len(plan.files)} files, {plan.size / 1e6:.1f} MB"
    if dry_run:
        for name in plan.files:
            typer.echo(f"{(folder / name).stat().st_size:>12,}  {name}")
        visibility = "public" if public else "private"
        tagged = f" and tag it {tag}" if tag else ""
        typer.echo(f"Would commit {summary} to {place} ({visibility} if new){tagged}; nothing was sent.")
        return
    with _console.status(f"Pushing {summary} …"), usage_errors(f"cannot push to {place}", PushError):
        commit = hub.push(plan)
    typer.echo(commit)
    _console.say(f"Pushed {summary} to {place}" + (f", tag {tag}." if tag else "."))
