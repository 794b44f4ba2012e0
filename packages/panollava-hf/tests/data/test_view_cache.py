"""The cache of views: a damaged entry is made again and replaced, and never taken as it is."""

import io
import os

import numpy as np
import pytest
import torch
from panollava_hf._errors import TrainingError
from panollava_hf.data._view_cache import ViewCache

SHAPE = (2, 3, 4, 4)
WANTED = torch.arange(96, dtype=torch.uint8).reshape(SHAPE)


def saved(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def zipped(array):
    stream = io.BytesIO()
    np.savez(stream, array)
    return stream.getvalue()


def header(text):
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


WHOLE = saved(WANTED.numpy())
DAMAGED = {
    "empty": b"",
    "cut in the mark": WHOLE[:4],
    "cut in the header": WHOLE[:40],
    "one byte less": WHOLE[:-1],
    "one byte more": WHOLE + b"\0",
    "npz": zipped(WANTED.numpy()),
    "another shape": saved(WANTED.numpy().reshape(2, 3, 2, 8)),
    "another number of dimensions": saved(WANTED.numpy().ravel()),
    "another type": saved(WANTED.numpy().astype(np.int8)),
    "floats": saved(WANTED.numpy().astype(np.float64)),
    "objects": saved(np.array([{}]), allow_pickle=True),
    "Fortran order": saved(np.asfortranarray(WANTED.numpy())),
    "huge shape": header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 4000000, 4000000), }\n"),
    "huge header": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
    "nested header": header(b"(" * 900 + b")" * 900),
    "a set of lists": header(b"{[]: 1}"),
    "another version": b"\x93NUMPY\x03\x00" + WHOLE[8:],
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(200),
}


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_entry_is_replaced(tmp_path, image, name):
    cache = ViewCache(tmp_path / "cache", "settings", SHAPE)
    made = []

    def make(path):
        made.append(path)
        return WANTED

    cache.get(image, make)
    (entry,) = cache.folder.iterdir()
    assert entry.read_bytes() == WHOLE
    entry.write_bytes(DAMAGED[name])
    for _ in range(2):
        assert torch.equal(cache.get(image, make), WANTED)
    assert made == [image] * 2, "made twice: at first, and in place of the damaged entry"
    assert entry.read_bytes() == WHOLE


@pytest.mark.parametrize("other", [(3, 3, 4, 4), (2, 3, 4), (2, 3, 4, 5)])
def test_the_shape_must_be_the_expected_one(tmp_path, image, other):
    ViewCache(tmp_path / "cache", "settings", SHAPE).get(image, lambda path: WANTED)
    again = ViewCache(tmp_path / "cache", "settings", other).get(image, lambda path: torch.zeros(other).byte())
    assert again.shape == other


def test_an_unknown_size_can_be_any(tmp_path, image):
    cache = ViewCache(tmp_path / "cache", "settings", (3, None, None))
    panorama = torch.arange(3 * 4 * 8, dtype=torch.uint8).reshape(3, 4, 8)
    cache.get(image, lambda path: panorama)
    assert torch.equal(cache.get(image, lambda path: pytest.fail("made again")), panorama)


def test_a_missing_image_is_reported_by_the_function_that_reads_it(tmp_path):
    def make(path):
        raise LookupError("no such image")

    with pytest.raises(LookupError, match="no such image"):
        ViewCache(tmp_path, "settings", SHAPE).get(tmp_path / "missing.jpg", make)


def test_a_folder_that_cannot_be_written_is_not_blamed_on_the_image(tmp_path, image):
    with pytest.raises(TrainingError, match=r"a\.jpg/cache cannot be written .*data\.cache"):
        ViewCache(image / "cache", "settings", SHAPE)
    cache = ViewCache(tmp_path / "cache", "settings", SHAPE)
    os.rmdir(cache.folder)
    with pytest.raises(TrainingError, match="cannot be written"):
        cache.get(image, lambda path: WANTED)
