import base64
import json

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, extract_views, load_equirectangular, view_rays
from panollava_hf import PanoLLaVaImageProcessor, PanoLLaVaProcessor
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

from .conftest import make_panorama


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


def test_token_numbers_are_known_without_an_image(processor, panorama, prompt):
    found = processor._get_num_multimodal_tokens([(64, 128), (10000, 10000)])
    inputs = processor(images=[panorama], text=[prompt("What?")], return_tensors="pt")
    count = (inputs["input_ids"] == processor.image_token_id).sum().item()
    assert found.num_image_tokens == [count, count]
    assert found.num_image_patches == [1, 1]


def test_numbers_of_images_and_placeholders_must_agree(processor, panorama, prompt):
    with pytest.raises(ValueError, match="2 <\\|vision\\|> tokens and 1 images"):
        processor(images=[panorama], text=[prompt("What?", images=2)])


def test_chat_template_takes_strings_and_lists(processor):
    plain = processor.apply_chat_template([{"role": "user", "content": "Hello"}], add_generation_prompt=True)
    assert plain == "<|user|>Hello<|assistant|>"
    content = [{"type": "image"}, {"type": "text", "text": "What?"}]
    asked = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    assert asked == "<|user|><|vision|>\nWhat?<|assistant|>"


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
def test_a_chat_takes_every_form_of_an_image(processor, panorama_file, form):
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
def test_a_broken_data_url_is_not_taken_for_a_path(processor, source, message):
    with pytest.raises(ValueError, match=message):
        processor.image_processor(source)


