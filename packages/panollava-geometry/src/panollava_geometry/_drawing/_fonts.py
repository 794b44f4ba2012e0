"""Fonts: the one that comes with Pillow, and installed fonts for the letters that it lacks."""

import os
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import ImageFont, features

from panollava_geometry._errors import PanoramaWarning
from panollava_geometry._printable import printable_line

#: A length in pixels. `int` is listed for beartype, as in `_sphere.Degrees`.
Pixels = float | int

#: A font file that is tried before the installed ones.
FONT_VARIABLE = "PANOLLAVA_FONT"
_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
#: Styles that are taken only if no other font has the letters.
_STYLES = (
    "bold",
    "italic",
    "oblique",
    "black",
    "light",
    "thin",
    "condensed",
    "narrow",
    "mono",
    "serif",
    "display",
    "math",
)
#: Size at which letters are compared with the sign that a font draws for letters that it lacks.
_PROBE = 24
#: Scripts that were warned of in this process.
_warned: set[str] = set()
#: Not a character: every font draws its sign for missing letters.
_MISSING = "\U0010ffff"


@lru_cache(maxsize=64)
def font(size: Pixels) -> Any:
    """Pillow's own font in a size in pixels. It has the letters of English only; `text_line` finds others.

    Example:
        >>> from panollava_geometry.drawing import font
        >>> font(20).getlength("ahead") > font(10).getlength("ahead")
        True
    """
    return ImageFont.load_default(size=size)


def fonts_for(text: str, size: Pixels) -> list[tuple[Any, str]]:
    """Divide a text into parts that are drawn one after the other, each with a font that has its letters.

    Letters that no installed font has become question marks, and a warning says so once for each script.
    """
    faces = {letter: _face(letter) for letter in set(text) if _needs_glyph(letter)}
    lacking = sorted(letter for letter, path in faces.items() if path is None)
    if lacking:
        _warn_of(lacking)
        text = "".join("?" if letter in lacking else letter for letter in text)
    others = sorted({path for path in faces.values() if path})
    if not others:
        return [(font(size), text)]
    whole = next(
        (path for path in others if all(_has(_probe(path), letter) for letter in faces if letter in text)), None
    )
    if whole is None and any(_right_to_left(letter) for letter in text):  # the order of parts would have to be found
        whole = max(others, key=list(faces.values()).count)
    if whole is not None:
        return [(_open(whole, size), text)]
    parts: list[tuple[str, str]] = []
    for letter in text:
        path = faces.get(letter, parts[-1][0] if parts else "") or ""
        if parts and parts[-1][0] == path:
            parts[-1] = (path, parts[-1][1] + letter)
        else:
            parts.append((path, letter))
    return [(_open(path, size), part) for path, part in parts]


@lru_cache(maxsize=256)
def _open(path: str, size: Pixels) -> Any:
    return ImageFont.truetype(path, size) if path else font(size)


@lru_cache(maxsize=4096)
def _face(letter: str) -> str | None:
    """The file of the first font that has a letter: "" for Pillow's own font, None if no font has it."""
    if (_right_to_left(letter) or _is_mark(letter)) and not _shapes():
        return None
    if _has(font(_PROBE), letter):
        return ""
    for path in installed_fonts():
        face = _probe(path)
        if face is not None and _has(face, letter):
            return path
    return None


def _has(face: Any, letter: str) -> bool:
    """Whether a font draws a letter as anything else than its sign for missing letters."""
    drawn, missing = face.getmask(letter), face.getmask(_MISSING)
    return (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))


@lru_cache(maxsize=4096)
def _probe(path: str) -> Any:
    try:
        return ImageFont.truetype(path, _PROBE, layout_engine=ImageFont.Layout.BASIC)
    except (OSError, ValueError):  # damaged, or without outlines (fonts of colour bitmaps)
        return None


@lru_cache(maxsize=1)
def installed_fonts() -> tuple[str, ...]:
    """Files of all installed fonts, upright sans-serif fonts first."""
    named = os.environ.get(FONT_VARIABLE)
    if named and _probe(named) is None:
        warnings.warn(
            f"{FONT_VARIABLE}: {printable_line(named)} cannot be read as a font file; name a .ttf, .otf or .ttc file",
            PanoramaWarning,
            stacklevel=2,
        )
    found = {str(path) for folder in _folders() for path in _fonts_in(folder)}
    return (*([named] if named else []), *sorted(found, key=_rank))


def _fonts_in(folder: Path) -> Iterable[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names if name.lower().endswith(_SUFFIXES))


def _rank(path: str) -> tuple[int, bool, int, str]:
    name = Path(path).name.lower().replace("sansserif", "sans").replace("sans-serif", "sans")
    styles = sum(style in name for style in _STYLES)
    return styles, not name.startswith(("dejavusans", "notosans")), len(name), path


def _folders() -> Sequence[Path]:
    """Where operating systems keep fonts; for Linux after the XDG Base Directory Specification."""
    home = Path(os.path.expanduser("~"))
    if not home.is_absolute():  # there is no home folder: only the fonts of the system
        home = Path(os.devnull)
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
        return [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts", local / "Microsoft" / "Windows" / "Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    data = os.environ.get("XDG_DATA_HOME") or home / ".local" / "share"
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [home / ".fonts", *(Path(folder) / "fonts" for folder in (data, *shared.split(":")))]


def _needs_glyph(letter: str) -> bool:
    """Whether a character is drawn at all: spaces and control characters are not."""
    return unicodedata.category(letter)[0] not in "ZC"


def _right_to_left(letter: str) -> bool:
    return unicodedata.bidirectional(letter) in ("R", "AL")


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter)[0] == "M"


@lru_cache(maxsize=1)
def _shapes() -> bool:
    """Whether Pillow joins letters and orders right-to-left text (libraqm with FriBiDi)."""
    return bool(features.check("raqm") and features.check("fribidi"))


def _warn_of(letters: Sequence[str]) -> None:
    scripts = {unicodedata.name(letter, "UNNAMED").split(maxsplit=1)[0]: letter for letter in reversed(letters)}
    for script, letter in sorted(scripts.items()):
        if script not in _warned:
            _warned.add(script)
            warnings.warn(
                f"no installed font has {script.lower()} characters such as U+{ord(letter):04X}: they are drawn as "
                "question marks; install a font that has them (for example Noto Sans), or name its file in "
                f"{FONT_VARIABLE}",
                PanoramaWarning,
                stacklevel=2,
            )
