"""HEIC and JPEG XL by extras, and the frames of videos."""

import io
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import PanoramaError, PanoramaWarning, is_panorama, load_equirectangular
from panollava_geometry._metadata._spherical_video import read_spherical
from panollava_geometry._sources._file_kinds import file_kind, jxl_size
from panollava_geometry._sources._media_boxes import boxes
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


def box(kind, content):
    return (8 + len(content)).to_bytes(4, "big") + kind + content


@pytest.mark.parametrize("compressed", [False, True])
def test_the_gpano_metadata_of_jpeg_xl(card, compressed):
    """A part of the sphere with a pose. The Exif box says that the image is turned, and must not be applied twice."""
    data = jxl(card.part(), lossless=True, usecontainer=True)
    names = "CroppedAreaLeft CroppedAreaTop FullPanoWidth FullPanoHeight CroppedAreaImageWidth CroppedAreaImageHeight"
    values = zip(names.split(), (64, 32, 256, 128, 128, 64), strict=True)
    fields = " ".join(f'GPano:{name}Pixels="{value}"' for name, value in values)
    packet = f'<rdf:Description GPano:PoseHeadingDegrees="33" {fields}/>'.encode()
    xmp = box(b"xml ", packet)
    if compressed:
        import imagecodecs

        xmp = box(b"brob", b"xml " + imagecodecs.brotli_encode(packet))
    exif = Image.Exif()
    exif[274] = 3
    data += box(b"Exif", b"\0\0\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")) + xmp
    found = panorama_info(data)
    assert (found.kind, found.orientation, found.gpano.pose_heading_deg) == ("part of the sphere", 1, 33)
    assert card.read(load_equirectangular(data)) == "__YGCB__"
    for damaged in (data[:-9], data + b"\0\0\0\3xml "):
        panorama_info(damaged)
    broken = jxl(card.image(), lossless=True, usecontainer=True) + box(b"brob", b"xml x")
    with pytest.warns(PanoramaWarning, match="the XMP metadata is damaged or larger than 4 MB, and is ignored"):
        assert card.read(load_equirectangular(broken)) == "ROYGCBPK"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.integers(0, 20))
def test_boxes_of_any_bytes(data, start):
    found = list(boxes(data, start))
    assert all(start <= one.start <= one.end <= len(data) for one in found)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


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


@settings(max_examples=100, deadline=None, derandomize=True)
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


def with_box(data, path, content):
    """A video whose index is at its end, with a box appended inside of the first box of each type in `path`."""
    start, end, lengths = 0, len(data), []
    for kind in path:
        found = next(one for one in boxes(data, start, end) if kind in (b"", one.kind))
        lengths.append(found.start - 8)
        start, end = found.start + (8 if kind == b"stsd" else 78 if kind == b"" else 0), found.end
    out = bytearray(data[:end] + content + data[end:])
    for at in lengths:
        out[at : at + 4] = (int.from_bytes(out[at : at + 4], "big") + len(content)).to_bytes(4, "big")
    return bytes(out)


def sv3d(projection=b"equi", bounds=(0.0, 0.0, 0.0, 0.0), stereo=None):
    edges = b"".join(int(edge * 2**32).to_bytes(4, "big") for edge in bounds) if projection == b"equi" else b""
    projected = box(b"prhd", bytes(16)) + box(projection, bytes(4) + edges)
    content = box(b"sv3d", box(b"svhd", bytes(4) + b"a camera\0") + box(b"proj", projected))
    return content if stereo is None else box(b"st3d", bytes([0, 0, 0, 0, stereo])) + content


ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"")
XML = """<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/"><GSpherical:Spherical>true</GSpherical:Spherical>
 <GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>{}</rdf:SphericalVideo>"""


def older(extra=""):
    return box(b"uuid", bytes.fromhex("ffcc8263f8554a938814587a02521fdd") + XML.format(extra).encode())


TOP_BOTTOM = "<GSpherical:StereoMode>top-bottom</GSpherical:StereoMode>"


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(
    ("path", "content", "size", "kind", "spherical"),
    [
        (ENTRY, sv3d(), (128, 64), "full sphere", "equirectangular"),
        (ENTRY, sv3d(), (128, 96), "full sphere", "equirectangular"),  # frames that are not 2:1
        (ENTRY, sv3d(stereo=1), (128, 128), "full sphere", "equirectangular, stereo top-bottom"),
        (ENTRY, sv3d(stereo=2), (256, 64), "full sphere", "equirectangular, stereo left-right"),
        (ENTRY, sv3d(bounds=(0.25, 0.25, 0.25, 0.25)), (128, 64), "part of the sphere", "equirectangular"),
        (ENTRY, sv3d(b"cbmp"), (96, 64), "not a panorama", "cubemap"),
        (ENTRY[:2], older(), (128, 64), "full sphere", "equirectangular"),
        (ENTRY[:2], older(TOP_BOTTOM), (128, 128), "full sphere", "equirectangular, stereo top-bottom"),
    ],
)
def test_the_metadata_of_spherical_videos(tmp_path, suffix, path, content, size, kind, spherical):
    data = with_box(video(tmp_path / f"a{suffix}", frames=3, size=size).read_bytes(), path, content)
    assert str(video_info(data).spherical) == spherical
    found = panorama_info(data)
    assert (found.kind, found.size) == (kind, size)
    assert f"{spherical} by its metadata" in found.mode
    if "stereo" in spherical:
        assert found.reason.endswith("; choose an eye")
        assert found.panorama_size == (128, 64)
        with pytest.raises(PanoramaError, match=r"it is a stereo video .*: pass eye='left' or eye='right'"):
            next(video_frames(data))
        assert next(video_frames(data, eye="right")).panorama.shape == (3, 64, 128)
    elif spherical == "cubemap":
        with pytest.raises(PanoramaError, match="the projection is cubemap, and equirectangular videos are read"):
            next(video_frames(data))
        assert next(video_frames(data, whole_sphere=True)).panorama.shape[0] == 3
    elif kind == "part of the sphere":
        assert found.panorama_size == (256, 128)
        frame = list(video_frames(data))[2].panorama
        assert frame.shape == (3, 128, 256)
        assert (frame[:, 40:88, 80:176].int() - 40).abs().max() < 4
        assert frame[:, :, :60].max() == 0
    else:
        frame = list(video_frames(data))[2].panorama
        assert frame.shape == (3, size[1], 2 * size[1])
        assert (frame.int() - 40).abs().float().mean() < 4


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.sampled_from([b"moov", b"trak", b"stsd", b"sv3d", b"uuid", b"st3d"]))
def test_any_index_of_a_video(data, kind):
    for content in (data, box(kind, data), box(b"trak", box(kind, data)), box(b"trak", bytes(3)) * 3):
        found = read_spherical(io.BytesIO(box(b"ftyp", b"isom") + box(b"moov", content)))
        assert found is None or str(found)
    nested = b""
    for _ in range(3000):
        nested = box(b"trak", nested)
    assert read_spherical(io.BytesIO(box(b"moov", nested))) is None


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
