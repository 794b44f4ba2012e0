import subprocess
import sys
import textwrap

import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration, PanoLLaVaModel
from transformers import AutoModelForImageTextToText


@pytest.mark.parametrize("tied", [True, False])
def test_saved_and_loaded_model_gives_bit_identical_logits(tmp_path, tiny_config, tiny_inputs, tied):
    config = tiny_config(tie_word_embeddings=tied)
    model = PanoLLaVaForConditionalGeneration(config).eval()
    inputs = tiny_inputs(config)
    model.save_pretrained(tmp_path)
    again, info = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert [set(info[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")] == [set()] * 3
    with torch.no_grad():
        assert torch.equal(again.eval()(**inputs).logits, model(**inputs).logits)
    shared = again.lm_head.weight.data_ptr() == again.get_input_embeddings().weight.data_ptr()
    assert shared is tied


@pytest.mark.parametrize("positional_encoding", ["spherical", "yaw", "none"])
@pytest.mark.parametrize("stitching_mode", ["concat", "stride_views", "drop_overlap", "resample"])
def test_token_count_is_known_beforehand(tiny_config, tiny_inputs, positional_encoding, stitching_mode):
    config = tiny_config(positional_encoding=positional_encoding, stitching_mode=stitching_mode)
    model = PanoLLaVaForConditionalGeneration(config).eval()
    features = model.get_image_features(tiny_inputs(config)["pixel_values"])
    assert [tuple(t.shape) for t in features.pooler_output] == [(config.num_image_tokens(), 32)] * 2


@pytest.mark.parametrize("resampler_type", ["mlp", "qformer", "bimamba", "perceiver", "spatial_pool", "c_abstractor"])
def test_every_resampler_trains_end_to_end(tiny_config, tiny_inputs, resampler_type):
    config = tiny_config(resampler_type=resampler_type, num_latent_tokens=4, latent_dimension=32)
    model = PanoLLaVaForConditionalGeneration(config).train()
    inputs = tiny_inputs(config)
    loss = model(**inputs, labels=inputs["input_ids"]).loss
    loss.backward()
    # the head of SigLIP's pooling is not read by a backbone of tokens
    silent = [n for n, p in model.named_parameters() if p.grad is None and ".head." not in n]
    assert torch.isfinite(loss)
    assert not silent


def test_loss_is_the_shifted_cross_entropy_over_text(tiny_config, tiny_inputs):
    config = tiny_config()
    model = PanoLLaVaForConditionalGeneration(config).eval()
    inputs = tiny_inputs(config)
    labels = inputs["input_ids"].clone()  # placeholders included: the model must not learn them
    output = model(**inputs, labels=labels)
    targets = labels[:, 1:].masked_fill(labels[:, 1:] == config.image_token_id, -100)
    expected = torch.nn.functional.cross_entropy(
        output.logits[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=-100
    )
    torch.testing.assert_close(output.loss, expected)


def test_vision_changes_the_logits(tiny_config, tiny_inputs):
    config = tiny_config()
    model = PanoLLaVaForConditionalGeneration(config).eval()
    inputs = tiny_inputs(config)
    other = {**inputs, "pixel_values": inputs["pixel_values"].flip(0)}
    with torch.no_grad():
        assert not torch.allclose(model(**inputs).logits, model(**other).logits)


def test_embeddings_instead_of_ids(tiny_config, tiny_inputs):
    config = tiny_config()
    model = PanoLLaVaForConditionalGeneration(config).eval()
    inputs = tiny_inputs(config)
    embedded = {**inputs, "inputs_embeds": model.get_input_embeddings()(inputs["input_ids"])}
    del embedded["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(model(**embedded).logits, model(**inputs).logits)


def test_logits_to_keep(tiny_config, tiny_inputs):
    config = tiny_config()
    model = PanoLLaVaForConditionalGeneration(config).eval()
    inputs = tiny_inputs(config)
    with torch.no_grad():
        whole = model(**inputs).logits
        torch.testing.assert_close(model(**inputs, logits_to_keep=2).logits, whole[:, -2:])


def test_text_only_prompt(tiny_config):
    model = PanoLLaVaForConditionalGeneration(tiny_config()).eval()
    ids = torch.randint(3, 90, (2, 5))
    with torch.no_grad():
        logits = model(input_ids=ids).logits
        hidden = model.language_model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(logits, model.lm_head(hidden))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i.update(pixel_values=i["pixel_values"][0]), r"must be \[panoramas, views, 3, height, width\]"),
        (lambda i: i.update(pixel_values=i["pixel_values"][:, :3]), "hold 3 views, but the config's plan .* has 7"),
        (lambda i: i.update(pixel_values=i["pixel_values"][:1]), "Image features and image tokens do not match"),
        (lambda i: i.update(input_ids=None), "exactly one of input_ids or inputs_embeds"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(tiny_config, tiny_inputs, change, message):
    config = tiny_config()
    inputs = tiny_inputs(config)
    change(inputs)
    with pytest.raises(ValueError, match=message):
        PanoLLaVaForConditionalGeneration(config).eval()(**inputs)


def test_parts_are_reachable_by_their_names(tiny_config):
    model = PanoLLaVaForConditionalGeneration(tiny_config())
    for name in ("vision_backbone", "resampler", "projector", "language_model", "language_fusion"):
        assert getattr(model, name) is getattr(model.panollava, name)
    assert model.base_model is model.panollava
    assert isinstance(model.panollava, PanoLLaVaModel)


def test_building_and_loading_open_no_socket(tmp_path, checkpoint):
    program = f"""
    import socket, sys, torch
    def refuse(*args, **kwargs):
        raise SystemExit("a socket was opened")
    socket.socket.connect = refuse
    socket.getaddrinfo = refuse
    from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration
    with torch.device("meta"):
        PanoLLaVaForConditionalGeneration(PanoLLaVaConfig())
        PanoLLaVaForConditionalGeneration(PanoLLaVaConfig(resampler_type="qformer"))
    PanoLLaVaForConditionalGeneration.from_pretrained({str(checkpoint)!r})
    print("done")
    """
    import os

    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
    environment["HF_HOME"] = str(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout.strip()) == (0, "done"), result.stderr[-2000:]
