"""HEIC and JPEG XL by extras, and the frames of videos."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import PanoramaError, is_panorama, load_equirectangular
from panollava_geometry._file_kinds import file_kind, jxl_size
from panollava_geometry.files import panorama_info, video_frames, video_info
from PIL import Image, features


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x1cftypisom\0\0\2\0isomiso2", "mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "mp4"),
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"RIFF\0\0\0\0WEBPVP8 ", ""),
        (b"\xff\xd8\xff\xe0", ""),
        (b"", ""),
    ],
)
def test_kinds_of_files(head, kind):
    assert file_kind(head) == kind


def test_heic_is_read(card):
    pillow_heif = pytest.importorskip("pillow_heif")  # pi-heif cannot write
    buffer = io.BytesIO()
    image = card.image()
    xmp = b'<rdf:Description GPano:PoseHeadingDegrees="33"/>'
    pillow_heif.from_pillow(image).save(buffer, quality=95, xmp=xmp)
    data = buffer.getvalue()
    Image.init()
    before = dict(Image.OPEN)
    assert card.read(load_equirectangular(data)) == "ROYGCBPK"
    assert before == Image.OPEN  # nothing is registered for other programs
    found = panorama_info(data)
    assert (found.format, found.kind, found.gpano.pose_heading_deg) == ("HEIF", "full sphere", 33)
    with pytest.raises(PanoramaError, match="damaged"):
        load_equirectangular(data[: len(data) // 2])


def jxl(image, **options):
    imagecodecs = pytest.importorskip("imagecodecs")
    return imagecodecs.jpegxl_encode(np.asarray(image), **options)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_jpeg_xl_is_read(card, mode):
    data = jxl(card.image().convert(mode), lossless=True)
    loaded = load_equirectangular(data)
    if mode != "L":
        assert card.read(loaded) == "ROYGCBPK"
    found = panorama_info(data)
    assert (found.kind, found.format, found.mode) == ("full sphere", "JXL", mode)
    with pytest.raises(PanoramaError, match="damaged"):
        load_equirectangular(data[: len(data) // 2])


def test_jpeg_xl_of_16_bits(card):
    data = jxl(np.asarray(card.image()).astype(np.uint16) * 257, lossless=True)
    assert card.read(load_equirectangular(data)) == "ROYGCBPK"


@pytest.mark.parametrize("size", [(1, 1), (256, 128), (300, 100), (1000, 500), (513, 1), (8, 8), (640, 480), (2100, 3)])
@pytest.mark.parametrize("container", [False, True])
def test_the_size_of_jpeg_xl_is_known_before_decoding(size, container):
    data = jxl(Image.new("RGB", size), usecontainer=container)
    assert data.startswith(b"\0\0\0\x0cJXL") == container
    assert jxl_size(data) == size


def test_a_jpeg_xl_bomb_is_refused():
    bits, at = 0, 0
    for value, count in ((0, 1), (3, 2), (2**30 - 1, 30), (7, 3)):  # large, 2^30 high, 2:1
        bits |= value << at
        at += count
    head = b"\xff\x0a" + bits.to_bytes(16, "little")
    assert jxl_size(head) == (2**31, 2**30)
    pytest.importorskip("imagecodecs")
    with pytest.raises(PanoramaError, match="the image is too large"):
        load_equirectangular(head)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_have_a_size_or_none(data):
    for head in (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"):
        size = jxl_size(head + data)
        assert size is None or min(size) >= 0


def video(path, frames=10, size=(128, 64), codec="mpeg4", rate=10):
    """A video whose frame k is a grey level of 20 k, with a bar at yaw 36 k."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = (*size, "yuv420p")
        stream.bit_rate = 2_000_000
        for k in range(frames):
            pixels = np.full((size[1], size[0], 3), 20 * k, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_all_frames_of_a_video(tmp_path, suffix):
    path = video(tmp_path / f"a{suffix}")
    frames = list(video_frames(path))
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.time_s for frame in frames] == pytest.approx([k / 10 for k in range(10)], abs=2e-3)
    for k, frame in enumerate(frames):
        assert frame.panorama.shape == (3, 64, 128)
        assert (frame.panorama.int() - 20 * k).abs().float().mean() < 4
    assert torch.equal(next(video_frames(path.read_bytes())).panorama, frames[0].panorama)
    info = video_info(path)
    assert (info.codec, info.size) == ("mpeg4", (128, 64))
    assert info.frames_per_second == pytest.approx(10, rel=0.01)
    found = panorama_info(path)
    assert found.kind == "full sphere"
    assert found.mode.startswith("mpeg4, 1.0")
    assert is_panorama(path)


def test_some_frames_of_a_video(tmp_path):
    path = video(tmp_path / "a.mp4")
    assert [frame.index for frame in video_frames(path, every_s=0.3)] == [0, 3, 6, 9]
    assert [frame.index for frame in video_frames(path, every_s=0.25)] == [0, 3, 5, 8]
    assert [frame.index for frame in video_frames(path, max_frames=2)] == [0, 1]
    assert next(video_frames(path, max_width=32)).panorama.shape == (3, 16, 32)


def test_a_stereo_video(tmp_path):
    path = video(tmp_path / "a.mp4", size=(128, 128), frames=2)
    assert next(video_frames(path, eye="left")).panorama.shape == (3, 64, 128)
    with pytest.raises(PanoramaError, match="frame 0: 128x128 is not a full equirectangular"):
        next(video_frames(path))
    assert panorama_info(path).kind == "not a panorama"


@pytest.mark.usefixtures("uninstrumented")
def test_videos_that_cannot_be_read(tmp_path, card, encoded):
    path = video(tmp_path / "a.mp4")
    data = path.read_bytes()
    for source, message in (
        (tmp_path / "none.mp4", "no such file"),
        (encoded(card.image()), "this is not a video"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.ts\n", "this is not a video"),
        (data[:100], "cannot be opened|no images"),
        (b"\0\0\0\x18ftypisom" + bytes(500), "cannot be opened|no images"),
    ):
        with pytest.raises(PanoramaError, match=message) as raised:
            list(video_frames(source))
        assert "\n" not in str(raised.value)
    with pytest.raises(PanoramaError, match="this is a video: read its frames"):
        load_equirectangular(path)
    for options, message in (
        ({"every_s": 0}, "every_s must be a positive number of seconds, got 0"),
        ({"max_frames": 0}, "max_frames must be at least 1, got 0"),
    ):
        with pytest.raises(PanoramaError, match=message):
            video_frames(path, **options)


def test_a_video_with_metadata_in_another_encoding(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Caf__ in Passau"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 128, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    data = path.read_bytes()
    assert b"Caf__" in data
    assert len(list(video_frames(data.replace(b"Caf__", b"Caf\xe9 ")))) == 1


def test_a_video_of_an_unknown_codec(tmp_path):
    path = video(tmp_path / "x.mkv", frames=1)
    unknown = path.read_bytes().replace(b"V_MPEG4/", b"V_ZZZZZ/")
    for function in (video_info, lambda data: list(video_frames(data))):
        with pytest.raises(PanoramaError, match="the codec of the video is not known"):
            function(unknown)


@pytest.mark.skipif("avif" not in features.get_supported(), reason="this Pillow is built without AVIF")
def test_a_damaged_avif_file(card, encoded):
    data = encoded(card.image(), "AVIF")
    for part in (40, 150, 300):
        with pytest.raises(PanoramaError, match="damaged"):
            load_equirectangular(data[:part])
