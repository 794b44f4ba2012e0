"""Attention by blocks is attention with the mask."""

import copy

import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf.training import _block_attention
from panollava_hf.training._block_attention import BLOCK_ATTENTION, BLOCKS, attend, plan_blocks, use_blocks
from panollava_hf.training._collator import attention_mask_of
from torch.nn.functional import scaled_dot_product_attention

#: Prefixes of different lengths, questions longer and shorter than a block, no question, padding.
ROWS = [[0] * 5 + [1] * 4 + [2] + [3] * 7, [0] * 7 + [1] * 3 + [2] * 2, [0] * 2 + [1], [1] * 3 + [2] * 9]
SEGMENTS = torch.tensor([row + [-1] * (17 - len(row)) for row in ROWS])


@pytest.mark.parametrize("sizes", [(256, 96), (3, 4), (2, 1)])
def test_outputs_and_gradients_are_those_of_the_mask(monkeypatch, sizes):
    monkeypatch.setattr(_block_attention, "PREFIX_QUERIES", sizes[0])
    monkeypatch.setattr(_block_attention, "QUERIES", sizes[1])
    torch.manual_seed(0)
    given = [torch.randn(4, 17, 2, 8, dtype=torch.float64).transpose(1, 2).requires_grad_() for _ in range(3)]
    gradient = torch.randn(4, 2, 17, 8, dtype=torch.float64)
    expected = scaled_dot_product_attention(*given, attn_mask=attention_mask_of(SEGMENTS))
    found = attend(given[0] * 8**-0.5, *given[1:], plan_blocks(SEGMENTS, torch.float64))
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, given, gradient)
    torch.testing.assert_close(torch.autograd.grad(found, given, gradient), wanted)


def test_a_block_reads_the_prefix_and_its_own_questions_only(monkeypatch):
    monkeypatch.setattr(_block_attention, "QUERIES", 4)
    segments = torch.tensor([[0] * 3 + [1] * 5 + [2] * 4 + [3] * 3])
    blocks = plan_blocks(segments, torch.float32)
    assert [block.queries for block in blocks] == [(0, 3), (3, 7), (7, 11), (11, 15)]
    assert [block.keys for block in blocks] == [((0, 3),), ((0, 7),), ((0, 11),), ((0, 3), (8, 15))]


@pytest.mark.parametrize("most", [2**26, 10], ids=["by blocks", "too many weights"])
@pytest.mark.parametrize("heads", [2, 1], ids=["all heads have keys", "heads share keys"])
def test_a_model_with_blocks_gives_the_same_loss_and_gradients(monkeypatch, tiny_config, heads, most):
    monkeypatch.setattr(_block_attention, "MAX_WEIGHTS", most)
    torch.manual_seed(0)
    config = tiny_config()
    config.text_config.num_key_value_heads = heads
    plain = PanoLLaVaForConditionalGeneration(config).double()
    fast = copy.deepcopy(plain)
    use_blocks(fast.language_model)
    assert fast.config.text_config._attn_implementation == BLOCK_ATTENTION
    assert BLOCK_ATTENTION not in fast.config.to_json_string(use_diff=False)
    mask = attention_mask_of(SEGMENTS)
    ids = torch.randint(1, 90, SEGMENTS.shape)
    expected = plain(input_ids=ids, labels=ids, attention_mask=mask)
    blocked = mask.clone()
    setattr(blocked, BLOCKS, plan_blocks(SEGMENTS, torch.float64))
    found = fast(input_ids=ids, labels=ids, attention_mask=blocked)
    torch.testing.assert_close(found.logits, expected.logits)
    for output in (expected, found):
        output.loss.backward()
    for one, other in zip(plain.parameters(), fast.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-6, atol=1e-9)


def test_without_blocks_the_mask_counts(tiny_config):
    torch.manual_seed(0)
    plain = PanoLLaVaForConditionalGeneration(tiny_config()).eval()
    fast = copy.deepcopy(plain)
    use_blocks(fast.language_model)
    ids = torch.randint(1, 90, (2, 6))
    for mask in (None, torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]), attention_mask_of(SEGMENTS[:2, :6])):
        expected = plain(input_ids=ids, attention_mask=mask).logits
        found = fast(input_ids=ids, attention_mask=mask).logits
        kept = torch.ones_like(ids) if mask is None or mask.ndim == 4 else mask
        torch.testing.assert_close(found[kept.bool()], expected[kept.bool()])
