"""Image tokens of one view in each family of vision-language models, measured with their processors.

`python -m tools.token_counts [--write]` prints the table, or writes it into docs/models.md. The processors of
transformers get the settings that the published checkpoints have (`PUBLISHED`), and our settings of the family. What
is counted is what a model would read: prompts with two views, or with one if a family takes one only. Weights do not
matter for that, so the models are the tiny ones of the tests.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from panollava_hf.asking._chat import Request
from panollava_hf.asking._families import FAMILIES, Family
from panollava_hf.asking._messages import view_messages
from panollava_hf.asking.models._transformers import TransformersChat
from torch import Tensor, from_numpy

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- tokens: begin -->", "<!-- tokens: end -->"
#: Heights and widths of views, and of a whole panorama, in pixels.
SIZES = ((336, 336), (448, 448), (672, 672), (1024, 1024), (512, 1024))


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _clip(side: int) -> dict[str, Any]:
    return {"size": {"shortest_edge": side}, "crop_size": _square(side)}


def _edges(least: int, most: int, **more: Any) -> dict[str, Any]:
    return {"size": {"shortest_edge": least, "longest_edge": most}, **more}


_NEXT = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
_ONEVISION = [[384 * row, 384 * column] for row in range(1, 7) for column in range(1, 7)]
#: Whose settings these are, those of its image processor, and those of its processor.
PUBLISHED: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "qwen2_vl": ("Qwen2-VL", _edges(56 * 56, 12_845_056), {}),
    "qwen2_5_vl": ("Qwen2.5-VL", _edges(56 * 56, 12_845_056), {}),
    "qwen3_vl": ("Qwen3-VL", _edges(256 * 256, 16_777_216, patch_size=16), {}),
    "glm4v": ("GLM-4.1V", _edges(112 * 112, 9_633_792), {}),
    "mistral3": ("Mistral Small 3.1", {"size": {"longest_edge": 1540}, "patch_size": 14}, {}),
    "internvl": ("InternVL 2.5 to 3.5", {"size": _square(448)}, {"image_seq_length": 256}),
    "gemma3": (
        "Gemma 3",
        {"size": _square(896)},
        {"full_image_sequence": f"<start_of_image>{'<image_soft_token>' * 256}<end_of_image>"},
    ),
    "ovis2": ("Ovis2", {"size": _square(448)}, {"image_seq_length": 256}),
    "cohere2_vision": ("Command A Vision", {"size": _square(512), "patch_size": 16}, {"patch_size": 16}),
    "lfm2_vl": ("LFM2-VL", {"tile_size": 512, "encoder_patch_size": 16}, {}),
    "perception_lm": ("Perception LM", {"tile_size": 448}, {}),
    "smolvlm": (
        "SmolVLM 256M, 500M",
        {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}},
        {"image_seq_len": 64},
    ),
    "idefics2": ("Idefics2", _edges(378, 980), {"image_seq_len": 64}),
    "idefics3": (
        "Idefics3",
        {"size": {"longest_edge": 1456}, "max_image_size": {"longest_edge": 364}},
        {"image_seq_len": 169},
    ),
    "aya_vision": ("Aya Vision", {"size": _square(364)}, {"img_size": 364}),
    "llava": ("LLaVA 1.5", _clip(336), {}),
    "vipllava": ("ViP-LLaVA", _clip(336), {}),
    "llava_next": ("LLaVA-NeXT", {**_clip(336), "image_grid_pinpoints": _NEXT}, {}),
    "llava_onevision": (
        "LLaVA-OneVision",
        {"size": _square(384), "image_grid_pinpoints": _ONEVISION},
        {"num_image_tokens": 729},
    ),
    "deepseek_vl": (
        "DeepSeek-VL 1.3B",
        {"size": _square(384), "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
        {"num_image_tokens": 576},
    ),
    "paligemma": ("PaliGemma 224", {"size": _square(224)}, {"image_seq_length": 256}),
    "got_ocr2": ("GOT-OCR2", {"size": _square(1024)}, {}),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table into docs/models.md")
    given = parser.parse_args(arguments)
    found = table(PUBLISHED)
    if given.write:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    else:
        print(found)


def with_table(page: str, found: str) -> str:
    """The page with another table between the markers."""
    pattern = re.compile(rf"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)
    page, count = pattern.subn(lambda _: f"{found}\n", page)
    if count != 1:
        raise ValueError(f"expected the markers {BEGIN} and {END} once, found them {count} times")
    return page


def table(names: Sequence[str] | Mapping[str, Any]) -> str:
    """The table in Markdown: a row for each family."""
    sizes = [f"{height}²" if height == width else f"whole, {width} × {height}" for height, width in SIZES]
    head = ["family", "settings of", "default strategy", "its view", *sizes]
    rows = [head, ["---"] * len(head), *(row(name) for name in names)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def row(name: str) -> list[str]:
    """The cells of a family: its default strategy, its view size with the tokens of such a view, and further sizes."""
    family, size = FAMILIES[name], FAMILIES[name].view_size
    own, *others = counts(name, [(size, size), *SIZES])
    strategy = f"`{family.strategy}`" + ("" if family.max_images is None else ", one image")
    return [f"`{name}`", PUBLISHED[name][0], strategy, f"{size}²: {own:,}", *(f"{count:,}" for count in others)]


def counts(name: str, sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Tokens of one image of each size in a prompt of a family."""
    chat = published_chat(name)
    images = 1 if chat.family.max_images == 1 else 2
    return [_count(chat, chat.family, size, images) for size in sizes]


def _count(chat: TransformersChat, family: Family, size: tuple[int, int], images: int) -> int:
    noise = np.random.default_rng(0).integers(0, 256, (images, 3, *size), dtype=np.uint8)
    views: Tensor = from_numpy(noise)
    messages = view_messages(views, ["ahead", "right"][:images], "What is it?", labels=family.labels)
    tokens = chat.count(Request(messages, 1)).image
    if tokens is None or tokens % images:
        raise ValueError(f"{family.name}: {tokens} tokens for {images} images of {size}")
    return tokens // images


def published_chat(name: str) -> TransformersChat:
    """A tiny model of a family whose processor has the settings of a published checkpoint."""
    sys.path.append(str(ROOT / "packages" / "panollava-hf"))
    from tests.asking.tiny_vlm import TINY
    from tests.asking.tiny_vlm_more import MORE

    _, of_images, of_processor = PUBLISHED[name]
    model, processor = {**TINY, **MORE}[name].build()
    image_processor = type(processor.image_processor)(**of_images)
    for key, value in of_processor.items():
        for part in (processor, image_processor):
            if hasattr(part, key):
                setattr(part, key, value)
    processor.image_processor = image_processor
    return TransformersChat(model, processor, name)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main()
