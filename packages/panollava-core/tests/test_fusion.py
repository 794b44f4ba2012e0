"""Fusion against a loop of concatenations, one prompt at a time."""

import pytest
import torch
from panollava_core import LanguageFusion

IMAGE, PAD, D = 9, 0, 4


@pytest.fixture
def fusion():
    return LanguageFusion(IMAGE, embed=torch.nn.Embedding(10, D))


def loop_of_concatenations(fusion, rows):
    """What every prompt becomes: `rows` holds per prompt its pieces, token lists and vision tensors, in order."""
    embeds, masks, labels = [], [], []
    for pieces in rows:
        parts = [p if isinstance(p, torch.Tensor) else fusion.embed(torch.tensor(p, dtype=torch.long)) for p in pieces]
        embeds.append(torch.cat(parts))
        labels.append([x for p in pieces for x in ([-100] * len(p) if isinstance(p, torch.Tensor) else p)])
        masks.append([1] * len(embeds[-1]))
    return embeds, masks, labels


def check_rows(fused, expected, side="right"):
    embeds, masks, labels = expected
    length = fused["inputs_embeds"].shape[1]
    assert length >= max(len(m) for m in masks)
    for row, (embed, mask, label) in enumerate(zip(embeds, masks, labels, strict=True)):
        here = slice(0, len(mask)) if side == "right" else slice(length - len(mask), length)
        torch.testing.assert_close(fused["inputs_embeds"][row, here], embed, rtol=0, atol=0)
        assert fused["attention_mask"][row, here].tolist() == mask
        assert fused["attention_mask"][row].sum() == len(mask)
        if fused["labels"] is not None:
            assert fused["labels"][row, here].tolist() == label
            assert (fused["labels"][row] != -100).sum() == sum(x != -100 for x in label)
        assert fused["position_ids"][row, here].tolist() == list(range(len(mask)))


def prompts(rows, side="right"):
    length = max(map(len, rows))

    def padded(row, value):
        padding = [value] * (length - len(row))
        return padding + row if side == "left" else row + padding

    ids = torch.tensor([padded(r, PAD) for r in rows])
    mask = torch.tensor([padded([1] * len(r), 0) for r in rows])
    labels = torch.tensor([padded(r, -100) for r in rows])
    return ids, mask, labels


@pytest.mark.parametrize("side", ["right", "left"])
def test_expanded(fusion, side):
    vision = torch.randn(2, 3, D)
    ids, mask, labels = prompts([[1, 9, 9, 9, 2, 3], [4, 9, 9, 9]], side)
    fused = fusion.fuse(vision, ids, mask, labels)
    expected = loop_of_concatenations(fusion, [[[1], vision[0], [2, 3]], [[4], vision[1]]])
    check_rows(fused, expected, side)


@pytest.mark.parametrize("side", ["right", "left"])
def test_single_token(fusion, side):
    vision = torch.randn(2, 3, D)
    ids, mask, labels = prompts([[1, 9, 2, 3], [4, 9]], side)
    fused = fusion.fuse(vision, ids, mask, labels)
    expected = loop_of_concatenations(fusion, [[[1], vision[0], [2, 3]], [[4], vision[1]]])
    # Padding that the prompts came with stays, so the second row is as far from the edge as before.
    check_rows(fused, expected, side)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("expanded", [True, False])
def test_several_panoramas_in_one_prompt_and_none_in_another(fusion, side, expanded):
    vision = torch.randn(3, 2, D)
    image = [9, 9] if expanded else [9]
    ids, mask, labels = prompts([[1, *image, 2, *image], [5, 6, 7], [*image, 8]], side)
    fused = fusion.fuse(vision, ids, mask, labels)
    expected = loop_of_concatenations(fusion, [[[1], vision[0], [2], vision[1]], [[5, 6, 7]], [vision[2], [8]]])
    check_rows(fused, expected, side)


@pytest.mark.parametrize("expanded", [True, False])
def test_panoramas_of_different_lengths(fusion, expanded):
    vision = [torch.randn(n, D) for n in (2, 4, 1)]
    images = [[9] * (len(v) if expanded else 1) for v in vision]
    ids, mask, labels = prompts([[1, *images[0], *images[1]], [2, *images[2], 3]])
    fused = fusion.fuse(vision, ids, mask, labels)
    expected = loop_of_concatenations(fusion, [[[1], vision[0], vision[1]], [[2], vision[2], [3]]])
    check_rows(fused, expected)


