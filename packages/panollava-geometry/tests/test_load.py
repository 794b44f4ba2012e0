"""Files, bytes, pictures and arrays; what is wrong with them is said in one line."""

import io
import zlib

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, extract_views, load_equirectangular, load_views, plan_views
from panollava_geometry._source import MAX_PIXELS
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngInfo


@pytest.fixture(scope="module")
def picture(formulas):
    """A smooth 2048x1024 panorama as an RGB array."""
    return (formulas.smooth(formulas.panorama(1024)) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def encoded(array_or_image, kind="PNG", **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def xmp(**fields):
    attributes = " ".join(f'GPano:{name}="{value}"' for name, value in fields.items())
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {attributes}/></x:xmpmeta>'.encode()


def area(full, size, left, top, **more):
    return xmp(
        FullPanoWidthPixels=full[0],
        FullPanoHeightPixels=full[1],
        CroppedAreaImageWidthPixels=size[0],
        CroppedAreaImageHeightPixels=size[1],
        CroppedAreaLeftPixels=left,
        CroppedAreaTopPixels=top,
        **more,
    )


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP"])
def test_every_kind_of_source(picture, tmp_path, kind):
    small = np.ascontiguousarray(picture[::8, ::8])
    data = encoded(small, kind, **({"lossless": True} if kind == "WEBP" else {}))
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(data)
    expected = torch.from_numpy(small).permute(2, 0, 1)
    for source in (path, str(path), data, io.BytesIO(data), Image.fromarray(small), small, expected):
        assert torch.equal(load_equirectangular(source), expected)
    with path.open("rb") as file:
        assert torch.equal(load_equirectangular(file), expected)


def test_a_jpeg_is_decoded_at_the_smallest_scale_that_does(picture, monkeypatch):
    scales = []

    def spy(self, mode, size):
        draft_result = original(self, mode, size)
        scales.append(self.size)
        return draft_result

    original = JpegImageFile.draft
    monkeypatch.setattr(JpegImageFile, "draft", spy)
    data = encoded(picture, "JPEG", quality=95)
    load_equirectangular(data, max_width=500)
    load_views(data, plan_views("cubemap"), 48)
    assert scales == [(512, 256), (512, 256)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_max_width(picture, kind):
    loaded = load_equirectangular(encoded(picture, kind), max_width=301)
    assert loaded.shape == (3, 150, 300)
    whole = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    exact = torch.nn.functional.interpolate(whole, (150, 300), mode="area")
    assert (loaded - exact[0]).abs().mean() < 1
    assert load_equirectangular(encoded(picture, kind), max_width=9999).shape == (3, 1024, 2048)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("strategy", ["anyres_e2p", "sliding_window"])
def test_load_views_is_extract_views(picture, kind, strategy):
    data, plan = encoded(picture, kind, **({"quality": 98} if kind == "JPEG" else {})), plan_views(strategy)
    views = load_views(data, plan, 64)
    expected = extract_views(load_equirectangular(data), plan, 64)
    assert views.dtype == torch.uint8
    assert (views.float() - expected.float()).abs().mean() < 0.5
    assert (views.int() - expected.int()).abs().max() <= 4


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation(picture, orientation, kind):
    upright = Image.fromarray(np.ascontiguousarray(picture[::4, ::4]))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_equirectangular(encoded(stored, kind, exif=exif), max_width=256)
    expected = load_equirectangular(upright, max_width=256)
    assert (loaded.int() - expected.int()).abs().max() <= 8


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK"])
def test_modes_become_rgb(picture, mode):
    source = Image.fromarray(np.ascontiguousarray(picture[::16, ::16])).convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    loaded = load_equirectangular(encoded(source, kind, **({"quality": 100} if kind == "JPEG" else {})))
    expected = torch.from_numpy(np.array(source.convert("RGB"))).permute(2, 0, 1)
    assert (loaded.int() - expected.int()).abs().max() <= (6 if kind == "JPEG" else 0)


def test_16_bit_is_scaled():
    values = np.linspace(0, 65535, 32 * 64).reshape(32, 64).astype(np.uint16)
    expected = torch.from_numpy((values / 257).round().astype(np.uint8)).expand(3, -1, -1)
    assert torch.equal(load_equirectangular(encoded(Image.fromarray(values))), expected)
    assert torch.equal(load_equirectangular(values), expected)


def test_transparent_parts_are_black_and_masked(picture):
    rgba = np.dstack([picture[::16, ::16], np.full((64, 128), 255, np.uint8)])
    rgba[:10, :, 3] = 0
    loaded, mask = load_equirectangular(encoded(rgba), return_mask=True)
    assert not loaded[:, :10].any()
    assert (~mask[:10]).all()
    assert mask[10:].all()
    views, seen = load_views(encoded(rgba), plan_views("cubemap"), 8, return_mask=True)
    assert views.shape == (6, 3, 8, 8)
    assert not seen[4, 3:5, 3:5].any()
    assert seen[5].all()


def test_gpano_places_a_partial_panorama(picture):
    part = np.ascontiguousarray(picture[256:768, 512:1536])
    for kind, limit in (("PNG", 0), ("JPEG", 12)):
        info = {"xmp": area((2048, 1024), (1024, 512), 512, 256)} if kind == "JPEG" else {"pnginfo": _png_xmp()}
        loaded, mask = load_equirectangular(encoded(part, kind, **info), return_mask=True)
        assert loaded.shape == (3, 1024, 2048)
        inside = loaded[:, 256:768, 512:1536].int()
        assert (inside - torch.from_numpy(part).permute(2, 0, 1).int()).abs().max() <= limit
        assert mask.sum() == 512 * 1024
        assert mask[256:768, 512:1536].all()
        assert not loaded[:, :256].any()


def _png_xmp():
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", area((2048, 1024), (1024, 512), 512, 256).decode())
    return info


def test_gpano_scales_with_the_decode(picture):
    part = np.ascontiguousarray(picture[256:768, 512:1536])
    data = encoded(part, "JPEG", xmp=area((2048, 1024), (1024, 512), 512, 256))
    views, seen = load_views(data, plan_views("cubemap"), 24, return_mask=True)
    assert seen[0, 1:-1, 1:-1].all()
    assert not seen[2].any()
    assert not seen[4, 8:16, 8:16].any()
    full = extract_views(torch.from_numpy(picture).permute(2, 0, 1), plan_views("cubemap"), 24)
    assert (views[0, :, 2:-2, 2:-2].int() - full[0, :, 2:-2, 2:-2].int()).abs().max() <= 8


def test_gpano_of_the_whole_sphere_changes_nothing(picture):
    small = np.ascontiguousarray(picture[::8, ::8])
    data = encoded(small, "JPEG", xmp=area((256, 128), (256, 128), 0, 0), quality=95)
    assert torch.equal(load_equirectangular(data), load_equirectangular(encoded(small, "JPEG", quality=95)))


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (area((64, 32), (64, 32), 40, 0), "contradict each other"),
        (area((64, 20), (32, 16), 0, 0), "contradict each other"),
        (area((64, 32), ("many", 16), 0, 0), "no numbers"),
        (area((64, 32), (32, 32), 0, 0), "GPano metadata says 32x32"),
        (area((2 * 10**6, 10**6), (32, 16), 0, 0), "too large"),
        (area((64, 32), (32, 16), 0, 0, ProjectionType="cylindrical"), "projection is 'cylindrical'"),
    ],
)
def test_broken_gpano(packet, message):
    with pytest.raises(PanoramaError, match=message):
        load_equirectangular(encoded(np.zeros((16, 32, 3), np.uint8), "JPEG", xmp=packet))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.jpg", b"this is no picture\n" * 50, "no picture that Pillow can read"),
        ("empty.jpg", b"", "no picture that Pillow can read"),
        ("wide.png", encoded(np.zeros((16, 48, 3), np.uint8)), "48x16 is no full equirectangular panorama"),
        ("square.png", encoded(np.zeros((16, 16, 3), np.uint8)), "16x16 is no full"),
        ("float.tiff", encoded(Image.fromarray(np.zeros((16, 32), np.float32)), "TIFF"), "tone-map"),
        ("int.tiff", encoded(Image.fromarray(np.full((16, 32), 70000, np.int32)), "TIFF"), "no known range"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PanoramaError, match=message) as caught:
        load_views(path, plan_views("cubemap"), 8)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_file_that_was_cut_off(picture, tmp_path, kind):
    data = encoded(picture, kind)
    path = tmp_path / "cut"
    for share in (0.5, 0.1):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(PanoramaError, match=r"cut off|damaged|no picture"):
            load_equirectangular(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(PanoramaError, match=r"gone\.jpg: no such file; check the path"):
        load_equirectangular(tmp_path / "gone.jpg")
    with pytest.raises(PanoramaError, match="this is a folder"):
        load_equirectangular(tmp_path)
    with pytest.raises(PanoramaError, match="cannot be opened"):
        load_equirectangular("a\0b.jpg")
    with pytest.raises(PanoramaError, match="there are no bytes"):
        load_equirectangular(b"")


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    bomb = bytearray(encoded(np.zeros((2, 4), np.uint8)))
    bomb[16:24] = (40000).to_bytes(4, "big") + (20000).to_bytes(4, "big")
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with pytest.raises(PanoramaError, match="too large"):
        load_equirectangular(bytes(bomb))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # a program that lifted Pillow's limit still has ours
    with pytest.raises(PanoramaError, match=rf"at most {MAX_PIXELS} pixels"):
        load_equirectangular(bytes(bomb))


def test_a_real_16k_panorama_passes_and_leaves_pillow_alone():
    assert 16384 * 8192 < MAX_PIXELS
    before = Image.MAX_IMAGE_PIXELS
    data = encoded(Image.new("L", (16384, 8192)), "JPEG", quality=10)
    assert load_equirectangular(data, max_width=2048).shape == (3, 1024, 2048)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 8), np.int64), "uint8 or uint16"),
        (np.zeros((4, 8, 2), np.uint8), "uint8 or uint16"),
        (np.zeros((4, 9, 3), np.uint8).repeat(2, 1), "18x4 is no full"),
        (torch.zeros(3, 4, 8), "uint8"),
        (torch.zeros(4, 8, 3, dtype=torch.uint8), "uint8"),
        (torch.zeros(3, 4, 12, dtype=torch.uint8), "12x4 is no full"),
    ],
)
def test_bad_arrays(source, message):
    with pytest.raises(PanoramaError, match=message):
        load_equirectangular(source)


def test_max_width_must_be_positive():
    with pytest.raises(PanoramaError, match="max_width must be at least 2"):
        load_equirectangular(np.zeros((4, 8), np.uint8), max_width=1)


def test_the_orientation_card(shared):
    """Ahead is green, right orange, behind magenta, left cyan, above yellow, below blue-violet."""
    views = load_views(shared / "panoramas" / "orientation-card.jpg", plan_views("cubemap"), 64).float()
    colours = views[:, :, 24:28, 20:28].mean((2, 3))
    expected = torch.tensor(
        [[115, 255, 124], [255, 212, 122], [255, 128, 255], [115, 255, 255], [255, 255, 124], [124, 128, 255]]
    )
    assert ((colours - expected).abs().max(1).values < 45).all()
