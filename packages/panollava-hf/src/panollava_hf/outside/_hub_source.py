"""Where the files of a model are: a local folder as it is, a Hub id as its folder in the local cache.

transformers asks the Hub for each file by itself and repeats every failed request for half a minute. Here the Hub is
asked once, with a deadline; without an answer the local cache is used, or the error says what is wrong.
"""

import difflib
import os
import re
import time
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

from panollava_hf._errors import ModelError, boundary
from panollava_hf.outside._deadline import within

#: Seconds that the first request to the Hub may take.
DEADLINE = 6.0
#: Seconds in which a Hub that did not answer is not asked again, and that Hub with the time.
SILENCE = 30.0
_silent: tuple[str, float] | None = None
#: What to do with a model for llama.cpp.
SERVE_GGUF = "serve it, for example with llama-server of llama.cpp, and pass --base-url"
#: A Hub id: `owner/name`, or the name alone for a few old models.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
#: Configs, tokenizers and chat templates.
SMALL_FILES = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".spm")
#: What states the licence of a model.
MODEL_CARD = "README.md"
#: Folders inside a model that are read, too.
SUBFOLDERS = ("adapter", "additional_chat_templates")

Wanted = Literal["config", "settings", "everything"]


def find_source(
    name: str | Path,
    wanted: Wanted = "everything",
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    subfolder: str = "",
) -> Path:
    """The local folder with the files of a model; missing files of a Hub model are downloaded.

    Args:
        name: A folder or Hub id.
        wanted: Which files a Hub model needs: its config, all settings (also tokenizer and chat template), or these and
            the weights. Code is never downloaded.
        revision: Branch, tag or commit of a Hub model.
        token: Token for the Hub; default: the one that is stored.
        cache_dir: Folder of the local cache.
        local_files_only: Whether to use the local cache alone.
        force_download: Whether to download files again that are in the cache.
        subfolder: Folder of the model inside the folder or repository.

    Raises:
        ModelError: There is no such folder, the Hub cannot be reached and the model is not in the local cache, or the
            Hub has no such model or refuses it. The message contains no token.
    """
    try:
        if Path(name).is_dir():
            return Path(name) / subfolder
        if Path(name).exists() or not HUB_ID.fullmatch(str(name)):
            raise ModelError(no_folder(name))
    except (OSError, ValueError) as error:  # a name that is too long, or that no file can have
        raise error if isinstance(error, ModelError) else ModelError(no_folder(str(name)[:200])) from error
    config = str(PurePosixPath(subfolder, "config.json"))
    options: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir}
    check_endpoint()
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

    problem: BaseException | None = None
    files: list[str] = []
    global _silent
    if not local_files_only:
        try:
            api = HfApi(token=token)
            if _silent is not None and _silent[0] == api.endpoint and time.monotonic() - _silent[1] < SILENCE:
                raise TimeoutError  # it was waited for already: a command may ask for several models and files
            # Looking up a host name has no time limit of its own.
            about = within(DEADLINE, lambda: api.model_info(str(name), revision=revision, timeout=DEADLINE))
            files = [entry.rfilename for entry in about.siblings or []]
        except Exception as error:
            if _is_final(error):
                raise ModelError(_explained(str(name), error)) from error
            problem = error
            waited = _silent is None or time.monotonic() - _silent[1] >= SILENCE
            if waited and (isinstance(error, TimeoutError) or "Timeout" in type(error).__name__):
                _silent = (api.endpoint, time.monotonic())
    if not files:
        cached = try_to_load_from_cache(str(name), config, **options)
        if not isinstance(cached, str):
            raise ModelError(_explained(str(name), problem)) from problem
        return Path(cached).parent
    if config not in files:
        raise ModelError(f"{name}: this model on the Hub has no {config}; expected a model of transformers")
    options |= {"token": token, "force_download": force_download}
    try:
        found = Path(hf_hub_download(str(name), config, **options)).parent
        options["revision"] = found.name if not subfolder else found.parents[subfolder.strip("/").count("/")].name
        for file in _wanted_files(files, wanted, subfolder):
            hf_hub_download(str(name), file, **options)
    except Exception as error:
        if _is_final(error) or status_of(error) in (401, 403):
            raise ModelError(_explained(str(name), error)) from error
        raise ModelError(
            f"{name}: the download from the Hub failed ({_reason(error)}); try again, files that are complete are kept"
        ) from error
    return found


