import base64

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, extract_views, load_equirectangular, view_rays
from panollava_hf import PanoLLaVaImageProcessor, PanoLLaVaProcessor
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor


def test_views_are_those_of_the_geometry_normalised(panorama):
    processor = PanoLLaVaImageProcessor(size=28, image_mean=(0.1, 0.2, 0.3), image_std=(0.5, 0.6, 0.7))
    pixels = processor(panorama)["pixel_values"]
    views = extract_views(load_equirectangular(panorama), processor.view_plan(), 28).numpy().astype(np.float64) / 255
    expected = (views - np.array([0.1, 0.2, 0.3])[:, None, None]) / np.array([0.5, 0.6, 0.7])[:, None, None]
    np.testing.assert_allclose(pixels[0].numpy(), expected, atol=1e-5)


def test_every_form_of_a_panorama_gives_the_same_views(panorama, panorama_file):
    processor = PanoLLaVaImageProcessor(size=28)
    in_memory = [panorama, torch.from_numpy(panorama).permute(2, 0, 1), Image.fromarray(panorama)]
    whole = processor(in_memory)["pixel_values"]
    assert all(torch.equal(views, whole[0]) for views in whole)
    files = processor([str(panorama_file), panorama_file, panorama_file.read_bytes()])["pixel_values"]
    # files are decoded no finer than the views need: a few grey levels apart at most
    torch.testing.assert_close(files, whole, atol=4 / 255 / 0.5, rtol=0)


def test_sizes_may_differ_and_lists_nest(panorama):
    processor = PanoLLaVaImageProcessor(size=28, token_grid=(2, 2))
    out = processor([[panorama], [panorama[::2, ::2], panorama]])
    assert out["pixel_values"].shape == (3, 7, 3, 28, 28)
    assert out["view_rays"].shape == (3, 7, 2, 2, 3)
    torch.testing.assert_close(out["view_rays"][0], view_rays(processor.view_plan(), (2, 2)).float())


def test_a_setting_may_be_overridden_for_one_call(panorama):
    processor = PanoLLaVaImageProcessor(size=28)
    assert processor(panorama, num_views=4)["pixel_values"].shape[1] == 5
    assert processor(panorama)["pixel_values"].shape[1] == 7


def test_unknown_settings_and_empty_lists_are_refused(panorama):
    processor = PanoLLaVaImageProcessor(size=28)
    with pytest.raises(ValueError, match=r"unknown image settings \['fov'\].*fov_deg"):
        processor(panorama, fov=90)
    with pytest.raises(ValueError, match="images is empty"):
        processor([])
    with pytest.raises(PanoramaError):
        processor(np.zeros((64, 64, 3), np.uint8))


def test_placeholder_is_expanded_to_the_models_count(processor, model, panorama, prompt):
    inputs = processor(images=[panorama], text=[prompt("What?")], return_tensors="pt")
    count = (inputs["input_ids"] == processor.image_token_id).sum().item()
    assert (
        count
        == model.config.num_image_tokens()
        == model.get_image_features(inputs["pixel_values"]).pooler_output[0].shape[0]
    )


@pytest.mark.parametrize("settings", [{}, {"num_views": 4}, {"crop_strategy": "e2p", "num_views": 9, "fov_deg": 60.0}])
def test_count_follows_the_views(processor, panorama, prompt, settings):
    images_kwargs = dict(settings)
    inputs = processor(images=[panorama], text=[prompt("What?")], images_kwargs=images_kwargs, return_tensors="pt")
    views = inputs["pixel_values"].shape[1]
    rows, columns = processor.image_processor.token_grid
    assert (inputs["input_ids"] == processor.image_token_id).sum().item() == views * rows * columns


def test_token_numbers_are_told_without_an_image(processor, panorama, prompt):
    told = processor._get_num_multimodal_tokens([(64, 128), (10000, 10000)])
    inputs = processor(images=[panorama], text=[prompt("What?")], return_tensors="pt")
    count = (inputs["input_ids"] == processor.image_token_id).sum().item()
    assert told.num_image_tokens == [count, count]
    assert told.num_image_patches == [1, 1]


def test_numbers_of_images_and_placeholders_must_agree(processor, panorama, prompt):
    with pytest.raises(ValueError, match="2 <\\|vision\\|> tokens and 1 images"):
        processor(images=[panorama], text=[prompt("What?", images=2)])


def test_chat_template_takes_strings_and_lists(processor):
    plain = processor.apply_chat_template([{"role": "user", "content": "Hello"}], add_generation_prompt=True)
    assert plain == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    content = [{"type": "image"}, {"type": "text", "text": "What?"}]
    asked = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    assert asked == "<|im_start|>user\n<|vision|>\nWhat?<|im_end|>\n<|im_start|>assistant\n"


def test_saved_processor_is_the_same(processor, tmp_path, panorama, prompt):
    processor.save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(again, PanoLLaVaProcessor)
    assert isinstance(AutoImageProcessor.from_pretrained(tmp_path), PanoLLaVaImageProcessor)
    texts = [prompt("What?"), prompt("What is behind me, and what is ahead?")]
    first, second = (
        p(images=[panorama, panorama], text=texts, padding=True, return_tensors="pt") for p in (processor, again)
    )
    assert set(first) == set(second)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert first["attention_mask"][0, 0] == 0
    assert again.chat_template == processor.chat_template


def test_a_tokenizer_without_the_placeholder_gains_it(processor, tmp_path):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?")))
    made = PanoLLaVaProcessor(processor.image_processor, bare)
    assert made.image_token_id == 2
    assert bare.encode("<|vision|><|vision|>") == [2, 2]


@pytest.mark.parametrize("form", ["url", "base64", "data", "image"])
def test_a_chat_takes_every_form_of_a_picture(processor, panorama_file, form):
    text = base64.b64encode(panorama_file.read_bytes()).decode()
    item = {
        "url": {"url": str(panorama_file)},
        "base64": {"base64": text},
        "data": {"url": f"data:image/png;base64,{text}"},
        "image": {"image": text},
    }[form]
    content = [{"type": "image", **item}, {"type": "text", "text": "?"}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, return_dict=True, return_tensors="pt"
    )
    expected = processor.image_processor(panorama_file)["pixel_values"]
    assert torch.equal(inputs["pixel_values"], expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("data:image/png,abc", "is not an image; expected a data URL"),
        ("data:image/png;base64,a", "is not valid base64"),
    ],
)
def test_a_broken_data_url_is_told_apart_from_a_path(processor, source, message):
    with pytest.raises(ValueError, match=message):
        processor.image_processor(source)
