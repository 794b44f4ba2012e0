"""Open a panorama given as a path, URL, bytes or file object. Nothing is decoded here."""

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, cast

from PIL import Image, UnidentifiedImageError

from panollava_geometry._errors import PanoramaError, boundary, one_line
from panollava_geometry._printable import printable_name
from panollava_geometry._sources._address import is_address, shown_address
from panollava_geometry._sources._formats import FORMATS
from panollava_geometry._sources._plugin_formats import CHECKED_FORMATS, open_with_plugin
from panollava_geometry._sources._quiet import quiet_pillow
from panollava_geometry._sources._xmp import as_bytes

#: Pixels of the largest image that is decoded: about 18900 x 9450, Pillow's own hard limit.
MAX_PIXELS = 178_956_970

#: `BytesIO` is listed because a runtime checker does not accept it as `BinaryIO`: it has neither name nor mode.
BinaryFile = BinaryIO | io.BufferedIOBase
FileSource = str | os.PathLike[str] | bytes | BinaryFile
#: Longest name of a source in messages.
_MAX_NAME = 300


def source_name(source: object, *, shorten: bool = True) -> str:
    """The name of a source in messages. A URL is shown without its query and credentials.

    Args:
        source: Path, URL, file object or anything else that panoramas are loaded from.
        shorten: Whether the middle of a long URL is left out.
    """
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return shown_address(path, shorten=shorten) if is_address(path) else _shown(path) or "''"
    if isinstance(source, Image.Image):
        return _shown(getattr(source, "filename", "")) or "the image"
    return _shown(getattr(source, "name", "")) or f"the {type(source).__name__}"


def _shown(name: object) -> str:
    """A name of bounded length as one line that any stream can print."""
    text = os.fsdecode(name) if isinstance(name, str | bytes) else str(name)
    return printable_name(text if len(text) <= _MAX_NAME else f"…{text[1 - _MAX_NAME :]}")


@contextlib.contextmanager
def open_image(source: FileSource, name: str | None = None) -> Iterator[Image.Image]:
    """Open the image of a source without decoding it. It is closed afterwards if it was opened here.

    Args:
        source: The source.
        name: Its name in messages. Default: `source_name(source)`.

    Raises:
        PanoramaError: The file is missing, cannot be downloaded, is not an image, or is too large.
    """
    name = source_name(source) if name is None else name
    with contextlib.ExitStack() as stack:
        file = open_file(source, name, stack)
        with boundary(f"{name}: the file is damaged, its header cannot be read", "get the file again"):
            try:
                image = _identify(file, name)
            except UnidentifiedImageError as error:
                raise PanoramaError(
                    f"{name}: this is not an image that Pillow can read; expected JPEG, PNG, WebP or TIFF"
                ) from error
            except Image.DecompressionBombError as error:
                raise PanoramaError(f"{name}: {_too_large(str(error))}") from error
        stack.callback(image.close)
        check_pixels(name, *image.size)
        if not isinstance(image.info.get("xmp", b""), bytes):  # a TIFF tag of another type, which Pillow trips over
            image.info["xmp"] = as_bytes(image.info["xmp"], image)
        yield image


def check_pixels(name: str, width: int, height: int) -> None:
    """Refuse images with more than `MAX_PIXELS` pixels.

    Raises:
        PanoramaError: The image is too large, or empty.
    """
    if width < 1 or height < 1:
        raise PanoramaError(f"{name}: the image is empty ({width}x{height})")
    if width * height > MAX_PIXELS:
        raise PanoramaError(f"{name}: {_too_large(f'{width}x{height}')}")


def check_path(path: str) -> None:
    """Check that a path exists.

    Raises:
        PanoramaError: It does not.
    """
    _status(path, source_name(path))


def _status(path: str | bytes, name: str) -> os.stat_result:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_such_file(name) from error
    except (OSError, ValueError) as error:
        raise _cannot_open(name, error) from error


def _cannot_open(name: str, error: Exception) -> PanoramaError:
    reason = getattr(error, "strerror", None) or one_line(error)
    return PanoramaError(f"{name}: the file cannot be opened ({reason}); check the path and its permissions")


def _no_such_file(name: str) -> PanoramaError:
    return PanoramaError(f"{name}: no such file; check the path")


def _too_large(size: str) -> str:
    return f"the image is too large ({size}); reduce it to at most {MAX_PIXELS} pixels (about 18900x9450)"


def _identify(file: BinaryFile, name: str) -> Image.Image:
    """Open an image in one of `FORMATS`.

    Pillow's plugins of rare formats are imported only for a file that is in no common format. Its warning above half of
    its size limit is suppressed, because 16K panoramas exceed it. The limit itself stays.
    """
    with quiet_pillow():
        Image.preinit()
        common = [kind for kind in FORMATS if kind in Image.OPEN and kind not in CHECKED_FORMATS]
        try:
            return Image.open(cast("BinaryIO", file), formats=common)
        except UnidentifiedImageError:
            Image.init()
            rare = [kind for kind in FORMATS if kind in Image.OPEN and kind not in (*common, *CHECKED_FORMATS)]
            try:
                if not rare:
                    raise
                return Image.open(cast("BinaryIO", file), formats=rare)
            except UnidentifiedImageError:
                image = open_with_plugin(file, name, check_pixels)
                if image is None:
                    raise
                return image


def _download(url: str, name: str) -> bytes:
    from panollava_geometry._sources._download import download

    return download(url, name)


def open_file(source: FileSource, name: str, stack: contextlib.ExitStack) -> BinaryFile:
    """Open a source as a binary file. It is closed by the stack if it was opened here.

    Raises:
        PanoramaError: The file is missing, empty, not a regular file, or cannot be downloaded.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        if not source:
            raise PanoramaError(f"{name}: the input is empty (0 bytes)")
        return io.BytesIO(source)
    if isinstance(source, str) and is_address(source):
        return io.BytesIO(_download(source, name))
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        status = _status(path, name)
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            raise PanoramaError(f"{name}: this is a folder; pass an image file")
        if not stat.S_ISREG(mode):  # reading could wait for ever, or never end
            raise PanoramaError(f"{name}: this is a {_kind(mode)}, not a regular file; read it and pass its bytes")
        if status.st_size == 0:
            raise PanoramaError(f"{name}: the file is empty (0 bytes); get it again")
        try:
            return stack.enter_context(open(path, "rb"))
        except FileNotFoundError as error:
            raise _no_such_file(name) from error
        except OSError as error:
            raise _cannot_open(name, error) from error
    if hasattr(source, "read"):
        return source
    raise PanoramaError(
        f"cannot load a panorama from {type(source).__name__}: "
        "pass a path, URL, bytes, file object, Pillow image, array or tensor"
    )


def _kind(mode: int) -> str:
    return "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
