r"""What the model card of a tower says: its licence, and the model that it comes from. Nothing is downloaded here."""

import re
from pathlib import Path
from typing import Any

from panollava_hf._shown import shown

#: Bytes of a model card that are read for its metadata.
CARD_BYTES = 2**16
#: Longest name, licence and revision of a tower.
MAX_NAME = 96
#: What identifies a tower: its name; the Hub id of the model that a local folder names as its base; its licence, as
#: the Hub spells it; its commit on the Hub.
FIELDS = ("name", "base_model", "license", "revision")
#: How the texts of licences begin that towers often have.
LICENCE_TEXTS = {
    "apache-2.0": r"\s*Apache License\s+Version 2\.0",
    "mit": r"\s*(?:The )?MIT License\b",
}
_LICENCE = r"[A-Za-z0-9][A-Za-z0-9.+-]{0,39}"
_HUB_ID = r"\w[\w.-]*/\w[\w.-]*"


def hub_id(name: str | None) -> str | None:
    """The name of a tower if it is a Hub id; None for a local folder, whose path stays private."""
    return name if name and len(name) <= MAX_NAME and re.fullmatch(_HUB_ID, name) else None


def public_name(name: str) -> str:
    """A Hub id as it is; of a folder, its last name, because its path is private."""
    return hub_id(name) or Path(name.replace("\\", "/")).name[:MAX_NAME]


def stated_licence(source: str | Path) -> str | None:
    r"""The licence that the model card in a local folder states; None if there is no card, or it states none.

    Args:
        source: The folder of a model; a Hub id has no local card.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A tower")
        >>> stated_licence(folder)
        'apache-2.0'
    """
    licence = _stated(source, "license", _LICENCE)
    # A licence of its own has a name, such as "qwen-research".
    return (_stated(source, "license_name", _LICENCE) or licence) if licence == "other" else licence


def _stated(source: str | Path, key: str, pattern: str) -> str | None:
    """A text in the metadata of the card in a local folder, on one line or as a list of one."""
    card = Path(source) / "README.md"
    if not Path(source).is_dir() or not card.is_file():
        return None
    with card.open("rb") as stream:
        text = stream.read(CARD_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return None
    value = rf"['\"]?({pattern})['\"]?[ \t]*$"
    line = rf"^{key}:(?:[ \t]*{value}|[ \t]*\n[ \t]*-[ \t]+{value}(?!\n[ \t]*-))"
    found = re.search(line, text[4:].partition("\n---")[0], re.MULTILINE)
    return (found[1] or found[2]) if found else None


def tower_licence(name: str) -> str | None:
    """The licence of a tower, from files on this machine; None if they do not state one.

    Args:
        name: Its folder, whose card or file `LICENSE` is read, or its Hub id, whose card may be in the local cache.
    """
    if not name:
        return None
    folder = Path(name)
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            card = try_to_load_from_cache(name, "README.md")
        except HFValidationError:  # a folder of another machine
            return None
        return stated_licence(Path(card).parent) if isinstance(card, str) else None
    if (stated := stated_licence(folder)) is not None:
        return stated
    for file in sorted(folder.glob("LICENSE*")):
        if file.is_file():
            with file.open("rb") as stream:
                text = stream.read(CARD_BYTES).decode("utf-8", "replace")
            return next((kind for kind, start in LICENCE_TEXTS.items() if re.match(start, text)), None)
    return None


def tower_source(name: str, folder: str | Path, known_as: str | None = None) -> dict[str, str]:
    r"""What a config keeps about the origin of a tower: `FIELDS` that are known. No path of this machine is in it.

    Args:
        name: Folder or Hub id, as the user named it.
        folder: The local folder with its files; for a Hub id a snapshot of the local cache.
        known_as: Another name for it.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "dinov2-small"
        >>> folder.mkdir()
        >>> _ = (folder / "README.md").write_text("---\nlicense: apache-2.0\nbase_model: facebook/dinov2-small\n---\n")
        >>> tower_source(str(folder), folder)
        {'name': 'dinov2-small', 'base_model': 'facebook/dinov2-small', 'license': 'apache-2.0'}
    """
    path = Path(folder)
    is_local = Path(name).is_dir()
    snapshot = path.name if not is_local and re.fullmatch("[0-9a-f]{40}", path.name) else None
    found = {
        "name": public_name(known_as or (str(Path(name).resolve()) if is_local else name)),
        "base_model": hub_id(_stated(path, "base_model", _HUB_ID)) if is_local else None,
        "license": tower_licence(str(path)) or (None if is_local else tower_licence(name)),
        "revision": snapshot,
    }
    return {field: value for field, value in found.items() if value}


def checked_source(field: str, given: Any) -> dict[str, str] | None:
    """The origin of a tower as a config gives it; paths are reduced to their last name.

    Args:
        field: Name of the field, for messages.
        given: Its value, from a file that anyone may have written.

    Raises:
        ValueError: It is not an object with known fields and short texts.
    """
    if given is None:
        return None
    limit = 2 * MAX_NAME
    if not isinstance(given, dict) or not all(
        name in FIELDS and isinstance(value, str) and len(value) <= limit for name, value in given.items()
    ):
        raise ValueError(f"{field} must be an object with texts for {', '.join(FIELDS)}, got {shown(given)}")
    return {**given, "name": public_name(given["name"])} if "name" in given else dict(given)
