"""Opening files: missing files, files that are not images, and images that are too large."""

import io
import os
import socket
import struct
import zlib

import numpy as np
import pytest
from panollava_geometry import PanoramaError, load_equirectangular, load_views, plan_views
from panollava_geometry._sources._source import MAX_PIXELS
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.jpg", b"this is text\n" * 50, "not an image that Pillow can read"),
        ("byte.png", b"\x89", "not an image that Pillow can read"),
        ("empty.jpg", b"", r"the file is empty \(0 bytes\); get it again"),
    ],
)
def test_files_that_are_not_images(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PanoramaError, match=message) as caught:
        load_views(path, plan_views("cubemap"), 8)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(PanoramaError, match=r"gone\.jpg: no such file; check the path"):
        load_equirectangular(tmp_path / "gone.jpg")
    with pytest.raises(PanoramaError, match="this is a folder"):
        load_equirectangular(tmp_path)
    with pytest.raises(PanoramaError, match="cannot be opened"):
        load_equirectangular("a\0b.jpg")
    with pytest.raises(PanoramaError, match="the input is empty"):
        load_equirectangular(b"")


def test_a_bomb_is_refused_before_it_is_decoded(encoded, monkeypatch):
    bomb = bytearray(encoded(np.zeros((2, 4), np.uint8)))
    bomb[16:24] = (40000).to_bytes(4, "big") + (20000).to_bytes(4, "big")
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with pytest.raises(PanoramaError, match="too large"):
        load_equirectangular(bytes(bomb))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # our limit applies even if a program removed Pillow's
    with pytest.raises(PanoramaError, match=rf"at most {MAX_PIXELS} pixels"):
        load_equirectangular(bytes(bomb))


def test_a_16k_panorama_loads_and_does_not_change_pillow(encoded):
    assert 16384 * 8192 < MAX_PIXELS
    before = Image.MAX_IMAGE_PIXELS
    data = encoded(Image.new("L", (16384, 8192)), "JPEG", quality=10)
    assert load_equirectangular(data, max_width=2048).shape == (3, 1024, 2048)
    assert before == Image.MAX_IMAGE_PIXELS


def test_only_regular_files(tmp_path):
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    with pytest.raises(PanoramaError, match=r"pipe\.jpg: this is a pipe, not a regular file"):
        load_equirectangular(pipe)
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(PanoramaError, match=rf"{device}: this is a device, not a regular file"):
            load_views(device, plan_views("cubemap"), 8)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.jpg"))
        with pytest.raises(PanoramaError, match="this is a socket, not a regular file"):
            load_equirectangular(tmp_path / "s.jpg")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"caf\xe9.jpg"), ".jpg: no such file"),
        ("two\nlines.jpg", r"two\nlines.jpg: no such file"),
        ("\x1b[31mred.jpg", r"\x1b[31mred.jpg: no such file"),
        ("\ud800.jpg", ".jpg: the file cannot be opened"),
        ("a\0b.jpg", "b.jpg: the file cannot be opened"),
        ("über 파노 \u202f.jpg", "über 파노 \u202f.jpg: no such file"),
        ("x" * 5000, "xxx.jpg"[:3]),
        ("file.jpg/inside.jpg", "file.jpg/inside.jpg: no such file"),
    ],
    ids=["latin-1", "line break", "escape", "surrogate", "nul", "unicode", "long", "below a file"],
)
def test_names_are_one_line_that_can_be_printed(tmp_path, monkeypatch, name, shown):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.jpg").write_bytes(b"x")
    with pytest.raises(PanoramaError) as caught:
        load_equirectangular(name)
    message = str(caught.value)
    assert shown in message
    assert "\n" not in message
    assert len(message) < 600
    message.encode()


def test_a_file_whose_name_is_not_utf_8(encoded, tmp_path, card):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(path, "wb") as file:
        file.write(encoded(card.image()))
    assert card.read(load_equirectangular(os.fsdecode(path))) == "ROYGCBPK"


def test_file_objects(encoded, tmp_path, card):
    data = encoded(card.image())
    at_the_end = io.BytesIO(data)
    at_the_end.seek(0, 2)
    assert card.read(load_equirectangular(at_the_end)) == "ROYGCBPK"

    class Stream(io.BufferedIOBase):
        """Cannot seek, like a pipe or an HTTP answer."""

        def __init__(self, content):
            self.content = io.BytesIO(content)

        def read(self, size=-1):
            return self.content.read(size)

        def readable(self):
            return True

    stream = Stream(data)
    assert card.read(load_equirectangular(stream)) == "ROYGCBPK"
    assert stream.content.tell() == len(data)
    assert load_views(Stream(data), plan_views("cubemap"), 8).shape == (6, 3, 8, 8)  # one pass is enough

    class Failing(io.BytesIO):
        def __init__(self, error):
            super().__init__(data)
            self.error = error

        def read(self, size=-1):
            raise self.error

    closed = io.BytesIO(data)
    closed.close()
    wrong = [
        closed,
        io.BytesIO(),
        Stream(b""),
        Failing(AttributeError("x")),
        Failing(MemoryError()),
        Failing(KeyError()),
    ]
    for source in wrong:
        with pytest.raises(PanoramaError) as caught:
            load_equirectangular(source)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [MemoryError, struct.error, AttributeError, RecursionError, ZeroDivisionError])
@pytest.mark.parametrize("method", ["_open", "load_prepare", "load_end"])
def test_whatever_pillow_raises_is_one_error(encoded, card, monkeypatch, error, method):
    def fail(*_):
        raise error("two\nlines")

    monkeypatch.setattr(JpegImageFile, method, fail)
    with pytest.raises(PanoramaError) as caught:
        load_equirectangular(encoded(card.image(), "JPEG"))
    assert "\n" not in str(caught.value)
