"""Write a folder that is a Space of the Hub: the page of `panollava demo` as its app."""

import json
from collections.abc import Mapping
from pathlib import Path

from panollava_hf._errors import OutputExistsError, PushError
from panollava_hf._files import require_new, staged_folder, write_whole
from panollava_hf._shown import listed
from panollava_hf.demo._space_samples import listing_text, read_samples
from panollava_hf.demo._space_texts import SpaceFacts, app_text, readme_text, requirements_text, sources_text
from panollava_hf.hub._space import LISTING, digest, listing_of

#: The folder with the samples.
SAMPLES = "samples"


def space_files(facts: SpaceFacts) -> dict[str, bytes]:
    """All files of a Space, by their names relative to its folder."""
    samples = read_samples()
    texts = {
        "app.py": app_text(facts),
        "requirements.txt": requirements_text(facts),
        "README.md": readme_text(facts, samples),
        f"{SAMPLES}/SOURCES.md": sources_text(samples),
        f"{SAMPLES}/samples.json": listing_text(samples),
    }
    files = {name: text.encode() for name, text in texts.items()}
    files |= {f"{SAMPLES}/{sample.name}": sample.content for sample in samples}
    hashes = {name: digest(content) for name, content in files.items()}
    content = {"generator": f"panollava space {facts.version}", "model": facts.model, "files": hashes}
    files[LISTING] = (json.dumps(content, indent=2) + "\n").encode()
    return files


def write_space(output: Path, facts: SpaceFacts) -> tuple[str, ...]:
    """Write a Space's folder, whole or not at all.

    A Space that an earlier call wrote is written again, if its files have not been changed. Hidden files stay, so that
    the folder may be a clone of the Space's repository.

    Args:
        output: The folder. It must not exist, be empty, or be such a Space.
        facts: Its model, title and hardware.

    Returns:
        Names of the files.

    Raises:
        OutputExistsError: There is something else at `output`.
        OSError: The folder cannot be written.

    Example:
        >>> import tempfile
        >>> output = Path(tempfile.mkdtemp()) / "space"
        >>> "app.py" in write_space(output, SpaceFacts("embedded"))
        True
    """
    before = check_space(output)
    files = space_files(facts)
    if before is None:
        with staged_folder(output) as folder:
            for name, content in files.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content)
    else:
        _write_again(output, before, files)
    return tuple(sorted(files))


def check_space(output: Path) -> Mapping[str, str] | None:
    """Check that a Space can be written to a folder.

    Returns:
        The list of the Space that is there, which will be written again; None if there is none.

    Raises:
        OutputExistsError: The folder contains other or changed files.
    """
    try:
        before = listing_of(output)
    except PushError as error:
        raise OutputExistsError(f"{error}, in a new folder") from error
    if before is None:
        hidden_only = output.is_dir() and all(path.name.startswith(".") for path in output.iterdir())
        if hidden_only and any(output.iterdir()):
            return {}  # a fresh clone
        require_new(output)
        return None
    found = [path for path in output.rglob("*") if path.is_symlink() or not path.is_dir()]
    there = {path.relative_to(output).as_posix() for path in found}
    there = {name for name in there if not name.startswith(".")}
    others = sorted(there - {*before, LISTING})
    changed = sorted(name for name, known in before.items() if name in there and digest_of(output / name) != known)
    if others or changed:
        what = f"{listed(changed, 3)} changed" if changed else f"{listed(others, 3)} added"
        raise OutputExistsError(f"{output} is a Space with {what} since it was written; choose a new folder")
    return before


def digest_of(path: Path) -> str:
    """SHA-256 of a file; of a link's target never, since writing would change it."""
    return "link" if path.is_symlink() else digest(path.read_bytes())


def _write_again(output: Path, before: Mapping[str, str], files: Mapping[str, bytes]) -> None:
    """Replace the files of a Space in place; after an error, those that were there are there again."""
    stale = [output / name for name in before if name not in files and (output / name).is_file()]
    paths = [output / name for name in files]
    old = {path: path.read_bytes() for path in (*paths, *stale) if path.is_file()}
    try:
        for name, content in files.items():
            (output / name).parent.mkdir(exist_ok=True)
            write_whole(output / name, content)
        for path in stale:
            path.unlink()
    except BaseException:
        for path in paths:
            if path not in old:
                path.unlink(missing_ok=True)
        for path, content in old.items():
            write_whole(path, content)
        raise
