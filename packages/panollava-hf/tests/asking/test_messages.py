import base64
import io
import json
import math
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from panollava_geometry import (
    CylindricalView,
    EquirectangularView,
    FisheyeView,
    PanoramaError,
    PerspectiveView,
    StereographicView,
    ViewPlan,
    plan_views,
)
from panollava_hf import panorama_messages
from panollava_hf._errors import ViewSettingError
from panollava_hf.asking._answer_regions import regions_of
from panollava_hf.asking._directions import direction, label
from panollava_hf.asking._frame import LOOK_AROUND, frame_sentence
from PIL import Image

GREY = np.full((64, 128, 3), 127, np.uint8)


def parts(messages, kind):
    return [part for part in messages[-1]["content"] if part["type"] == kind]


def texts(messages):
    return [part["text"] for part in parts(messages, "text")]


def pixels(messages):
    urls = [part["image_url"]["url"] for part in parts(messages, "image_url")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))).astype(int) for url in urls]


def test_the_form_of_the_messages():
    messages = panorama_messages(GREY, "What is behind me?", system="Be brief.", size=64)
    assert [message["role"] for message in messages] == ["system", "user"]
    assert [part["type"] for part in messages[1]["content"]] == ["text", *["text", "image_url"] * 6, "text"]
    assert texts(messages)[1:] == [
        "Image 1: left (yaw -90°, pitch 0°)",
        "Image 2: ahead (yaw 0°, pitch 0°)",
        "Image 3: right (yaw +90°, pitch 0°)",
        "Image 4: behind (yaw +180°, pitch 0°)",
        "Image 5: above (yaw 0°, pitch +90°)",
        "Image 6: below (yaw 0°, pitch -90°)",
        "What is behind me?",
    ]
    assert json.loads(json.dumps(messages)) == messages  # OpenAI clients and vLLM send JSON
    assert len(pixels(messages)) == 6


def from_conventions(yaw_deg, pitch_deg):
    """x right, y up, z ahead, as in docs/conventions.md."""
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    return math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)


def test_words_degrees_and_pixels_of_a_view_agree():
    """For random directions: the words by the signs of the ray, the degrees, and a dot that is in the middle."""
    generator = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.arange(128) + 0.5, np.arange(256) + 0.5, indexing="ij")
    longitude, latitude = columns / 256 * 2 * np.pi - np.pi, np.pi / 2 - rows / 128 * np.pi
    rays = np.stack(
        [np.sin(longitude) * np.cos(latitude), np.sin(latitude), np.cos(longitude) * np.cos(latitude)], axis=-1
    )
    for _ in range(40):
        yaw, pitch = float(generator.uniform(-540, 540)), float(generator.uniform(-66, 66))
        x, y, z = from_conventions(yaw, pitch)
        erp = np.where((rays @ [x, y, z] > math.cos(math.radians(8)))[..., None], 250, 20).astype(np.uint8)
        messages = panorama_messages(erp.repeat(3, axis=-1), "?", plan=[PerspectiveView(yaw, pitch)], size=64)
        (image,) = pixels(messages)
        assert image[30:34, 30:34].min() > 180
        assert image[:8].max() < 80
        words, degrees = re.match(r"Image 1: (.*) \((.*)\)", texts(messages)[1]).groups()
        level = math.hypot(x, z)
        assert ("right" in words) == (x / level > math.sin(math.radians(22.5)))
        assert ("left" in words) == (-x / level > math.sin(math.radians(22.5)))
        assert ("ahead" in words) == (z / level > math.sin(math.radians(22.5)))
        assert ("behind" in words) == (-z / level > math.sin(math.radians(22.5)))
        assert ("upwards" in words) == (y >= math.sin(math.radians(15)))
        assert ("downwards" in words) == (-y >= math.sin(math.radians(15)))
        found = re.fullmatch(r"yaw (\S+)°, pitch (\S+)°", degrees).groups()
        assert np.abs(np.subtract(from_conventions(*map(float, found)), (x, y, z))).max() < 0.015
        assert -180 < float(found[0]) <= 180


@pytest.mark.parametrize(
    ("yaw", "pitch", "name"),
    [
        (0, 0, "ahead"),
        (22.4, 0, "ahead"),
        (22.6, 0, "ahead to the right"),
        (359, 0, "ahead"),
        (-180, 0, "behind"),
        (180, 14, "behind"),
        (-90, 16, "left, upwards"),
        (135, -40, "behind to the right, downwards"),
        (77, 68, "above"),
        (77, -90, "below"),
    ],
)
def test_directions_in_words(yaw, pitch, name):
    assert direction(yaw, pitch) == name


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (PerspectiveView(-180.0), "behind (yaw +180°, pitch 0°)"),
        (PerspectiveView(270.0), "left (yaw -90°, pitch 0°)"),
        (PerspectiveView(-0.4, 0.4), "ahead (yaw 0°, pitch 0°)"),
        (PerspectiveView(10.0, roll_deg=-30.0), "ahead (yaw +10°, pitch 0°, roll -30°)"),
        (EquirectangularView(), "the whole panorama"),
        (EquirectangularView((-45, 45), (-30, 30)), "ahead (panorama from yaw -45° to +45°, pitch -30° to +30°)"),
        (EquirectangularView((-180, 180), (-30, 30)), "all around (panorama from pitch -30° to +30°)"),
    ],
)
def test_labels(view, expected):
    assert label(view) == expected
    with pytest.raises(TypeError, match="got str"):
        label("ahead")


