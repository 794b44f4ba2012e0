"""Push a folder to a repository on the Hub, in one commit."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.utils import HFValidationError, validate_repo_id
from huggingface_hub.utils import _http as http

from panollava_hf._errors import PushError, boundary
from panollava_hf._shown import shown
from panollava_hf.hub._card import point_card
from panollava_hf.outside._json_file import json_kind, read_object

#: Longest time in seconds for which the Hub may neither take nor send anything. A large commit takes it a minute.
TIMEOUT = 120.0
#: JSON files of a checkpoint that may name code in `auto_map`.
CONFIGS = ("config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
#: Code and weights. Such files of an earlier push are deleted if the new folder does not have them.
REPLACED = (".py", ".safetensors", ".safetensors.index.json")
#: In a Space also its sample images.
REPLACED_FOLDER = "samples/"


@dataclass(frozen=True)
class PushPlan:
    """A checked folder and the repository it will be pushed to.

    Attributes:
        folder: The folder.
        repo_id: `owner/name`.
        tag: Tag of the new commit, if any.
        private: Whether a new repository is made private.
        message: Commit message.
        files: The files to push, relative to the folder.
        repo_type: "model" or "space".
    """

    folder: Path
    repo_id: str
    tag: str | None
    private: bool
    message: str
    files: tuple[str, ...]
    repo_type: Literal["model", "space"] = "model"

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return sum((self.folder / name).stat().st_size for name in self.files)

    def content(self, name: str) -> str | bytes:
        """What is uploaded for a file: its path, or the model card with the repository's name in its examples."""
        path = self.folder / name
        if name != "README.md" or self.repo_type == "space":
            return str(path)
        return point_card(path.read_text(encoding="utf-8"), self.repo_id, self.tag or "main").encode()


def check_repository(repo_id: str) -> None:
    """Check the name of a repository.

    Raises:
        PushError: The name is not `owner/name`, or has characters that the Hub does not allow.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PushError(" ".join(str(error).split())[:300]) from error
    if repo_id.count("/") != 1:
        raise PushError(f"the repository {shown(repo_id)} has no owner: write owner/name")


def check_tag(tag: str | None) -> None:
    """Check the name of a tag.

    Raises:
        PushError: It has characters that a tag may not have.
    """
    if tag is not None and not re.fullmatch(r"\w[\w.+-]*", tag):
        raise PushError(f"{shown(tag)} is not a valid tag: use letters, digits, '.', '-', '_' and '+', as in v1.0.0")


def plan_push(
    folder: Path,
    repo_id: str,
    *,
    tag: str | None = None,
    private: bool = True,
    message: str | None = None,
    exported: bool = True,
) -> PushPlan:
    """Check a folder before it is pushed. Nothing is sent.

    Args:
        folder: An exported folder, or a checkpoint.
        repo_id: `owner/name`.
        tag: Tag of the new commit.
        private: Whether a new repository is made private.
        message: Commit message; default: "Upload" and the tag.
        exported: Whether the folder must contain exported code. A checkpoint without code may have subfolders
            (`adapter/`), an export may not.

    Raises:
        PushError: The folder is incomplete or contains other things, or a name is not valid on the Hub.
        OSError: The folder cannot be read.
    """
    check_repository(repo_id)
    check_tag(tag)
    if not (folder / "config.json").is_file():
        raise PushError(f"{folder} has no config.json: push a folder that `panollava export` wrote")
    references = _references(folder, "config.json")
    if exported and not references:
        raise PushError(f"{folder} contains no code (no auto_map in its config.json): run `panollava export` first")
    files = find_files(folder, nested=not exported)
    others = [_references(folder, name) for name in CONFIGS[1:] if name in files]
    needed = {f"{module}.py" for found in (references, *others) for module in found} | {"README.md"}
    missing = sorted(needed - set(files))
    if missing or not any(name.endswith(".safetensors") for name in files):
        missing = missing or ["the weights (*.safetensors)"]
        raise PushError(f"{folder} is incomplete: it lacks {', '.join(missing)}; export it again")
    remedy = "write it again with `panollava export`, or save it as UTF-8"
    with boundary(PushError, f"{folder / 'README.md'} is not UTF-8", remedy):
        (folder / "README.md").read_bytes().decode("utf-8")
    return PushPlan(folder, repo_id, tag, private, message or f"Upload {tag or 'model'}", files)


def _references(folder: Path, name: str) -> set[str]:
    """The modules that `auto_map` of a JSON file names, all of this folder.

    Raises:
        PushError: The file is not a JSON object, or `auto_map` names something else than classes of this folder.
    """
    path = folder / name
    found = read_object(path, kind=PushError, remedy="export the checkpoint again").get("auto_map", {})
    if not isinstance(found, dict):
        raise PushError(f"{path}: auto_map is {json_kind(found)}, expected an object; export the checkpoint again")
    # Tokenizers name two classes, of which one may be missing.
    groups = [value if isinstance(value, list) else [value] for value in found.values()]
    given = [reference for group in groups for reference in group if reference is not None or len(group) == 1]
    for reference in given:
        if not isinstance(reference, str) or not re.fullmatch(r"[A-Za-z_]\w*\.[A-Za-z_]\w*", reference):
            raise PushError(
                f"{path}: auto_map names {shown(reference)}; expected module.Class, a class of this folder's "
                "code; export again"
            )
    return {reference.split(".")[0] for reference in given}


def find_files(folder: Path, *, nested: bool) -> tuple[str, ...]:
    """The files of a folder without hidden ones; links, and subfolders unless `nested`, are refused."""
    found = [path.relative_to(folder) for path in (folder.rglob("*") if nested else folder.iterdir())]
    names = sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
    if nested:
        names = [name for name in names if (folder / name).is_symlink() or not (folder / name).is_dir()]
    unexpected = [name for name in names if (folder / name).is_symlink() or not (folder / name).is_file()]
    if unexpected:
        kinds = "links" if nested else "subfolders and links"
        raise PushError(f"{folder} contains {', '.join(unexpected)}: remove {kinds} before pushing")
    return tuple(names)


def push(plan: PushPlan, *, token: str | None = None, endpoint: str | None = None) -> str:
    """Create the repository if it does not exist, commit all files at once, and tag the commit.

    Args:
        plan: From `plan_push`.
        token: A token with write permission; default: the one that huggingface_hub finds (`HF_TOKEN`, a login, or the
            OIDC identity of a CI job).
        endpoint: Address of the Hub; default: huggingface_hub's own.

    Returns:
        The id of the commit.

    Raises:
        PushError: The Hub refused, or could not be reached. The message contains no token. If there is no commit, the
            files of the repository have not changed.
    """
    try:
        with _time_limit(TIMEOUT):
            return _push(HfApi(endpoint=endpoint, token=token), plan)
    except PushError:
        raise
    except Exception as error:  # what the client and the libraries below it raise differs between releases
        cause = f" ({error.__cause__})" if error.__cause__ is not None and isinstance(error, RuntimeError) else ""
        text = str(error) or type(error).__name__
        raise PushError(_without_secrets(f"{text}{cause}", token)) from error


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Let every request of huggingface_hub end if the Hub is silent for so long; without it the client waits for ever.

    The client is one per process, so requests of other threads get the same limit until the block ends. A limit that is
    already set stays.
    """
    limited: Callable[[Any, float], Any]
    if hasattr(huggingface_hub, "set_client_factory"):  # 1.0 and later, on httpx
        install, limited = huggingface_hub.set_client_factory, _limited_client
        before: Any = http._GLOBAL_CLIENT_FACTORY
    else:  # on requests
        install, limited = getattr(huggingface_hub, "configure_http_backend"), _limited_session  # noqa: B009
        before = getattr(http, "_GLOBAL_BACKEND_FACTORY")  # noqa: B009
    install(lambda: limited(before(), seconds))
    try:
        yield
    finally:
        install(before)