def test_tokenizer_names_the_placeholder(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    for tokenizer in (processor.tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert tokenizer.image_token == "<|vision|>"
        assert tokenizer.image_token_id == processor.image_token_id == tokenizer.get_vocab()["<|vision|>"]


@pytest.mark.parametrize("images", [None, [], [[], []], [[]] * 2, ([], [])])
def test_prompts_without_panoramas(processor, images):
    inputs = processor(images=images, text=["Hello", "Good day"])
    assert "pixel_values" not in inputs
    assert inputs["input_ids"] == processor.tokenizer(["Hello", "Good day"])["input_ids"]


def test_some_prompts_without_panoramas(processor, panorama, prompt):
    inputs = processor(images=[[], [panorama], []], text=["Hello", prompt("What?"), "Good day"], padding=True)
    counts = [list(ids).count(processor.image_token_id) for ids in inputs["input_ids"]]
    assert counts == [0, processor.num_image_tokens(), 0]
    assert len(inputs["pixel_values"]) == 1
    with pytest.raises(ValueError, match=r"the prompts have 2, 0, but images holds 1, 1"):
        processor(images=[[panorama], [panorama]], text=[prompt("What?", images=2), "Hello"])
    with pytest.raises(ValueError, match=r"no images were passed|1 <.*> tokens and 0 images"):
        processor(images=[], text=[prompt("What?")])


def _groups(first, second):
    """Images of two prompts, both given to one each, in every form that says which prompt they are for."""
    batches = [np.stack([first]), np.stack([second])]
    tensors = [torch.from_numpy(batch).permute(0, 3, 1, 2) for batch in batches]
    return [[first, [second]], [[first], second], ([first], (second,)), batches, tensors, [batches[0], second]]


@pytest.mark.parametrize("form", range(6))
def test_images_for_each_prompt_go_to_no_other(processor, prompt, form):
    images = _groups(make_panorama(64, 1), make_panorama(64, 2))[form]
    inputs = processor(images=images, text=[prompt("A?"), prompt("Is it?")], padding=True, return_tensors="pt")
    flat = processor(images=_flat(images), text=[prompt("A?"), prompt("Is it?")], padding=True, return_tensors="pt")
    assert all(torch.equal(inputs[name], flat[name]) for name in flat)
    with pytest.raises(ValueError, match=r"the prompts have 2, 0, but images holds 1, 1"):
        processor(images=images, text=[prompt("What?", images=2), "Hello"])


def _flat(images):
    groups = [one if isinstance(one, (list, tuple)) or one.ndim == 4 else [one] for one in images]
    return [image for group in groups for image in group]


@pytest.mark.parametrize("none", [None, [], [None]])
def test_none_is_a_prompt_without_panoramas(processor, panorama, prompt, none):
    for images, texts in (([none, panorama], ["Hi", prompt("A?")]), ([[panorama], none], [prompt("A?"), "Hi"])):
        inputs = processor(images=images, text=texts)
        assert [ids.count(processor.image_token_id) > 0 for ids in inputs["input_ids"]] == [len(t) > 2 for t in texts]
        with pytest.raises(ValueError, match="should be the same as the number of images"):
            processor(images=images, text=texts[::-1])
    assert "pixel_values" not in processor(images=[none, none], text=["Hi", "Hello"])


def test_prompts_may_come_from_a_generator(processor, panorama, prompt):
    texts = [prompt("A?"), prompt("Is <|vision|> it?")]
    expected = processor(images=[panorama, panorama], text=texts)
    found = processor(images=[panorama, panorama], text=iter(texts))
    assert found["input_ids"] == expected["input_ids"]
    with pytest.raises((TypeError, ValueError)):
        processor(images=panorama, text=5)


SETTINGS = [
    {"do_rescale": False},
    {"do_normalize": False},
    {"do_rescale": False, "do_normalize": False},
    {"rescale_factor": 1 / 127.5},
    {"rescale_factor": -1.0},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_rescaling_and_normalisation_do_as_elsewhere(panorama, settings, tmp_path):
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    processor = PanoLLaVaImageProcessor(size=28, image_mean=mean, image_std=std)
    expected = extract_views(load_equirectangular(panorama), processor.view_plan(), 28).numpy().astype(np.float64)
    if settings.get("do_rescale", True):
        expected = expected * settings.get("rescale_factor", 1 / 255)
    if settings.get("do_normalize", True):
        expected = (expected - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
    made = PanoLLaVaImageProcessor(size=28, image_mean=mean, image_std=std, **settings)
    made.save_pretrained(tmp_path)
    again = PanoLLaVaImageProcessor.from_pretrained(tmp_path)
    found = [processor(panorama, **settings), made(panorama), again(panorama)]
    for pixels in found:
        np.testing.assert_allclose(pixels["pixel_values"][0].numpy(), expected, rtol=1e-4, atol=1e-4)
    if settings.get("do_rescale", True):
        views = extract_views(load_equirectangular(panorama), processor.view_plan(), 28)
        assert torch.equal(made.denormalise(made(panorama)["pixel_values"][0]), views)


@pytest.mark.parametrize("form", ["array", "tensor", "double"])
def test_float_images_between_0_and_1_are_used_as_they_are(processor, panorama, prompt, form):
    scaled = panorama.astype(np.float64) / 255
    image = {
        "array": scaled.astype(np.float32),
        "tensor": torch.from_numpy(scaled).permute(2, 0, 1).float(),
        "double": scaled,
    }[form]
    expected = processor.image_processor(panorama)["pixel_values"]
    grey_level = 1 / 255 / 0.5  # views of uint8 images are sampled in fixed point and rounded
    direct = processor.image_processor(image, do_rescale=False)["pixel_values"]
    torch.testing.assert_close(direct, expected, atol=grey_level, rtol=0)
    erp = torch.from_numpy(scaled).permute(2, 0, 1).float()
    views = extract_views(erp, processor.image_processor.view_plan(), (80, 80))
    torch.testing.assert_close(direct[0], (views - 0.5) / 0.5)
    for options in ({"do_rescale": False}, {"images_kwargs": {"do_rescale": False}}):
        inputs = processor(images=image, text=prompt("What?"), **options)
        assert torch.equal(torch.as_tensor(inputs["pixel_values"]), direct)
    assert processor.image_processor.do_rescale is True
    bytes_as_floats = processor.image_processor(image * 255)["pixel_values"]
    assert torch.equal(bytes_as_floats, expected)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple])
def test_statistics_may_be_arrays(processor, panorama, kind, tmp_path):
    given = {"image_mean": kind([0.1, 0.2, 0.3]), "image_std": kind([0.5, 0.6, 0.7])}
    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.5, 0.6, 0.7]).view(3, 1, 1)
    expected = (processor.image_processor(panorama, do_normalize=False)["pixel_values"] - mean) / std
    found = processor.image_processor(panorama, **given)["pixel_values"]
    torch.testing.assert_close(found, expected)
    PanoLLaVaImageProcessor(size=80, **given).save_pretrained(tmp_path)
    assert PanoLLaVaImageProcessor.from_pretrained(tmp_path).image_mean == pytest.approx([0.1, 0.2, 0.3])


