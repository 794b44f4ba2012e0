"""Open a panorama given as a path, URL, bytes or file object. Nothing is decoded here."""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from typing import BinaryIO, cast

from PIL import Image, UnidentifiedImageError

from panollava_geometry._address import is_address, shown_address
from panollava_geometry._errors import PanoramaError

#: Pixels of the largest image that is decoded: about 18900 x 9450, Pillow's own hard limit.
MAX_PIXELS = 178_956_970

#: `BytesIO` is listed because a runtime checker does not accept it as `BinaryIO`: it has neither name nor mode.
BinaryFile = BinaryIO | io.BufferedIOBase
FileSource = str | os.PathLike[str] | bytes | BinaryFile
#: What Pillow's decoders raise on broken data.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
)

_warnings_lock = threading.Lock()


def source_name(source: object) -> str:
    """The name of a source in messages. A URL is shown without its query and credentials."""
    if isinstance(source, str | os.PathLike):
        path = str(os.fspath(source))
        return shown_address(path) if is_address(path) else path
    if isinstance(source, Image.Image):
        return str(getattr(source, "filename", "") or "the image")
    return str(getattr(source, "name", "") or f"the {type(source).__name__}")


@contextlib.contextmanager
def open_image(source: FileSource) -> Iterator[Image.Image]:
    """Open the image of a source without decoding it. It is closed afterwards if it was opened here.

    Raises:
        PanoramaError: The file is missing, cannot be downloaded, is not an image, or is too large.
    """
    name = source_name(source)
    with contextlib.ExitStack() as stack:
        file = _open_file(source, name, stack)
        try:
            image = _open_without_warning(file)
        except UnidentifiedImageError as error:
            raise PanoramaError(
                f"{name}: this is not an image that Pillow can read; expected JPEG, PNG, WebP or TIFF"
            ) from error
        except Image.DecompressionBombError as error:
            raise PanoramaError(f"{name}: {_too_large(str(error))}") from error
        except DECODE_ERRORS as error:
            raise PanoramaError(f"{name}: the file is damaged, its header cannot be read ({error})") from error
        stack.callback(image.close)
        check_pixels(name, *image.size)
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
    if not os.path.exists(path):
        raise _no_such_file(path)


def _no_such_file(name: str) -> PanoramaError:
    return PanoramaError(f"{name}: no such file; check the path")


def _too_large(size: str) -> str:
    return f"the image is too large ({size}); reduce it to at most {MAX_PIXELS} pixels (about 18900x9450)"


def _open_without_warning(file: BinaryFile | str) -> Image.Image:
    """Open an image. Pillow warns above half of its limit, which 16K panoramas exceed. The limit itself stays."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(cast("BinaryIO | str", file))


def _open_file(source: FileSource, name: str, stack: contextlib.ExitStack) -> BinaryFile | str:
    if isinstance(source, bytes | bytearray | memoryview):
        if not source:
            raise PanoramaError(f"{name}: the input is empty (0 bytes)")
        return io.BytesIO(source)
    if isinstance(source, str) and is_address(source):
        from panollava_geometry._download import download

        return io.BytesIO(download(source, name))
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if os.path.isdir(path):
            raise PanoramaError(f"{name}: this is a folder; pass an image file")
        try:
            return stack.enter_context(open(path, "rb"))
        except FileNotFoundError as error:
            raise _no_such_file(name) from error
        except (OSError, ValueError) as error:
            raise PanoramaError(
                f"{name}: the file cannot be opened ({error}); check the path and its permissions"
            ) from error
    if hasattr(source, "read"):
        return source
    raise PanoramaError(
        f"cannot load a panorama from {type(source).__name__}: "
        "pass a path, URL, bytes, file object, Pillow image, array or tensor"
    )
