"""The layouts of a cubemap, against py360convert."""

import re

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, convert_cubemap, cubemap_to_equirect, equirect_to_cubemap
from PIL import Image

LAYOUTS = ["stack", "list", "dict", "horizon", "dice"]
peer = pytest.importorskip("py360convert")


def image(channels=3, width=8, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 255, (6, width, width, channels)).astype(dtype)


def test_layouts_are_those_of_py360convert():
    faces = image()
    row = np.concatenate(list(faces), axis=1)
    np.testing.assert_array_equal(convert_cubemap(faces, "horizon"), row)
    np.testing.assert_array_equal(convert_cubemap(faces, "dice"), peer.cube_h2dice(row))
    np.testing.assert_array_equal(convert_cubemap(peer.cube_h2dice(row), "horizon", source="dice"), row)
    for ours, theirs in zip(convert_cubemap(faces, "list"), peer.cube_h2list(row), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = convert_cubemap(faces, "dict"), peer.cube_h2dict(row)
    assert list(ours) == list(theirs)
    for key, face in theirs.items():
        np.testing.assert_array_equal(ours[key], face)


@pytest.mark.parametrize("layout", ["horizon", "dice"])
def test_the_faces_look_where_those_of_py360convert_look(formulas, layout):
    erp = (formulas.smooth(formulas.panorama(256)) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    ours = equirect_to_cubemap(erp, 128, layout=layout)
    theirs = peer.e2c(erp, 128, cube_format=layout)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 4  # their field of view spans the centres of the outer pixels


@pytest.mark.parametrize("source", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["tensor", "array", "grey array", "int64", "images"])
def test_from_any_layout_to_any_other(source, layout, kind):
    faces = image(dtype=np.int64 if kind == "int64" else np.uint8)
    stack = {
        "tensor": torch.from_numpy(faces).permute(0, 3, 1, 2),
        "grey array": faces[..., 0],
        "images": [Image.fromarray(face) for face in faces] if kind == "images" else None,
    }.get(kind, faces)
    arranged = convert_cubemap(stack, source)
    there = convert_cubemap(arranged, layout, source=source)
    back = convert_cubemap(there, "list", source=layout)
    for face, expected in zip(back, stack, strict=True):
        assert type(face) is type(expected)
        np.testing.assert_array_equal(np.asarray(face), np.asarray(expected))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_there_and_back(smooth_panorama, layout):
    array = smooth_panorama.permute(1, 2, 0).numpy()
    cubemap = equirect_to_cubemap(array, 128, layout=layout)
    back = cubemap_to_equirect(cubemap, 256, layout=layout)
    assert np.abs(back - array).max() < 1e-2
    as_tensor = cubemap_to_equirect(equirect_to_cubemap(smooth_panorama, 128, layout=layout), 256, layout=layout)
    np.testing.assert_allclose(as_tensor.permute(1, 2, 0), back, atol=1e-6)


def test_images_in_a_dictionary():
    panorama = Image.fromarray(image(width=8)[0]).resize((64, 32))
    faces = equirect_to_cubemap(panorama, 16, layout="dict")
    assert list(faces) == list("FRBLUD")
    assert faces["F"].size == (16, 16)
    assert cubemap_to_equirect(faces, 32).size == (64, 32)
    assert equirect_to_cubemap(panorama, 16, layout="dice").size == (64, 48)


def test_nearest_joins_labels():
    erp = np.kron(np.random.default_rng(0).integers(0, 300, (8, 16)), np.ones((8, 8), np.int64))
    faces = equirect_to_cubemap(erp, 96, interpolation="nearest")
    joined = cubemap_to_equirect(faces, 64, interpolation="nearest")
    assert joined.dtype == np.int64
    assert (joined == erp).mean() > 0.93
    assert np.isin(joined, erp).all()


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("cubemap", "layout", "message"),
    [
        (np.zeros((8, 40, 3)), "horizon", "layout 'horizon' must be 6 faces wide and 1 high, got 40x8"),
        (np.zeros((25, 32, 3)), "dice", "layout 'dice' must be 4 faces wide and 3 high, got 32x25"),
        ({"F": 0}, None, "must have the keys F, R, B, L, U, D, got ['F']"),
        ([np.zeros((4, 4))] * 5, None, "must be a list of six faces, got 5 items"),
        (np.zeros((6, 4, 4)), "list", "must be a list of six faces, got ndarray"),
        (np.zeros((6, 4, 5)), None, "a cubemap must be [..., 6, channels, width, width], got (6, 1, 4, 5)"),
        (np.zeros((6, 4, 4)), "cross", "unknown layout 'cross': choose from stack, list, dict, horizon, dice"),
        ([torch.zeros(3, 4, 4)] * 5 + [torch.zeros(3, 4, 5)], None, "of one shape and dtype"),
        ("faces.jpg", None, "must be"),
        (None, "dice", "expected a cubemap of layout 'dice' as one image, got NoneType"),
        (torch.zeros(6, 1, 4, 4, dtype=torch.int64), None, "faces must be uint8 or floating point, got torch.int64"),
    ],
)
def test_errors(cubemap, layout, message):
    with pytest.raises(PanoramaError, match=re.escape(message)):
        cubemap_to_equirect(cubemap, 8, layout=layout)
    with pytest.raises(PanoramaError, match="unknown layout"):
        convert_cubemap(np.zeros((6, 4, 4)), "cross")