@pytest.mark.parametrize("side", ["right", "left"])
def test_prompt_without_placeholder_takes_its_panorama_as_prefix(fusion, side):
    vision = torch.randn(3, 2, D)
    ids, mask, labels = prompts([[1, 9, 2, 3], [4, 5], [6, 7, 8]], side)
    fused = fusion.fuse(vision, ids, mask, labels)
    expected = loop_of_concatenations(fusion, [[[1], vision[0], [2, 3]], [vision[1], [4, 5]], [vision[2], [6, 7, 8]]])
    check_rows(fused, expected, side)


def test_text_only(fusion):
    ids, mask, labels = prompts([[1, 2, 3], [4]])
    for vision in (None, [], torch.empty(0, 3, D)):
        fused = fusion.fuse(vision, ids, mask, labels)
        check_rows(fused, loop_of_concatenations(fusion, [[[1, 2, 3]], [[4]]]))


def test_without_mask_and_labels(fusion):
    fused = fusion.fuse(torch.randn(1, 2, D), torch.tensor([[1, 9, 9]]))
    assert fused["labels"] is None
    assert fused["attention_mask"].tolist() == [[1, 1, 1]]
    assert fused["position_ids"].tolist() == [[0, 1, 2]]


def test_given_embeddings_are_used(fusion):
    ids = torch.tensor([[1, 9, 9]])
    embeds = torch.randn(1, 3, D)
    vision = torch.randn(1, 2, D)
    fused = LanguageFusion(IMAGE).fuse(vision, ids, inputs_embeds=embeds)
    torch.testing.assert_close(fused["inputs_embeds"][0], torch.cat([embeds[0, :1], vision[0]]))
    with pytest.raises(
        ValueError, match=r"nothing to embed input_ids with; pass inputs_embeds or create LanguageFusion\(embed=…\)"
    ):
        LanguageFusion(IMAGE).fuse(vision, ids)


def test_placeholder_may_lie_outside_the_embedding_table():
    fusion = LanguageFusion(1000, embed=torch.nn.Embedding(10, D))
    fused = fusion.fuse(torch.ones(1, 2, D), torch.tensor([[1, 1000, 1000]]))
    assert fused["inputs_embeds"][0, 1:].eq(1).all()


def test_vision_tokens_take_the_embeddings_type(fusion):
    fused = fusion.fuse(torch.randn(1, 2, D, dtype=torch.bfloat16), torch.tensor([[9, 9]]))
    assert fused["inputs_embeds"].dtype == torch.float32


def test_inputs_are_left_alone(fusion):
    ids, mask, labels = prompts([[1, 9, 9]])
    embeds = torch.randn(1, 3, D)
    before = [t.clone() for t in (ids, mask, labels, embeds)]
    fusion.fuse(torch.randn(1, 2, D), ids, mask, labels, inputs_embeds=embeds)
    for tensor, copy in zip((ids, mask, labels, embeds), before, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize("image", [[9, 9], [9]], ids=["expanded", "single"])
def test_gradients_reach_both_sides(fusion, image):
    vision = torch.randn(1, 2, D, requires_grad=True)
    embeds_grad = torch.randn(1, 4, D)
    fused = fusion.fuse(vision, torch.tensor([[1, *image, 2]]))
    fused["inputs_embeds"].backward(embeds_grad)
    torch.testing.assert_close(vision.grad[0], embeds_grad[0, 1:3])
    torch.testing.assert_close(fusion.embed.weight.grad[2], embeds_grad[0, 3])
    assert fusion.embed.weight.grad[9].eq(0).all()


def test_embed_is_not_a_submodule(fusion):
    assert not isinstance(fusion, torch.nn.Module)


@pytest.mark.parametrize(
    ("rows", "vision", "message"),
    [
        (
            [[1, 9, 9, 2]],
            (1, 3),
            r"2 image tokens, 3 features; expected 3 image tokens \(one per feature\) or 1 \(one per panorama\)",
        ),
        ([[9, 9, 9, 9]], (1, 3), "4 image tokens, 3 features"),
        ([[9], [9]], (3, 2), "2 image tokens, 6 features"),
        ([[1, 2]], (2, 2), "0 image tokens, 4 features"),
        ([[9, 9], [1, 2]], (0, 2), "2 image tokens, 0 features"),
        (
            [[9, 9, 9, 1], [9, 2, 3, 4]],
            (2, 2),
            r"split across two prompts\. The prompts have \[3, 1\] image tokens, the p",
        ),
    ],
)
def test_mismatch_is_an_error_with_both_numbers(fusion, rows, vision, message):
    ids, mask, labels = prompts(rows)
    with pytest.raises(ValueError, match=f"Image features and image tokens do not match.*{message}"):
        fusion.fuse(torch.randn(*vision, D), ids, mask, labels)
