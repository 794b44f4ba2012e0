"""`panorama_size` accepts and refuses the same files as `load_equirectangular`, and gives the size that it returns."""

import io
import warnings

import pytest
from panollava_geometry import PanoramaError, load_equirectangular
from panollava_geometry.files import GPano, panorama_size
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def encoded(size, kind="PNG", mode="RGB", **options):
    Image.new(mode, size).save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def oriented(size, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(size, kind, exif=exif)


FILES = {
    "png": encoded((128, 64)),
    "jpeg": encoded((128, 64), "JPEG"),
    "webp": encoded((130, 64), "WEBP"),
    "odd": encoded((129, 65)),
    "square": encoded((64, 64)),
    "square jpeg": encoded((64, 64), "JPEG"),
    "float": encoded((128, 64), "TIFF", "F"),
    "not an image": b"image,question,answer\n" * 20,
    "empty": b"",
    **{
        f"{kind} turned by {orientation}": oriented(size, kind, orientation)
        for kind in ("JPEG", "TIFF", "PNG")
        for size in ((128, 64), (64, 128))
        for orientation in (1, 3, 6)
    },
}


def outcome(function, source):
    """The size that a function finds, or its message."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(source)
        except PanoramaError as error:
            return str(error)


def loaded_size(source):
    return tuple(load_equirectangular(source).shape[:0:-1])


@pytest.mark.parametrize("name", FILES)
def test_as_loaded(name):
    assert outcome(panorama_size, FILES[name]) == outcome(loaded_size, FILES[name])


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_part_of_the_sphere(tmp_path, suffix):
    path = tmp_path / f"part.{suffix}"
    xmp = GPano(full_size=(200, 100), area=(20, 10, 100, 60), projection="equirectangular").to_xmp()
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    Image.new("RGB", (100, 60)).save(path, **({"pnginfo": text} if suffix == "png" else {"xmp": xmp}))
    assert panorama_size(path) == loaded_size(path) == (200, 100)


def test_the_shared_cases(shared):
    for path in sorted((shared / "cases").glob("*.jpg")):
        assert outcome(panorama_size, path) == outcome(loaded_size, path), path


def test_pixels_are_not_decoded(tmp_path):
    whole = encoded((4096, 2048), "JPEG")
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    assert panorama_size(path) == (4096, 2048)
    with pytest.raises(PanoramaError, match="damaged or incomplete"):
        load_equirectangular(path)
