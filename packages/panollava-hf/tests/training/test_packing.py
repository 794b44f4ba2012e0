"""Packed questions give the logits and gradients that each question gives alone."""

import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf.training._collator import IGNORE, Turn, answers_only, attention_mask_of, pack, pad, shared_prefix

TURNS = [Turn((5, 98, 98, 7, 8), (11, 12)), Turn((5, 98, 98, 9), (13,)), Turn((5, 98, 98, 7, 9, 10), (14, 15, 16))]


def test_the_prefix_ends_where_prompts_differ():
    assert shared_prefix([turn.prompt for turn in TURNS]) == 3
    assert shared_prefix([(1, 2, 3)]) == 2, "one token of a single prompt is excluded"
    assert shared_prefix([(1, 2), (1, 2)]) == 1


def test_only_answers_have_labels():
    packed = pack(TURNS)
    trained = packed.labels != IGNORE
    assert packed.input_ids[trained].tolist() == [11, 12, 13, 14, 15, 16]
    assert torch.equal(packed.labels[trained], packed.input_ids[trained])


def test_no_turn_attends_to_another():
    packed = pack(TURNS)
    mask = attention_mask_of(packed.segments[None])[0, 0]
    for row, column in torch.cartesian_prod(torch.arange(len(mask)), torch.arange(len(mask))).tolist():
        a, b = packed.segments[row], packed.segments[column]
        assert mask[row, column] == (column <= row and bool(b == 0 or a == b))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_logits_and_gradients_are_those_of_single_questions(tiny_config, attention):
    torch.manual_seed(0)
    config = tiny_config(positional_encoding="spherical")
    config._attn_implementation = attention
    model = PanoLLaVaForConditionalGeneration(config).double()
    tokens = config.num_image_tokens()
    turns = [Turn((5, *[98] * tokens, *turn.prompt[3:]), turn.answer) for turn in TURNS]
    pixels = torch.randn(1, len(config.view_plan()), 3, 32, 32, dtype=torch.float64)

    batch = pad([pack(turns)], pad_token_id=0)
    allowed = attention_mask_of(batch.pop("segments"))
    added = torch.zeros(allowed.shape, dtype=torch.float64).masked_fill(~allowed, torch.finfo(torch.float64).min)
    mask = allowed if attention == "sdpa" else added
    packed = model(pixel_values=pixels, attention_mask=mask, **batch)
    packed.loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    start = tokens + 1
    total, trained = 0.0, 0
    for turn in turns:
        ids = torch.tensor([[*turn.prompt, *turn.answer]])
        labels = torch.where(torch.arange(ids.shape[1]) < len(turn.prompt), IGNORE, ids[0])[None]
        alone = model(input_ids=ids, pixel_values=pixels, labels=labels)
        length = ids.shape[1] - tokens - 1
        torch.testing.assert_close(packed.logits[0, start : start + length], alone.logits[0, tokens + 1 :])
        start += length
        total, trained = total + alone.loss * len(turn.answer), trained + len(turn.answer)
    (total / trained).backward()
    torch.testing.assert_close(packed.loss, total / trained)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, model.get_parameter(name).grad, msg=lambda m, name=name: f"{name}: {m}")


def test_padding_changes_nothing(tiny_config):
    torch.manual_seed(0)
    config = tiny_config()
    model = PanoLLaVaForConditionalGeneration(config).eval()
    tokens = config.num_image_tokens()
    turns = [Turn((5, *[98] * tokens, *turn.prompt[3:]), turn.answer) for turn in TURNS]
    pixels = torch.randn(2, len(config.view_plan()), 3, 32, 32)
    batch = pad([pack(turns), pack(turns[1:2])], pad_token_id=0)
    mask = attention_mask_of(batch.pop("segments"))
    both = model(pixel_values=pixels, attention_mask=mask, **batch).logits
    short = pad([pack(turns[1:2])], pad_token_id=0)
    alone = model(pixel_values=pixels[1:], attention_mask=attention_mask_of(short.pop("segments")), **short).logits
    torch.testing.assert_close(both[1, : alone.shape[1]], alone[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("accumulated", [False, True], ids=["a whole step", "a part of a step"])
def test_loss_and_gradients_are_those_of_all_logits(tiny_config, accumulated):
    torch.manual_seed(0)
    config = tiny_config()
    model = PanoLLaVaForConditionalGeneration(config).double()
    image = [98] * config.num_image_tokens()
    turns = [Turn((5, *image, *turn.prompt[3:]), turn.answer) for turn in TURNS]
    batch = pad([pack(turns), pack(turns[1:2])], pad_token_id=0)
    labels = batch["labels"]
    trained = int((labels != IGNORE).sum())
    count = {"num_items_in_batch": torch.tensor(trained + 5)} if accumulated else {}
    inputs = {
        "input_ids": batch["input_ids"],
        "position_ids": batch["position_ids"],
        "attention_mask": attention_mask_of(batch["segments"]),
        "pixel_values": torch.randn(2, len(config.view_plan()), 3, 32, 32, dtype=torch.float64),
    }
    every = model(**inputs)
    targets = labels[:, 1:].flatten()
    divisor = trained + 5 if accumulated else trained
    expected = torch.nn.functional.cross_entropy(every.logits[:, :-1].flatten(0, 1), targets, reduction="sum") / divisor
    expected.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    found = model(**inputs, labels=labels, **answers_only(labels), **count, use_cache=False)
    assert found.logits.shape[1] == 6, "the first row has six answer tokens"
    torch.testing.assert_close(found.loss.double(), expected, rtol=1e-6, atol=0)
    found.loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-5, atol=1e-8)