def _limited_client(client: Any, seconds: float) -> Any:
    if client.timeout.read is None:
        client.timeout = seconds
    return client


def _limited_session(session: Any, seconds: float) -> Any:
    send = session.send

    def limited(request: Any, **options: Any) -> Any:
        if options.get("timeout") is None:
            options["timeout"] = seconds
        return send(request, **options)

    session.send = limited
    return session


def _push(api: HfApi, plan: PushPlan) -> str:
    kind = plan.repo_type
    if kind == "space":
        api.create_repo(plan.repo_id, private=plan.private, exist_ok=True, repo_type="space", space_sdk="gradio")
    else:
        api.create_repo(plan.repo_id, private=plan.private, exist_ok=True)
    if plan.tag is not None and plan.tag in {ref.name for ref in api.list_repo_refs(plan.repo_id, repo_type=kind).tags}:
        raise PushError(f"{plan.repo_id} already has a tag {plan.tag}: tags are never moved, choose another one")
    before = api.space_info(plan.repo_id) if kind == "space" else api.model_info(plan.repo_id)
    present = [entry.rfilename for entry in before.siblings or []]
    stale = [name for name in present if _is_replaced(name, kind) and name not in plan.files]
    # With `parent_commit`, the Hub refuses the commit if there has been another one since `before`.
    commit = api.create_commit(
        plan.repo_id,
        operations=[
            *(CommitOperationAdd(name, plan.content(name)) for name in plan.files),
            *(CommitOperationDelete(name) for name in stale),
        ],
        commit_message=plan.message,
        parent_commit=before.sha,
        repo_type=kind,
    )
    if plan.tag is not None:
        api.create_tag(plan.repo_id, tag=plan.tag, revision=commit.oid, repo_type=kind)
    return str(commit.oid)


def _is_replaced(name: str, kind: str) -> bool:
    return name.endswith(REPLACED) or (kind == "space" and name.startswith(REPLACED_FOLDER))


def _without_secrets(message: str, token: str | None) -> str:
    """One line of bounded length without tokens, credentials, queries and fragments of addresses."""
    for secret in {token, get_token()} - {None, ""}:
        message = message.replace(str(secret), "***")
    message = re.sub(r"(?<=://)[^/\s'\"]*@", "", message)
    message = re.sub(r"(https?://[^\s?#'\")]*)[?#][^\s'\")]*", r"\1", message)
    return " ".join(message[:2000].split())[:500]