def test_settings_of_a_call_also_hold_while_images_are_loaded(processor, panorama, prompt, tmp_path):
    plain = processor.image_processor(panorama / 255, do_rescale=False)["pixel_values"]
    options = [{"rescale_factor": 1.0}, {"images_kwargs": {"rescale_factor": 1.0}}]
    for given in options:
        inputs = processor(images=panorama / 255, text=prompt("What?"), return_tensors="pt", **given)
        torch.testing.assert_close(inputs["pixel_values"], plain)
    with pytest.raises(PanoramaError, match="do_convert_rgb=False"):
        processor(images=Image.new("RGBA", (64, 32)), text=prompt("What?"), do_convert_rgb=False)
    wide = make_panorama(2048)  # a file is not reduced for the views of another size
    Image.fromarray(wide).save(tmp_path / "wide.png")
    options = {"text": prompt("What?"), "size": 320, "return_tensors": "pt"}
    direct, file = (processor(images=image, **options)["pixel_values"] for image in (wide, tmp_path / "wide.png"))
    assert direct.shape[-1] == 320
    torch.testing.assert_close(file, direct, atol=0.03, rtol=0)


def test_a_black_float_image_is_black(panorama):
    processor = PanoLLaVaImageProcessor(size=28)
    black = processor(np.zeros_like(panorama))["pixel_values"]
    assert torch.equal(processor(np.zeros(panorama.shape))["pixel_values"], black)


@pytest.mark.parametrize("kept", ["bytes", "path", "both"])
def test_an_image_that_datasets_did_not_decode(processor, panorama_file, kept, prompt):
    found = {"bytes": panorama_file.read_bytes(), "path": str(panorama_file)}
    image = {name: value if kept in (name, "both") else None for name, value in found.items()}
    expected = processor.image_processor(panorama_file)["pixel_values"]
    assert torch.equal(processor.image_processor([image])["pixel_values"], expected)
    inputs = processor(images=[[image]], text=[prompt("What?")], return_tensors="pt")
    assert torch.equal(inputs["pixel_values"], expected)
    with pytest.raises(ValueError, match="neither bytes nor a path"):
        processor.image_processor({"bytes": None, "path": None})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda image: image / 255, r"values in \[.*\], but rescaling expects \[0, 255\]; pass do_rescale=False"),
        (lambda image: image * 3.0, "but rescaling expects"),
        (lambda image: image - 40.0, "but rescaling expects"),
        (lambda image: np.where(image > 99, np.nan, 0.5), "not finite"),
        (lambda image: image[:, :-2] / 1.0, r"must be an array \[H, 2H, 3\]"),
        (lambda image: image[:0, :0] / 1.0, r"must be an array \[H, 2H, 3\]"),
    ],
    ids=["in 0 to 1", "too high", "negative", "nan", "not 2:1", "empty"],
)
def test_float_images_of_another_range_are_refused(panorama, make, message):
    with pytest.raises(PanoramaError, match=message):
        PanoLLaVaImageProcessor(size=28)(make(panorama))


