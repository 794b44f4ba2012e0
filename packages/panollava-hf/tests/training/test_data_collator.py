"""Rows in the forms that datasets have, as batches for the Trainer of transformers."""

import numpy as np
import pytest
import torch
from panollava_hf.training import PanoLLaVaDataCollator
from PIL import Image

ASKED = {"question": "Where?", "answer": "Left."}
TEXT = {"type": "text", "text": "Where?"}


@pytest.fixture(scope="module")
def collator(processor):
    return PanoLLaVaDataCollator(processor)


@pytest.fixture
def file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (32, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def asked(*blocks):
    return {"messages": [{"role": "user", "content": list(blocks)}, {"role": "assistant", "content": "Left."}]}


def forms(file):
    image = Image.open(file)
    undecoded = {"bytes": file.read_bytes(), "path": None}
    return {
        "image": {"image": image, **ASKED},
        "path": {"image": str(file), **ASKED},
        "bytes": {"image": file.read_bytes(), **ASKED},
        "undecoded": {"image": undecoded, **ASKED},
        "undecoded path": {"images": [{"bytes": None, "path": str(file)}], **ASKED},
        "one in images": {"images": image, **ASKED},
        "batch": {"images": np.asarray(image)[None], **ASKED},
        "with None": {"images": [None, image], **ASKED},
        "block": asked({"type": "image", "image": undecoded}, TEXT),
        "block without": asked({"type": "image", "text": None}, TEXT) | {"images": [image]},
        "url": asked({"type": "image", "url": str(file)}, TEXT),
        "image_url": asked({"type": "image_url", "image_url": {"url": str(file)}}, TEXT),
        "image_url text": asked({"type": "image_url", "image_url": str(file)}, TEXT),
        "image_url without": asked({"type": "image_url"}, TEXT) | {"images": [image]},
    }


def test_every_form_of_a_row_gives_the_same_batch(collator, file):
    batches = {name: collator([row]) for name, row in forms(file).items()}
    for name, batch in batches.items():
        assert sorted(batch) == ["attention_mask", "input_ids", "labels", "pixel_values"], name
        for key, value in batches["image"].items():
            torch.testing.assert_close(batch[key], value, rtol=0, atol=0, msg=f"{name}: {key}")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "a", "answer": 5}, "must be texts, got 'a' and 5"),
        ({"question": "a", "answer": ["x", "y"]}, "must be texts"),
        ({"messages": "a"}, "must be a list of messages, got 'a'"),
        ({"messages": ["a"]}, "a message must be a dict with 'role' and 'content', got 'a'"),
        ({"messages": [{"content": "a"}]}, "a message must be a dict with 'role'"),
        ({"messages": [{"role": "user", "content": 3}]}, "must be a text or a list of blocks, got 3"),
        (asked("Where?"), "a block of a message must be .*, got 'Where"),
        (asked({"text": "Where?"}), "a block of a message must be"),
        (asked({"type": "video"}), "a block of a message must be"),
        (asked({"type": "image_url"}, TEXT), "0 panoramas in 'images' or 'image' for 1 image blocks"),
        ({"messages": [{"role": "assistant", "content": "b"}]}, "begins with the assistant"),
        ([1], "a row must be a dict of columns"),
        (None, "a row must be a dict of columns"),
    ],
)
def test_other_rows_are_one_line_with_their_number(collator, row, message):
    with pytest.raises(ValueError, match=rf"^row 1 of the batch: .*{message}") as caught:
        collator([ASKED, row])
    assert "\n" not in str(caught.value)


def test_an_empty_batch_is_an_error(collator):
    with pytest.raises(ValueError, match="has no rows"):
        collator([])
