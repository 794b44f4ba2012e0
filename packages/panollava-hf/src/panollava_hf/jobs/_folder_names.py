"""A folder below the output for every panorama: from its id, unique, and inside the output on every file system."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from panollava_geometry.addresses import is_address, source_name

from panollava_hf.jobs.sources._folder import WRITTEN_BY_CROP

#: Names that Windows keeps for devices, with any suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³")}
#: What a file name cannot contain on some system, and control characters.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\ud800-\udfff]')
#: Longest part of a path, in bytes of UTF-8; file systems take 255.
_MAX_PART = 150
#: Letters and digits of a digest of the id.
_DIGEST = 10


def folder_name(id: str, *, digest: bool = True, suffix: bool = False) -> str:
    """The folder of a panorama, as a relative path with slashes.

    Args:
        id: The panorama's id.
        digest: Whether the name ends in a digest of the id; then no other id has it. It always does if a part of the
            id could not stay as it is.
        suffix: Whether the name keeps the suffix of the file.

    Example:
        >>> folder_name("town/square.jpg", digest=False), folder_name("../../etc/passwd"), folder_name("square.jpg")
        ('town/square', 'etc/passwd-3754d6cb3a', 'square-c593e50278')
    """
    parts = [_last_part(id)] if is_address(id) else [part for part in id.split("/") if part not in ("", ".")]
    kept = [part for part in (_safe(part) for part in parts) if part] or ["panorama"]
    *folders, last = kept
    folders = [f"_{part}" if WRITTEN_BY_CROP.fullmatch(part.lower()) else part for part in folders]
    changed = [*folders, last] != parts or id.startswith("/")
    stem = last if suffix else _safe(PurePosixPath(last).stem) or last
    if WRITTEN_BY_CROP.fullmatch(stem.lower()):
        stem, changed = f"_{stem}", True
    if digest or changed:
        stem += f"-{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGEST]}"
    return "/".join([*folders, stem])


def exceptional_names(ids: Iterable[str], reserved: Iterable[str] = ()) -> dict[str, str]:
    """The folders of those panoramas of a source that cannot have `folder_name(id, digest=False)`.

    Of panoramas whose names are equal, also in another case or Unicode form, each keeps its suffix, or has a digest of
    its id where that is not enough. A name does not depend on the order of the source.

    Args:
        ids: All ids of a source.
        reserved: Names at the top of the output that are taken.
    """
    ids = list(ids)
    taken = {_key(name) for name in reserved}
    plain = [folder_name(id, digest=False) for id in ids]
    doubtful = _repeated(map(_key, plain)) | {i for i, name in enumerate(plain) if _key(name) in taken}
    if not doubtful:
        return {}
    others = {_key(name) for i, name in enumerate(plain) if i not in doubtful}
    order = sorted(doubtful)
    long = [folder_name(ids[i], digest=False, suffix=True) for i in order]
    repeated = _repeated(map(_key, long))
    names = {}
    for place, i in enumerate(order):
        key = _key(long[place])
        is_free = place not in repeated and key not in others and key not in taken
        names[ids[i]] = long[place] if is_free else folder_name(ids[i], suffix=True)
    return names


def _safe(part: str) -> str:
    """A part of a path without what some system refuses; empty if nothing is left."""
    text = _FORBIDDEN.sub("_", part).strip(" ").rstrip(". ")
    if not text.strip("."):
        return ""
    while len(text.encode()) > _MAX_PART:
        text = text[:-1].rstrip(". ")
    return f"_{text}" if text.split(".")[0].strip().lower() in _DEVICES else text


def _last_part(address: str) -> str:
    """The name of the file of a URL, without its query."""
    return source_name(address).rstrip("/").rpartition("/")[2]


def _key(name: str) -> str:
    """What two names have in common that a file system may not distinguish."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _repeated(keys: Iterable[str]) -> set[int]:
    """Places of the keys that occur more than once."""
    first: dict[int, int] = {}
    found = set()
    for place, key in enumerate(keys):
        number = int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        before = first.setdefault(number, place)
        if before != place:
            found |= {before, place}
    return found
