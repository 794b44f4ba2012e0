"""Opening what a user gives for a panorama: a path, a URL, bytes, a file; nothing is decoded yet."""

import contextlib
import io
import os
import re
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from typing import BinaryIO, cast

from PIL import Image, UnidentifiedImageError

from panollava_geometry._errors import PanoramaError

#: Pixels of the largest picture that is decoded: about 18900 x 9450, Pillow's own hard limit.
MAX_PIXELS = 178_956_970
#: Bytes fetched from a URL at most.
MAX_DOWNLOAD = 256 * 2**20
#: Seconds without an answer, and seconds for the whole download.
TIMEOUT, MAX_DOWNLOAD_SECONDS = 20.0, 300.0

#: `BytesIO` is no `BinaryIO` to a runtime checker: it has neither name nor mode.
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
    """How messages call a source (a URL without its query and credentials)."""
    if isinstance(source, str):
        return re.sub(r"(?<=://)[^/]*@|\?.*", "", source) if "://" in source else source
    if isinstance(source, os.PathLike):
        return str(os.fspath(source))
    if isinstance(source, Image.Image):
        return str(getattr(source, "filename", "") or "the picture")
    return str(getattr(source, "name", "") or f"the {type(source).__name__}")


@contextlib.contextmanager
def open_image(source: FileSource) -> Iterator[Image.Image]:
    """The picture of a source, opened but not decoded; closed afterwards if it was opened here.

    Raises:
        PanoramaError: There is no such file, it cannot be fetched, it is no picture, or it is too large.
    """
    name = source_name(source)
    with contextlib.ExitStack() as stack:
        file = _open_file(source, name, stack)
        try:
            image = _open_quietly(file)
        except UnidentifiedImageError as error:
            raise PanoramaError(
                f"{name}: this is no picture that Pillow can read; give a JPEG, PNG, WebP or TIFF"
            ) from error
        except Image.DecompressionBombError as error:
            raise PanoramaError(f"{name}: {_too_large(str(error))}") from error
        except DECODE_ERRORS as error:
            raise PanoramaError(f"{name}: its header cannot be read ({error}); the file is damaged") from error
        stack.callback(image.close)
        check_pixels(name, *image.size)
        yield image


def check_pixels(name: str, width: int, height: int) -> None:
    """Refuse pictures of more than `MAX_PIXELS`.

    Raises:
        PanoramaError: The picture is too large, or empty.
    """
    if width < 1 or height < 1:
        raise PanoramaError(f"{name}: the picture is empty ({width}x{height})")
    if width * height > MAX_PIXELS:
        raise PanoramaError(f"{name}: {_too_large(f'{width}x{height}')}")


def _too_large(what: str) -> str:
    return f"the picture is too large ({what}); shrink it to at most {MAX_PIXELS} pixels (about 18900x9450)"


def _open_quietly(file: BinaryFile | str) -> Image.Image:
    """Pillow warns from half its limit on, which real 16K panoramas exceed; the limit itself stays."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(cast("BinaryIO | str", file))


def _open_file(source: FileSource, name: str, stack: contextlib.ExitStack) -> BinaryFile | str:
    if isinstance(source, bytes | bytearray | memoryview):
        if not source:
            raise PanoramaError(f"{name}: there are no bytes")
        return io.BytesIO(source)
    if isinstance(source, str) and "://" in source:
        return io.BytesIO(_download(source, name))
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if os.path.isdir(path):
            raise PanoramaError(f"{name}: this is a folder; give a picture file")
        try:
            return stack.enter_context(open(path, "rb"))
        except FileNotFoundError as error:
            raise PanoramaError(f"{name}: no such file; check the path") from error
        except (OSError, ValueError) as error:
            raise PanoramaError(
                f"{name}: the file cannot be opened ({error}); check the path and its permissions"
            ) from error
    if hasattr(source, "read"):
        return source
    raise PanoramaError(
        f"cannot load a panorama from {type(source).__name__}: give a path, URL, bytes, file, picture, array or tensor"
    )


def _download(url: str, name: str) -> bytes:
    if not url.lower().startswith(("http://", "https://")):
        raise PanoramaError(f"{name}: only http:// and https:// URLs are fetched; give a path for a local file")
    opener = urllib.request.OpenerDirector()  # the default opener would also follow redirects to ftp://
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    start, data = time.monotonic(), bytearray()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "panollava-geometry"})
        with opener.open(request, timeout=TIMEOUT) as answer:
            while chunk := answer.read(2**18):
                data += chunk
                if len(data) > MAX_DOWNLOAD:
                    raise PanoramaError(f"{name}: more than {MAX_DOWNLOAD >> 20} MB; download it and give the file")
                if time.monotonic() - start > MAX_DOWNLOAD_SECONDS:
                    raise PanoramaError(f"{name}: the download takes too long; download it and give the file")
    except urllib.error.HTTPError as error:
        error.close()
        raise PanoramaError(f"{name}: the server answers {error.code} {error.reason}; check the URL") from error
    except (OSError, ValueError) as error:  # URLError is an OSError; http.client raises ValueError for a bad URL
        reason = getattr(error, "reason", None) or error
        raise PanoramaError(f"{name}: cannot be fetched ({reason}); check the URL and the connection") from error
    if not data:
        raise PanoramaError(f"{name}: the server sent nothing; check the URL")
    return bytes(data)
