"""Samples of one's own: a folder of panoramas that a page offers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panollava_hf._errors import UsageError
from panollava_hf._shown import shown
from panollava_hf.demo._samples import Sample
from panollava_hf.outside._json_file import CONFIG_BYTES, parse_json, read_bytes

#: The file that gives titles and questions; without it, all images are offered under the names of their files.
LISTING = "samples.json"
#: Kinds of images.
KINDS = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff")
#: Most samples, and the longest texts.
MAX_SAMPLES, MAX_TITLE, MAX_QUESTION = 100, 80, 300
REMEDY = 'expected a list of {"file": …, "title": …, "questions": […]}'


def read_folder(folder: Path) -> dict[str, Sample]:
    """The samples of a folder by their titles.

    Args:
        folder: A folder with images and, optionally, `samples.json`: a list of objects with `file`, `title` and
            `questions`.

    Raises:
        UsageError: The folder has no images, or its list is not of this kind.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "old-town.jpg").touch()
        >>> [sample.title for sample in read_folder(folder).values()]
        ['old town']
    """
    if not folder.is_dir():
        raise UsageError(f"--samples {shown(str(folder))}: there is no such folder")
    listing = folder / LISTING
    found = list(_listed(folder, listing) if listing.exists() else _all(folder))
    if not found:
        raise UsageError(f"--samples {shown(str(folder))}: this folder has no images ({', '.join(KINDS)})")
    samples = {sample.title: sample for sample in found[:MAX_SAMPLES]}
    if len(samples) < len(found):
        problem = f"more than {MAX_SAMPLES} samples" if len(found) > MAX_SAMPLES else "two samples with one title"
        raise UsageError(f"--samples {shown(str(folder))}: {problem}; remove or rename some")
    return samples


def _all(folder: Path) -> Iterator[Sample]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in KINDS and path.is_file():
            title = " ".join(path.stem.replace("-", " ").replace("_", " ").split())
            yield Sample(title[:MAX_TITLE] or path.name[:MAX_TITLE], (), path=path)


def _listed(folder: Path, listing: Path) -> Iterator[Sample]:
    content = read_bytes(listing, CONFIG_BYTES, kind=UsageError)
    entries = parse_json(content, str(listing), kind=UsageError, remedy=REMEDY)
    if not isinstance(entries, list):
        raise UsageError(f"{listing}: {REMEDY}, got {shown(entries)}")
    for number, entry in enumerate(entries, 1):
        where = f"{listing}, entry {number}"
        if not isinstance(entry, dict):
            raise UsageError(f"{where}: {REMEDY}, got {shown(entry)}")
        name = _text(entry.get("file"), f"{where}: file", 255)
        if Path(name).name != name or not (folder / name).is_file():
            raise UsageError(f"{where}: there is no file {shown(name)} in this folder")
        questions = entry.get("questions", [])
        if not isinstance(questions, list):
            raise UsageError(f"{where}: questions must be a list of texts, got {shown(questions)}")
        texts = tuple(_text(question, f"{where}: a question", MAX_QUESTION) for question in questions)
        yield Sample(_text(entry.get("title", name), f"{where}: title", MAX_TITLE), texts, path=folder / name)


def _text(value: Any, what: str, most: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise UsageError(f"{what} must be a text of 1 to {most} characters, got {shown(value)}")
    return value.strip()
