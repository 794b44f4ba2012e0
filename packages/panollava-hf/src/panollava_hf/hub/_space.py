"""Folders that are Spaces of the Hub: the file that lists what `panollava space` wrote, and the check before a push."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from panollava_hf._errors import PushError, boundary
from panollava_hf._shown import shown
from panollava_hf.hub._push import PushPlan, check_repository, check_tag, find_files
from panollava_hf.outside._json_file import read_object
from panollava_hf.outside._plain_yaml import parse_yaml

#: The file in which `panollava space` lists the files that it wrote, with their hashes.
LISTING = "panollava-space.json"
#: Kinds of files that a Space may have. A key, an archive or a log of this machine is none of them.
KINDS = (".css", ".html", ".jpeg", ".jpg", ".js", ".json", ".md", ".png", ".py", ".toml", ".txt", ".webp")
#: Files without a suffix.
NAMES = ("LICENSE",)
#: The largest folder. Weights belong into a model of the Hub.
MAX_BYTES = 100 << 20
REMEDY = "write the folder again with `panollava space`"


def listing_of(folder: Path) -> dict[str, str] | None:
    """Hashes of the files that `panollava space` wrote into a folder, by name; None if it did not write the folder.

    Raises:
        PushError: The list is damaged.
    """
    path = folder / LISTING
    if not path.is_file():
        return None
    found = read_object(path, kind=PushError, remedy=REMEDY).get("files")
    if not isinstance(found, dict) or not all(_is_inside(name) and isinstance(h, str) for name, h in found.items()):
        raise PushError(f"{path}: files must be an object with names and hashes of files in this folder; {REMEDY}")
    return found


def digest(content: bytes) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def plan_space(
    folder: Path, repo_id: str, *, tag: str | None = None, private: bool = True, message: str | None = None
) -> PushPlan:
    """Check a Space's folder before it is pushed. Nothing is sent.

    Args:
        folder: A folder that `panollava space` wrote. Files may have been changed or added since then.
        repo_id: `owner/name`.
        tag: Tag of the new commit.
        private: Whether a new Space is made private.
        message: Commit message; default: "Upload" and the tag.

    Raises:
        PushError: The folder is not a Space, is incomplete or contains other things, or a name is not valid on the Hub.
        OSError: The folder cannot be read.
    """
    check_repository(repo_id)
    check_tag(tag)
    listed = listing_of(folder)
    if listed is None:
        raise PushError(f"{folder} has no {LISTING}: push a folder that `panollava space` wrote")
    files = find_files(folder, nested=True)
    missing = sorted({*listed, "README.md", "requirements.txt"} - set(files))
    if missing:
        raise PushError(f"{folder} is incomplete: it lacks {', '.join(missing[:5])}; {REMEDY}")
    others = [name for name in files if not name.lower().endswith(KINDS) and name not in NAMES]
    if others:
        raise PushError(
            f"{folder} contains {shown(', '.join(others[:5]))}: a Space may have files of the kinds "
            f"{', '.join(KINDS)}; remove the others before pushing"
        )
    _check_front_matter(folder, files)
    plan = PushPlan(folder, repo_id, tag, private, message or f"Upload {tag or 'Space'}", files, "space")
    if plan.size > MAX_BYTES:
        raise PushError(f"{folder} has {plan.size >> 20} MB, more than {MAX_BYTES >> 20}; remove large files")
    return plan


def _check_front_matter(folder: Path, files: tuple[str, ...]) -> None:
    """The Hub starts what the front matter names; without it, the Space shows an error page only."""
    path = folder / "README.md"
    with boundary(PushError, f"{path} is not UTF-8", REMEDY):
        lines = path.read_bytes().decode("utf-8").splitlines()
    found = parse_yaml("\n".join(_front_matter(lines)), f"the front matter of {path}", PushError)
    if not isinstance(found, dict) or found.get("sdk") != "gradio" or not isinstance(found.get("app_file"), str):
        raise PushError(f"{path}: its front matter must have `sdk: gradio` and an app_file; {REMEDY}")
    if found["app_file"] not in files:
        raise PushError(f"{path}: the app_file {shown(found['app_file'])} is not in the folder; {REMEDY}")


def _front_matter(lines: list[str]) -> Iterator[str]:
    """The lines between the first two lines `---`."""
    if lines and lines[0].strip() == "---" and "---" in (line.strip() for line in lines[1:]):
        for line in lines[1:]:
            if line.strip() == "---":
                return
            yield line