@pytest.mark.parametrize(
    "setting",
    [
        {"do_resize": False},
        {"do_center_crop": True},
        {"crop_size": 20},
        {"do_pad": True},
        {"resample": Image.Resampling.BICUBIC},
        {"data_format": "channels_last"},
        {"rescale_factor": 0.0},
        {"do_normalize": "yes"},
    ],
)
def test_settings_that_cannot_apply_are_errors(panorama, setting):
    (name,) = setting
    with pytest.raises(ValueError, match=name):
        PanoLLaVaImageProcessor(size=28, **setting)
    with pytest.raises(ValueError, match=name):
        PanoLLaVaImageProcessor(size=28)(panorama, **setting)


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (16, 8)),
        Image.new("L", (16, 8), 9).convert("P"),
        np.zeros((8, 16), np.uint8),
        np.zeros((8, 16, 4), np.uint8),
        torch.zeros(1, 8, 16),
    ],
)
def test_without_conversion_to_rgb_other_images_are_refused(panorama, image):
    processor = PanoLLaVaImageProcessor.from_dict({"size": 28}, do_convert_rgb=False)
    expected = PanoLLaVaImageProcessor(size=28)(panorama)["pixel_values"]
    assert torch.equal(processor(panorama)["pixel_values"], expected)
    with pytest.raises(PanoramaError, match=r"has [14] channels?, but the vision tower needs 3"):
        processor(image)


def test_settings_at_their_only_value_change_nothing(panorama):
    usual = {"do_resize": True, "do_center_crop": False, "resample": 2, "do_convert_rgb": True, "crop_size": None}
    expected = PanoLLaVaImageProcessor(size=28)(panorama)["pixel_values"]
    assert torch.equal(PanoLLaVaImageProcessor(size=28, **usual)(panorama)["pixel_values"], expected)
    assert torch.equal(PanoLLaVaImageProcessor(size=28)(panorama, **usual)["pixel_values"], expected)


def test_an_old_config_gives_the_pixels_it_gave(panorama, tmp_path):
    old = {
        "image_processor_type": "PanoLLaVaImageProcessor",
        "size": {"height": 28, "width": 28},
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.5, 0.6, 0.7],
        "crop_strategy": "cubemap",
        "fov_deg": 104.0,
        "overlap_ratio": 0.3,
        "antialias": True,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    processor = PanoLLaVaImageProcessor.from_pretrained(tmp_path)
    views = extract_views(load_equirectangular(panorama), processor.view_plan(), 28)
    mean, std = (torch.tensor(old[name]).view(-1, 1, 1) for name in ("image_mean", "image_std"))
    assert torch.equal(processor(panorama)["pixel_values"][0], (views.float() / 255.0 - mean) / std)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1"])
@pytest.mark.parametrize("size", [(50, 50), (30, 90), (500, 20), (1, 1)])
def test_an_image_of_one_colour_is_a_panorama_of_any_shape(mode, size):
    processor = PanoLLaVaImageProcessor(size=28)
    colour = Image.new("RGB", (1, 1), (255, 0, 0)).convert(mode)
    found = processor(colour.resize(size))["pixel_values"]
    expected = processor(colour.resize((256, 128)))["pixel_values"]
    assert torch.equal(found, expected)


def test_a_huge_image_of_one_colour_needs_no_panorama_of_that_size():
    small = PanoLLaVaImageProcessor(size=28).fetch_images(Image.new("RGB", (10000, 10000), 255))
    assert small.shape[1] <= 64
    assert small.amin((1, 2)).tolist() == small.amax((1, 2)).tolist() == [255, 0, 0]


def test_a_square_photograph_is_still_refused(panorama):
    square = np.ascontiguousarray(panorama[:, :128])
    with pytest.raises(PanoramaError):
        PanoLLaVaImageProcessor(size=28)(Image.fromarray(square))
    almost = np.full((64, 64, 3), 9, np.uint8)
    almost[5, 5] = 10
    with pytest.raises(PanoramaError):
        PanoLLaVaImageProcessor(size=28)(Image.fromarray(almost))
