"""The expansion of placeholders, written out by hand for small prompts."""

import torch
from panollava_core._insertion import expand_placeholders

P, T, V = 0, 1, 9  # padding, text, placeholder


def expanded(rows, lengths):
    """Every position as (index in the given prompt, or "image", or "padding")."""
    ids = torch.tensor(rows)
    plan = expand_placeholders(ids == V, (ids != P).long(), torch.tensor(lengths))
    return [
        [
            "image" if image else "padding" if padding else int(source)
            for source, image, padding in zip(*row, strict=True)
        ]
        for row in zip(plan.source, plan.is_image, plan.is_padding, strict=True)
    ]


def test_a_placeholder_becomes_its_panoramas_tokens():
    assert expanded([[T, V, T], [V, T, T]], [2, 3]) == [
        [0, "image", "image", 2, "padding"],
        ["image", "image", "image", 1, 2],
    ]


def test_left_padding_stays_on_the_left():
    assert expanded([[P, V, T], [T, V, T]], [1, 2]) == [
        ["padding", 0, "image", 2],
        [0, "image", "image", 2],
    ]


def test_a_prompt_without_a_placeholder_gets_a_prefix():
    assert expanded([[T, T, P], [V, T, T]], [2, 1]) == [
        ["image", "image", 0, 1, 2],
        ["image", 1, 2, "padding", "padding"],
    ]
    assert expanded([[P, T, T], [V, T, T]], [2, 1]) == [
        [0, "image", "image", 1, 2],
        ["padding", "padding", "image", 1, 2],
    ]


def test_several_panoramas_in_one_prompt():
    assert expanded([[V, T, V], [T, T, T]], [1, 2]) == [["image", 1, "image", "image"], [0, 1, 2, "padding"]]
