"""The formats that are read, and that nothing else runs."""

import io

import pytest
from panollava_geometry import PanoramaError, load_equirectangular
from panollava_geometry._sources._formats import FORMATS, SUFFIXES
from PIL import EpsImagePlugin, Image

EXTRAS = (".heic", ".heif", ".hif", ".jxl")


def test_suffixes_are_those_of_the_formats():
    Image.init()
    registered = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert registered - SUFFIXES == set()
    # .insp is JPEG; formats that an older Pillow does not know
    assert SUFFIXES - registered <= {
        ".insp",
        ".avif",
        ".avifs",
        ".pfm",
        ".qoi",
        ".jpc",
        ".j2c",
        ".apng",
        ".pnm",
        *EXTRAS,
    }
    assert not SUFFIXES & {".eps", ".ps", ".pdf", ".wmf", ".emf", ".mpg", ".h5", ".txt", ""}


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("HEIF", "JXL", "DIB", "SUN", "PSD")])
def test_every_format_is_read(card, kind):
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {kind}")
    buffer = io.BytesIO()
    image = card.image()
    image.save(buffer, kind, **({"quality": 95} if kind in ("JPEG", "MPO", "WEBP", "AVIF") else {}))
    loaded = load_equirectangular(buffer.getvalue())
    assert card.read(loaded) == "ROYGCBPK"


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 32\n{} loop\n"


@pytest.mark.parametrize(
    "content",
    [
        EPS,
        b"\xc5\xd0\xd3\xc6" + (30).to_bytes(4, "little") + len(EPS).to_bytes(4, "little") + bytes(18) + EPS,
        b"\xd7\xcd\xc6\x9a\0\0\0\0\0\0\x40\0\x20\0\x48\0" + bytes(64),  # WMF
        b"%PDF-1.4\n",
        b"\x89HDF\r\n\x1a\n" + bytes(64),
        b"GRIB\0\0\0\x01" + bytes(64),
    ],
    ids=["eps", "binary eps", "wmf", "pdf", "hdf5", "grib"],
)
def test_no_other_program_is_started(content, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: started.append(1))
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: started.append(1))
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(PanoramaError, match="not an image that Pillow can read"):
            load_equirectangular(source)
    assert not started


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_image_of_an_animation(card, kind):
    other, buffer = Image.new("RGB", (256, 128)), io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    card.image().save(buffer, kind, save_all=True, append_images=[other, other], **options)
    assert card.read(load_equirectangular(buffer.getvalue())) == "ROYGCBPK"


def test_a_format_of_a_plugin_is_read(card, monkeypatch):
    def opener(file, name):
        file.read()
        return card.image()

    Image.init()
    monkeypatch.setitem(Image.OPEN, "HEIF", (opener, lambda prefix: prefix[4:12] == b"ftypheic"))
    assert card.read(load_equirectangular(b"\0\0\0\x18ftypheic" + bytes(32))) == "ROYGCBPK"


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_a_damaged_tiff_prints_nothing(card, capfd, compression):
    buffer = io.BytesIO()
    card.image().resize((512, 256)).save(buffer, "TIFF", compression=compression)
    data = bytearray(buffer.getvalue())
    middle = len(data) // 2
    data[middle : middle + 20] = b"\xff" * 20
    with pytest.raises(PanoramaError, match="cannot be decoded"):
        load_equirectangular(bytes(data))
    assert capfd.readouterr() == ("", "")