def test_the_frame_sentence_fits_the_plan():
    ring = frame_sentence(LOOK_AROUND)
    assert ring.startswith("The 6 images below are perspective views of one 360° panorama")
    assert "overlap" in ring
    assert "%" not in ring
    cube = frame_sentence(plan_views("cubemap"))
    assert "overlap" not in cube
    one = frame_sentence(ViewPlan([PerspectiveView(0.0)]))
    assert one.startswith("The image below is a perspective view")
    assert "It shows 17 % of the surroundings" in one
    whole = frame_sentence(ViewPlan([EquirectangularView()]))
    assert "equirectangular projection" in whole
    assert "perspective" not in whole
    mixed = frame_sentence(plan_views("anyres_e2p"))
    assert "perspective views" in mixed
    assert "equirectangular" in mixed


@pytest.mark.parametrize(
    "plan",
    [
        LOOK_AROUND,
        plan_views("anyres_e2p"),
        [PerspectiveView(10.0), EquirectangularView()],
        EquirectangularView(),
        PerspectiveView(0.0, roll_deg=20.0),
    ],
    ids=["ring", "with the whole", "list", "the whole", "one view"],
)
def test_plans_of_any_kind_of_views(plan):
    messages = panorama_messages(GREY, "?", plan=plan, size=(48, 96))
    views = plan if hasattr(plan, "__len__") else [plan]
    assert texts(messages)[0] == frame_sentence(ViewPlan(views))
    assert texts(messages)[1:-1] == [f"Image {number}: {label(view)}" for number, view in enumerate(views, 1)]
    assert {image.shape for image in pixels(messages)} == {(48, 96, 3)}


def test_a_frame_sentence_of_ones_own():
    assert texts(panorama_messages(GREY, "?", size=32, frame_sentence="{count} views."))[0] == "6 views."
    assert len(texts(panorama_messages(GREY, "?", size=32, frame_sentence=""))) == 7


@pytest.mark.parametrize("size", [32, 64, 128, 448, (64, 512), (512, 64)])
def test_burnt_in_labels_cover_little_and_are_not_cut_off(size):
    plain = pixels(panorama_messages(GREY, "?", size=size))
    for labels, count in (("burnt-in", 2), ("both", 8)):
        messages = panorama_messages(GREY, "?", size=size, labels=labels)
        assert len(texts(messages)) == count
        for image, without in zip(pixels(messages), plain, strict=True):
            assert image.shape == without.shape
            rows = np.abs(image - without).max(axis=(1, 2)) > 20
            assert 0 < rows.mean() <= 0.22
            assert not rows[len(rows) // 4 :].any()
            strip = image[: rows.sum()]
            assert strip[..., 0].max() > 60  # letters
            assert strip[2:-3, -3:].max() < 60  # none at the right edge


def test_burnt_in_labels_differ():
    images = pixels(panorama_messages(GREY, "?", size=64, labels="burnt-in"))
    assert all(np.abs(a - b).max() > 60 for n, a in enumerate(images) for b in images[:n])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"question": ""}, ValueError, "the question is empty"),
        ({"question": " \n"}, ValueError, "the question is empty"),
        ({"question": None}, ValueError, "expected a question as a text, got NoneType"),
        ({"question": "a\udc00"}, ValueError, "half of a surrogate pair, at character 1"),
        ({"size": 1025}, ValueError, "from 16 to 1024, or .height, width., got 1025"),
        ({"size": 0}, ValueError, "got 0"),
        ({"size": True}, ValueError, "got True"),
        ({"size": (64, 4000)}, ValueError, "got .64, 4000."),
        ({"size": (64,)}, ValueError, "got .64,"),
        ({"size": 64.0}, ValueError, r"got 64\.0"),
        ({"size": "64"}, ValueError, "got '64'"),
        ({"labels": "burned"}, ValueError, "one of text, burnt-in, both, got 'burned'"),
        ({"labels": None}, ValueError, "got None"),
        ({"plan": []}, PanoramaError, "at least one view"),
        ({"plan": "ring"}, ValueError, "a view or a list of views, got 'ring'"),
        ({"plan": 3}, ValueError, "a view or a list of views, got 3"),
        ({"plan": [3]}, PanoramaError, "got int"),
        ({"panorama": np.zeros((64, 64, 3), np.uint8)}, PanoramaError, "twice as wide as high"),
        ({"panorama": "no/such.jpg"}, PanoramaError, "such.jpg"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        panorama_messages(**{"panorama": GREY, "question": "?", "size": 32, **arguments})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_it_imports_no_model_library():
    program = """
        import sys
        import numpy as np
        from panollava_hf import panorama_messages
        assert len(panorama_messages(np.zeros((64, 128, 3), np.uint8), "?", size=32, labels="both")[0]["content"]) == 14
        print([name for name in ("transformers", "openai", "huggingface_hub", "peft") if name in sys.modules])
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")  # transformers with torchvision 0.29
def test_apply_chat_template_takes_the_messages():
    """The processor of transformers 5 reads OpenAI's form; the images reach it in order, with each label before."""
    transformers = pytest.importorskip("transformers", minversion="5.0")
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "<image>": 1, "left": 2, "ahead": 3}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )
    template = (
        "{% for message in messages %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %} <image> {% else %} {{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"
    )
    images = transformers.CLIPImageProcessor(size={"height": 28, "width": 28}, do_center_crop=False)
    processor = transformers.LlavaProcessor(
        images, fast, patch_size=14, vision_feature_select_strategy="full", chat_template=template
    )
    erp = np.zeros((64, 128, 3), np.uint8)
    erp[:, 16:48] = 255  # left
    messages = panorama_messages(erp, "?", plan=LOOK_AROUND[:2], size=32)
    found = processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt")
    assert found["pixel_values"].mean(dim=(1, 2, 3)).argmax() == 0
    ids = [token for token in found["input_ids"][0].tolist() if token]
    assert ids == [2, *[1] * 4, 3, *[1] * 4]


