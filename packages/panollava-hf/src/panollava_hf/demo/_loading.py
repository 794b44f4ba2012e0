"""Panoramas for a page: uploads, URLs and samples, in the size that the viewer and the models use."""

import io
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panollava_geometry import PanoramaError, load_equirectangular
from panollava_geometry.addresses import source_name
from PIL import Image

from panollava_hf.demo._sessions import Shown

if TYPE_CHECKING:
    from torch import Tensor

#: Widest panorama of a page: WebGL of every device takes it, and no view of a model needs more.
MAX_WIDTH = 4096
_QUALITY = 93
#: Options of the command line in a message.
_ARGUMENT = re.compile(r"\(--\w")
#: What an image shows → arguments of `load_equirectangular`.
SHAPES: dict[str, dict[str, Any]] = {
    "a full panorama (2:1)": {},
    "a full panorama of another shape": {"whole_sphere": True},
    "a part of the sphere": {"partial": True},
    "stereo, left eye": {"eye": "left"},
    "stereo, right eye": {"eye": "right"},
}
DEFAULT_SHAPE = next(iter(SHAPES))


def read_file(path: str, shape: str = DEFAULT_SHAPE) -> Shown:
    """Read an upload, and delete it.

    Args:
        path: The file that Gradio wrote.
        shape: A name in `SHAPES`.

    Raises:
        PanoramaError: It is not a panorama.
    """
    try:
        data = Path(path).read_bytes()
    finally:
        _delete(Path(path))
    name = Path(path).name
    try:
        return prepare(data, name, shape)
    except PanoramaError as error:
        raise PanoramaError(_for_page(str(error), name)) from error


def read_url(url: str, shape: str = DEFAULT_SHAPE) -> Shown:
    """Fetch a panorama, with the limits of `load_equirectangular`.

    Args:
        url: An http or https URL; paths are refused, since they would be files of the server.
        shape: A name in `SHAPES`.

    Raises:
        PanoramaError: It is not such a URL, cannot be fetched, or is not a panorama.
    """
    text = url.strip()
    if not text.lower().startswith(("http://", "https://")):
        raise PanoramaError("this is not a URL; expected an address that begins with http:// or https://")
    name = source_name(text)
    try:
        return prepare(text, name, shape)
    except PanoramaError as error:
        raise PanoramaError(_for_page(str(error), name)) from error


def prepare(source: Any, name: str, shape: str = DEFAULT_SHAPE) -> Shown:
    """Decode a panorama for the viewer and the models.

    Raises:
        PanoramaError: It cannot be read, or `shape` is unknown.
    """
    if shape not in SHAPES:
        raise PanoramaError(f"{str(shape)[:60]!r} is not a kind of image of this page; choose one of the list")
    image = load_equirectangular(source, max_width=MAX_WIDTH, **SHAPES[shape])
    return Shown(image, encoded(image), name[:80])


def encoded(image: "Tensor") -> bytes:
    """A panorama as JPEG with full colour resolution, `[3, H, 2H]` uint8."""
    stream = io.BytesIO()
    pixels = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    pixels.save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    return stream.getvalue()


def _for_page(message: str, name: str) -> str:
    """A message of `load_equirectangular` for the page: with the name of the upload, and without arguments."""
    message = message.removeprefix("the bytes: ")
    if not message.startswith(name):
        message = f"{name[:80]}: {message}"
    problem, _, remedy = message.rpartition("; ")
    if problem and _ARGUMENT.search(remedy):
        message = f"{problem}; choose what it shows in the settings"
    return message


def _delete(path: Path) -> None:
    """Delete an upload with the folder that Gradio made for it alone."""
    path.unlink(missing_ok=True)
    folder = path.parent
    if folder.name and len(folder.name) == 64 and not any(folder.iterdir()):
        shutil.rmtree(folder)
