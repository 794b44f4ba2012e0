"""An exported folder → a repository on the Hub, in one commit that holds everything or nothing."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import validate_repo_id

from panollava_hf._errors import PushError
from panollava_hf.hub._card import point_card

#: Whatever the client raises: its own errors, and their bases in httpx or (before 1.0) requests, which also tell of
#: connections that fail; what it says of arguments, and of a file that could not be sent (RuntimeError).
CLIENT_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    RuntimeError,
    ValueError,
    *(kind for kind in HfHubHTTPError.__mro__ if issubclass(kind, Exception) and kind is not Exception),
)

#: Files of an earlier export that must not stay beside the new ones: code and weights.
REPLACED = (".py", ".safetensors", ".safetensors.index.json")


@dataclass(frozen=True)
class Push:
    """What will be pushed where.

    Attributes:
        folder: The exported folder.
        repo_id: `owner/name`.
        tag: Tag of the new commit, if any.
        private: Whether a repository that does not exist yet is made private.
        message: Commit message.
        files: The files of the folder, by name.
    """

    folder: Path
    repo_id: str
    tag: str | None
    private: bool
    message: str
    files: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum((self.folder / name).stat().st_size for name in self.files)

    def content(self, name: str) -> str | bytes:
        """What is uploaded as a file: its path, or the model card with the repository in its example."""
        path = self.folder / name
        if name != "README.md":
            return str(path)
        return point_card(path.read_text(encoding="utf-8"), self.repo_id, self.tag or "main").encode()


def check_repository(repo_id: str) -> None:
    """See that a repository is named as the Hub wants it.

    Raises:
        ValueError: It is not.
    """
    validate_repo_id(repo_id)
    if repo_id.count("/") != 1:
        raise ValueError(f"the repository {repo_id!r} has no owner: write owner/name")


def prepare(
    folder: Path,
    repo_id: str,
    *,
    tag: str | None = None,
    private: bool = True,
    message: str | None = None,
    exported: bool = True,
) -> Push:
    """Look a folder over before anything is sent; touches no network.

    Args:
        folder: A folder that `export_checkpoint` wrote, or a plain checkpoint.
        repo_id: `owner/name`.
        tag: Tag of the new commit.
        private: Whether a new repository is private.
        message: Commit message.
        exported: Whether it must be an export. A plain checkpoint has no code and may have folders (`adapter/`).

    Raises:
        ValueError: The folder is not complete, or a name is none that the Hub takes.
    """
    check_repository(repo_id)
    if tag is not None and not re.fullmatch(r"\w[\w.+-]*", tag):
        raise ValueError(f"{tag!r} is no tag: use letters, digits, '.', '-', '_' and '+', as in v1.0.0")
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} has no config.json: push a folder that `panollava export` wrote")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    references = config.get("auto_map", {}).values()
    if exported and not references:
        raise ValueError(f"{folder} holds no code (no auto_map in its config.json): run `panollava export` first")
    files = _files(folder, nested=not exported)
    needed = {f"{reference.split('.')[0]}.py" for reference in references} | {"README.md"}
    missing = sorted(needed - set(files))
    if missing or not any(name.endswith(".safetensors") for name in files):
        raise ValueError(f"{folder} is not complete, it lacks {', '.join(missing) or 'weights'}: export it again")
    return Push(folder, repo_id, tag, private, message or f"Upload {tag or 'model'}", files)


def _files(folder: Path, *, nested: bool) -> tuple[str, ...]:
    """Names of what is in the folder, but for hidden files; nothing but files may be there."""
    found = [path.relative_to(folder) for path in (folder.rglob("*") if nested else folder.iterdir())]
    names = sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
    if nested:
        names = [name for name in names if (folder / name).is_symlink() or not (folder / name).is_dir()]
    odd = [name for name in names if (folder / name).is_symlink() or not (folder / name).is_file()]
    if odd:
        kind = "model" if nested else "export"
        raise ValueError(f"{folder} holds what no {kind} holds: {', '.join(odd)}; remove folders and links")
    return tuple(names)


def push(what: Push, *, token: str | None = None, endpoint: str | None = None) -> str:
    """Create the repository if need be, commit everything at once, and tag the commit.

    Args:
        what: From `prepare`.
        token: A token that may write; default: the one huggingface_hub finds (`HF_TOKEN`, a login, or CI's OIDC).
        endpoint: Address of the Hub; default: huggingface_hub's own.

    Returns:
        Id of the commit.

    Raises:
        PushError: The Hub refused or cannot be reached. Without a commit nothing has changed.
    """
    try:
        return _push(HfApi(endpoint=endpoint, token=token), what)
    except CLIENT_ERRORS as error:
        cause = f" ({error.__cause__})" if error.__cause__ is not None and isinstance(error, RuntimeError) else ""
        raise PushError(_without_token(f"{error}{cause}", token)) from error


def _push(api: HfApi, what: Push) -> str:
    api.create_repo(what.repo_id, private=what.private, exist_ok=True)
    if what.tag is not None and what.tag in {tag.name for tag in api.list_repo_refs(what.repo_id).tags}:
        raise PushError(f"{what.repo_id} has a tag {what.tag} already: a release is never overwritten, choose another")
    before = api.model_info(what.repo_id)
    there = [entry.rfilename for entry in before.siblings or []]
    stale = [name for name in there if name.endswith(REPLACED) and name not in what.files]
    # With `parent_commit` the Hub refuses if somebody else has committed since we looked.
    commit = api.create_commit(
        what.repo_id,
        operations=[
            *(CommitOperationAdd(name, what.content(name)) for name in what.files),
            *(CommitOperationDelete(name) for name in stale),
        ],
        commit_message=what.message,
        parent_commit=before.sha,
    )
    if what.tag is not None:
        api.create_tag(what.repo_id, tag=what.tag, revision=commit.oid)
    return str(commit.oid)


def _without_token(message: str, token: str | None) -> str:
    for secret in {token, get_token()} - {None, ""}:
        message = message.replace(str(secret), "***")
    return message