def check_endpoint() -> None:
    """Check the address of the Hub; a wrong one makes the import of huggingface_hub fail.

    Raises:
        ModelError: It is not a URL.
    """
    with boundary(ModelError, "the environment variable HF_ENDPOINT is not a URL", "correct or remove it"):
        _ = urlsplit(os.environ.get("HF_ENDPOINT", "")).port


def no_folder(name: str | Path) -> str:
    """The message about a name that is neither a folder nor a Hub id."""
    shown = str(name)[:200]
    if Path(name).is_file() and Path(name).suffix.lower() == ".gguf":
        return f"{shown}: this is a GGUF file; {SERVE_GGUF}"
    if Path(name).is_file():
        return f"{shown}: this is a file, expected a folder"
    if shown.startswith((".", "/", "~", "\\")) or Path(name).is_absolute():
        return f"{shown}: there is no such folder"
    return f"{shown}: there is no such folder, and it is not a Hub id (owner/name)"


def _wanted_files(files: list[str], wanted: Wanted, subfolder: str) -> list[str]:
    """The files of a repository that are needed besides its config."""
    if wanted == "config":
        return []
    base = PurePosixPath(subfolder)
    near = {file: PurePosixPath(file).relative_to(base) for file in files if PurePosixPath(file).is_relative_to(base)}
    known = {file: inside for file, inside in near.items() if len(inside.parts) == 1 or inside.parts[0] in SUBFOLDERS}
    weights = _weights({str(inside) for inside in known.values()}) if wanted == "everything" else set()
    return [
        file
        for file, inside in known.items()
        if str(inside) in weights
        or inside.suffix in SMALL_FILES
        or str(inside) == MODEL_CARD
        or (wanted == "everything" and inside.parts[0] == "adapter" and inside.suffix == ".safetensors")
    ]


def _weights(names: set[str]) -> set[str]:
    """The files of the weights that transformers would load: one kind only."""
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        if f"{stem}{suffix}" in names:
            return {f"{stem}{suffix}"}
        if f"{stem}{suffix}.index.json" in names:
            parts = {name for name in names if "/" not in name and name.endswith(suffix)}
            return {name for name in parts if name.startswith(f"{stem}-")} or parts
    return set()


def _is_final(error: BaseException) -> bool:
    """Whether an answer of the Hub counts even if the model is in the local cache."""
    from huggingface_hub import errors

    wrong_name = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError)
    return isinstance(error, wrong_name) and not isinstance(error, errors.GatedRepoError)


def _explained(name: str, error: BaseException | None) -> str:
    """The message about a model that cannot be had from the Hub."""
    from huggingface_hub import errors

    login = "log in with `hf auth login`"
    if error is None or isinstance(error, errors.OfflineModeIsEnabled):
        text = "no such folder, and this model is not in the local cache (offline mode, HF_HUB_OFFLINE)"
    elif isinstance(error, errors.GatedRepoError):
        text = f"this model on the Hub is gated; request access on its page and {login}"
    elif isinstance(error, errors.RevisionNotFoundError):
        text = "this model on the Hub has no such revision; choose a branch, tag or commit of it"
    elif isinstance(error, errors.HFValidationError):
        text = "there is no such folder, and it is not a Hub id (owner/name)"
    elif isinstance(error, errors.RepositoryNotFoundError) or status_of(error) == 404:
        text = f"no such folder, and no model of this name on the Hub; check the name, or {login} if it is private"
    elif status_of(error) in (401, 403):
        text = f"the Hub refuses access to this model (HTTP status {status_of(error)}); {login}"
    elif status_of(error) is not None:
        text = f"no such folder, and the Hub does not work ({_reason(error)}); try again later, or use a local folder"
    else:
        text = (
            f"no such folder, and the Hub cannot be reached ({_reason(error)}); check the network, or use a local "
            "folder, which works offline"
        )
    if difflib.get_close_matches(name, ["embedded"], 1, cutoff=0.8):
        text += "; did you mean embedded?"
    return f"{name}: {text}"


def _reason(error: BaseException) -> str:
    """Why a request failed, without its URL, which may contain a password."""
    if (status := status_of(error)) is not None:
        return f"HTTP status {status}"
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 10:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in chain):
        return f"no answer within {DEADLINE:g} seconds"
    texts = [str(cause.strerror) for cause in chain if isinstance(cause, OSError) and cause.strerror]
    return texts[-1] if texts else type(error).__name__


def status_of(error: BaseException | None) -> int | None:
    """The status of HTTP with which the Hub refused; None if the error is another."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
