"""Float panoramas: Radiance and OpenEXR files in and out."""

import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import PanoramaError, extract_views, is_panorama, load_equirectangular, save_equirectangular
from panollava_geometry._files._hdr import encode_hdr
from panollava_geometry._files._radiance import decode_radiance, encode_radiance
from panollava_geometry.files import hdr_to_srgb, load_hdr, panorama_info


def bright(height=32, seed=0):
    """Values from 1e-4 to 1e4, float32 [H, 2H, 3]."""
    return np.exp(np.random.default_rng(seed).uniform(-9, 9, (height, 2 * height, 3))).astype(np.float32)


def error_of(found, expected):
    """Largest error of a pixel, as a share of its brightest channel: 8 bits of mantissa have 1/128."""
    return float((np.abs(found - expected).max(-1) / expected.max(-1)).max())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(width=st.integers(1, 300), height=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_radiance_round_trip(width, height, seed):
    pixels = np.exp(np.random.default_rng(seed).uniform(-9, 9, (height, width, 3))).astype(np.float32)
    assert error_of(decode_radiance(encode_radiance(pixels), "a"), pixels) <= 1 / 128


def test_zero_and_extreme_values_of_radiance():
    pixels = np.array([[[0, 0, 0], [1e-36, 0, 0], [1e37, 1, 0], [1, 1, 1]]], np.float32)
    found = decode_radiance(encode_radiance(pixels), "a")
    assert found[0, 0].tolist() == [0, 0, 0]
    assert found[0, 2, 0] == pytest.approx(1e37, rel=0.01)
    assert found[0, 3].tolist() == [1, 1, 1]


def test_opencv_reads_and_writes_the_same(tmp_path):
    cv2 = pytest.importorskip("cv2")
    pixels = bright()
    save_equirectangular(pixels, tmp_path / "ours.hdr")
    theirs = cv2.imread(str(tmp_path / "ours.hdr"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    ours = load_hdr(tmp_path / "ours.hdr").permute(1, 2, 0).numpy()
    assert np.array_equal(ours, theirs)
    flat = np.repeat(pixels, 4, axis=1)[:, :64]  # has runs
    cv2.imwrite(str(tmp_path / "theirs.hdr"), np.ascontiguousarray(flat[..., ::-1]))
    theirs = cv2.imread(str(tmp_path / "theirs.hdr"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert np.array_equal(load_hdr(tmp_path / "theirs.hdr").permute(1, 2, 0).numpy(), theirs)


@pytest.mark.parametrize(("place", "flip"), [("+Y 32 +X 64", 0), ("-Y 32 -X 64", 1)])
def test_other_orders_of_rows_and_columns(place, flip):
    data = encode_radiance(bright())
    turned = load_hdr(data.replace(b"-Y 32 +X 64", place.encode())).permute(1, 2, 0).numpy()
    assert np.array_equal(np.flip(turned, flip), load_hdr(data).permute(1, 2, 0).numpy())


def test_openexr_is_exact(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    pixels = bright()
    pixels[0, 0] = [-1, np.inf, 0]
    save_equirectangular(torch.from_numpy(pixels).permute(2, 0, 1), tmp_path / "a.exr")
    assert np.array_equal(load_hdr(tmp_path / "a.exr").permute(1, 2, 0).numpy(), pixels)
    theirs = openexr.File(str(tmp_path / "a.exr")).channels()["RGB"].pixels
    assert np.array_equal(theirs, pixels)
    assert panorama_info(tmp_path / "a.exr").format == "OpenEXR"
    assert is_panorama(tmp_path / "a.exr")


def test_a_data_window_and_other_channels(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    corners = [np.array(corner, np.int32) for corner in ((0, 0), (63, 31), (10, -2), (29, 7))]
    header = {"displayWindow": (corners[0], corners[1]), "dataWindow": (corners[2], corners[3])}
    inside = bright(10)
    file = openexr.File(
        header | {"type": openexr.scanlineimage}, {"RGBA": np.concatenate([inside, inside[..., :1]], -1)}
    )
    file.write(str(tmp_path / "a.exr"))
    found = load_hdr(tmp_path / "a.exr").permute(1, 2, 0).numpy()
    assert found.shape == (32, 64, 3)
    assert np.array_equal(found[:8, 10:30], inside[2:])
    assert np.count_nonzero(found) == np.count_nonzero(inside[2:])
    grey = np.ascontiguousarray(inside[..., 0])
    for channels, message in (({"Y": grey}, ""), ({"Z": grey}, "channels Z, expected R, G, B")):
        openexr.File({"type": openexr.scanlineimage}, channels).write(str(tmp_path / "b.exr"))
        if message:
            with pytest.raises(PanoramaError, match=message):
                load_hdr(tmp_path / "b.exr")
        else:
            assert np.array_equal(load_hdr(tmp_path / "b.exr")[1].numpy(), grey)


def test_damaged_openexr_files(tmp_path):
    pytest.importorskip("OpenEXR")
    save_equirectangular(bright(), tmp_path / "a.exr")
    data = (tmp_path / "a.exr").read_bytes()
    for part in (5, 100, 300, len(data) // 2, len(data) - 1):
        with pytest.raises(PanoramaError, match="the OpenEXR file cannot be read") as raised:
            load_hdr(data[:part])
        assert "\n" not in str(raised.value)
    for at in range(8, 400, 9):
        damaged = bytearray(data)
        damaged[at] ^= 0x55
        with suppress(PanoramaError):
            assert load_hdr(bytes(damaged)).shape[0] == 3


def test_openexr_files_with_too_many_values():
    openexr = pytest.importorskip("OpenEXR")
    from panollava_geometry._files._exr import decode_exr

    parts = [
        openexr.Part({"name": name, "type": openexr.scanlineimage}, {"RGB": np.ones((4, 8, 3), np.float32)})
        for name in "ab"
    ]
    with tempfile.TemporaryDirectory() as folder:
        openexr.File(parts).write(f"{folder}/a.exr")
        data = Path(folder, "a.exr").read_bytes()
    assert decode_exr(data, "a", 48).shape == (4, 8, 3)
    with pytest.raises(PanoramaError, match="all its parts and channels have 192 values, too many"):
        decode_exr(data, "a", 47)


def test_a_float_panorama_is_reduced_and_cut():
    pixels = bright(64)
    small = load_hdr(encode_radiance(pixels), max_width=32)
    stored = load_hdr(encode_radiance(pixels)).double()
    assert torch.allclose(small.double(), stored.reshape(3, 16, 4, 32, 4).mean((2, 4)), rtol=1e-5)
    assert extract_views(small, plan_of_one(), 8).dtype == torch.float32


def plan_of_one():
    from panollava_geometry import PerspectiveView

    return PerspectiveView(0)


def test_exposure_is_that_of_srgb():
    """The witness is the formula of IEC 61966-2-1 in float64."""
    light = np.linspace(0, 2, 999)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    expected = np.rint(np.clip(coded, 0, 1) * 255)
    found = hdr_to_srgb(torch.from_numpy(light / 4).expand(3, 1, -1), stops=2)
    assert np.abs(found[0, 0].numpy() - expected).max() <= 1
    assert hdr_to_srgb(torch.tensor([float("nan"), float("inf"), -1.0]).expand(3, 1, 3))[0, 0].tolist() == [0, 255, 0]


GOOD = encode_radiance(bright())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (GOOD[:200], "the Radiance file is damaged"),
        (GOOD[:-1], "damaged.*incomplete"),
        (b"#?RADIANCE\n\n-Y 40000 +X 80000\n", "too large or empty"),
        (b"#?RADIANCE\n\n-Y 5000 +X 10000\n", "it is too short"),
        (b"#?RADIANCE\n\n-Y 0 +X 0\n", "too large or empty"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_xyze\n\n-Y 4 +X 8\n", "files of '32-bit_rle_xyze' are not read"),
        (b"#?RADIANCE\n" + b"x" * 100_000, "has no size in the form"),
        (GOOD.replace(b"-Y 32 +X 64", b"-Y 31 +X 70"), "not a full equirectangular panorama"),
        (b"v/1\x01" + bytes(100), "OpenEXR"),
        (b"\xff\xd8\xff" + bytes(100), "neither an OpenEXR nor a Radiance file"),
        (b"", "the input is empty"),
    ],
)
def test_damaged_files(data, message):
    with pytest.raises(PanoramaError, match=message) as raised:
        load_hdr(data)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


@settings(max_examples=60, deadline=None, derandomize=True)
@given(at=st.integers(40, len(GOOD) - 1), value=st.integers(0, 255))
def test_any_damaged_byte_is_read_or_refused(at, value):
    data = bytearray(GOOD)
    data[at] = value
    try:
        image = load_hdr(bytes(data))
    except PanoramaError:
        return
    assert image.dtype == torch.float32
    assert image.shape[0] == 3
    assert image.shape[2] == 2 * image.shape[1]


def test_what_float_formats_cannot_store(tmp_path):
    with pytest.raises(PanoramaError, match=r"store finite values that are not negative; use \.exr"):
        save_equirectangular(np.full((4, 8, 3), -1, np.float32), tmp_path / "a.hdr")
    with pytest.raises(PanoramaError, match="must be a floating-point tensor"):
        save_equirectangular(np.zeros((4, 8, 3), np.uint8), tmp_path / "a.hdr")
    with pytest.raises(PanoramaError, match=r"load it with panollava_geometry\.files\.load_hdr"):
        load_equirectangular(GOOD)
    grey = np.full((4, 8), 2, np.float16)
    save_equirectangular(grey, tmp_path / "grey.hdr")
    assert load_hdr(tmp_path / "grey.hdr").unique().tolist() == [2]
    assert encode_hdr(np.ones((4, 8), np.float32), ".hdr", "a").startswith(b"#?RADIANCE")


CALLS = {
    "exr": ["load_hdr(b'v/1\\x01' + bytes(99))", "save_equirectangular(np.zeros((4, 8, 3), np.float32), 'x.exr')"],
    "video": ["next(video_frames(b'\\0\\0\\0\\x18ftypisom' + bytes(99)))"],
    "heif": ["load_equirectangular(b'\\0\\0\\0\\x18ftypheic' + bytes(99))"],
    "jxl": ["load_equirectangular(b'\\xff\\x0a' + bytes(99))"],
}


def test_a_missing_library_is_one_line(tmp_path):
    """In a process in which none of them is found."""
    program = (
        "import importlib.util as u, numpy as np; real = u.find_spec\n"
        "absent = ('av', 'OpenEXR', 'pi_heif', 'pillow_heif', 'imagecodecs')\n"
        "u.find_spec = lambda name, *more: None if name in absent else real(name, *more)\n"
        "from panollava_geometry import *; from panollava_geometry.files import *\n"
    )
    calls = [(extra, call) for extra, calls in CALLS.items() for call in calls]
    program += "".join(f"try: {call}\nexcept PanoramaError as e: print(e)\n" for _, call in calls)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr == ""
    for (extra, _), line in zip(calls, done.stdout.splitlines(), strict=True):
        assert f"pip install 'panollava-geometry[{extra}]'" in line