def test_trl_takes_the_messages_with_images_apart():
    """TRL wants `{"type": "image"}` parts and a column of images; both follow from the messages."""
    messages = panorama_messages(GREY, "?", size=32)
    images = [Image.fromarray(image.astype(np.uint8)) for image in pixels(messages)]
    content = [{"type": "image"} if part["type"] == "image_url" else part for part in messages[0]["content"]]
    assert sum(part == {"type": "image"} for part in content) == len(images) == 6
    assert all(set(part) <= {"type", "text"} for part in content)


OTHERS = {
    "fisheye": (FisheyeView(90, hfov_deg=180), "right (yaw +90°, pitch 0°, fisheye image 180° wide)"),
    "cylindrical": (CylindricalView(0, vfov_deg=80), "all around (yaw 0°, pitch 0°, cylindrical image 360° wide)"),
    "stereographic": (
        StereographicView(0, pitch_deg=-90, hfov_deg=250),
        "all but above (yaw 0°, pitch -90°, stereographic image 250° wide)",
    ),
}


@pytest.mark.parametrize("projection", OTHERS)
def test_views_of_other_projections_are_labelled_and_explained(projection):
    view, name = OTHERS[projection]
    for plan in (view, [view], ViewPlan([view])):
        messages = panorama_messages(GREY, "?", plan=plan, size=64)
        assert texts(messages)[1] == f"Image 1: {name}"
    assert f"a {projection} view of a 360° panorama" in texts(messages)[0]
    (image,) = pixels(messages)
    assert abs(int(image[32, 32, 0]) - 127) < 4
    mixed = texts(panorama_messages(GREY, "?", plan=[PerspectiveView(0), EquirectangularView(), view], size=64))[0]
    assert "3 images below are views of" in mixed
    assert (
        "Some are perspective views; those labelled panorama are in equirectangular projection; those labelled "
        f"{projection} are in {projection} projection." in mixed
    )
    assert f"Those labelled {projection} are in" in frame_sentence(ViewPlan([view, view]))


def test_the_label_is_the_centre_of_the_image():
    """The axis of the camera is at the left edge, 45° left of the right edge."""
    view = PerspectiveView(-45, hfov_deg=53.13010235415598, principal_point=(0.0, 0.5))
    centre = -45 + math.degrees(math.atan(0.5))
    assert label(view) == f"ahead (yaw {round(centre)}°, pitch 0°)"


def test_boxes_in_views_of_other_projections_are_on_the_sphere():
    for view, _ in OTHERS.values():
        text = '[{"bbox_2d": [480, 480, 520, 520], "label": "door"}]'
        (region,) = regions_of((), text, ViewPlan([view]), (1000, 1000), "qwen3-vl")
        centre = view.point_to_ray([0.5, 0.5])
        assert region.box.contains(centre[None])[0]
        # what the box covers is what the pixels of the box see
        rays = view.point_to_ray([[0.485, 0.485], [0.515, 0.485], [0.485, 0.515]])
        assert region.box.contains(rays).all()
        assert not region.box.contains(view.point_to_ray([[0.6, 0.5], [0.5, 0.6]])).any()
    corner = '[{"bbox_2d": [0, 0, 20, 20], "label": "door"}]'
    assert regions_of((), corner, ViewPlan([FisheyeView(0)]), (1000, 1000), "qwen3-vl") == ()


def test_what_is_not_a_view_is_refused():
    with pytest.raises(ViewSettingError, match="plan must be a ViewPlan, a view or a list of views"):
        panorama_messages(GREY, "?", plan="fisheye")
    with pytest.raises(TypeError, match="expected a view, such as a PerspectiveView, got str"):
        label("fisheye")
