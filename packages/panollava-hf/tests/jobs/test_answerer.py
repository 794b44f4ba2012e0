"""`PanoramaAnswerer` and `PanoramaCaptioner` with models in this process: answers are those of `Answerer`."""

import importlib.util
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from panollava_geometry import PanoramaError
from panollava_hf import Answerer
from panollava_hf._errors import ChatError, ModelError, TableError, TextError, UsageError
from panollava_hf.jobs import PanoramaAnswerer, PanoramaCaptioner, _asking
from panollava_hf.panoshapes import render_scene, sample_scene
from PIL import Image

EMPTY = {"answer", "caption", "question", "strategy", "calls", "image_tokens", "prompt_tokens", "new_tokens", "note"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three rendered scenes, which the embedded checkpoint knows."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        Image.fromarray(render_scene(sample_scene(0, "test", number), 256)).save(folder / f"{number}.png")
    return sorted(map(str, folder.iterdir()))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Qwen3-VL with tiny random weights, as a folder."""
    path = Path(__file__).parents[1] / "asking" / "tiny_vlm.py"
    spec = importlib.util.spec_from_file_location("tiny_vlm_of_the_jobs", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if module.is_missing("qwen3_vl"):
        pytest.skip("this release of transformers does not have Qwen3-VL")
    model, processor = module.TINY["qwen3_vl"].build()
    folder = tmp_path_factory.mktemp("tiny") / "qwen3-vl"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def reads(monkeypatch):
    """The images that were read."""
    found, read = [], _asking.AskingJob.read_with

    def recorded(job, answerer, item):
        found.append(item.image)
        return read(job, answerer, item)

    monkeypatch.setattr(_asking.AskingJob, "read_with", recorded)
    return found


def rows(results):
    return [dict(zip(results, values, strict=True)) for values in zip(*results.values(), strict=True)]


def asked(photos):
    questions = ["How many cubes are there?", "What is behind me?", "Is there a red cube?"]
    return {"image": [photos[n % 3] for n in range(6)], "question": [questions[n // 2] for n in range(6)]}


@pytest.mark.parametrize(
    ("strategy", "kind"), [(None, "embedded"), ("views", "tiny"), ("describe", "tiny"), ("erp", "tiny")]
)
def test_each_row_has_the_answer_of_the_answerer(photos, request, reads, strategy, kind):
    model = request.getfixturevalue("tiny") if kind == "tiny" else kind
    options = {"device": "cpu"} | ({"view_size": 56, "strategy": strategy} if kind == "tiny" else {})
    job = pickle.loads(pickle.dumps(PanoramaAnswerer(model, max_new_tokens=6, **options)))
    batch = asked(photos)
    found = rows(job(batch))
    assert sorted(reads) == photos  # each once
    answerer = Answerer.load(model, **options)
    compared = list(zip(found, batch["image"], batch["question"], strict=True))
    for row, path, question in compared[::3] if strategy == "describe" else compared:  # descriptions take seconds
        expected = answerer.answer(path, question, max_new_tokens=6)
        assert row["error"] is None
        assert (row["path"], row["question"], row["answer"]) == (path, question, expected.text)
        assert (row["note"], expected.unknown) == (None, "")
        assert row["strategy"] == expected.strategy
        assert row["new_tokens"] <= expected.new_tokens
    if strategy == "describe":
        assert sorted(row["calls"] for row in found) == [1, 1, 1, 7, 7, 7]  # described once for two questions
    else:
        assert {row["calls"] for row in found} == {1}


def test_what_the_model_does_not_know_has_no_answer_and_a_note(photos):
    gray = np.full((64, 128, 3), 127, np.uint8)
    questions = ["Where is the door?", "Where am I?", "How many cubes are there?", "How many cubes are there?"]
    job = PanoramaAnswerer("embedded", max_new_tokens=6, device="cpu")
    found = rows(job({"image": [photos[0], photos[0], gray, photos[0]], "question": questions}))
    assert [row["answer"] is None for row in found] == [True, True, True, False]
    assert [row["error"] for row in found] == [None] * 4
    for row, part in zip(found[:3], ["the word 'door'", "none of them says", "this image is unlike"], strict=True):
        assert part in row["note"]
    captions = rows(PanoramaCaptioner("embedded", max_new_tokens=6, device="cpu")({"image": [gray, photos[0]]}))
    assert [(row["caption"] is None, row["error"]) for row in captions] == [(True, None), (False, None)]


def test_captions_are_those_of_the_answerer(photos, tiny):
    options = {"view_size": 56, "device": "cpu"}
    answerer = Answerer.load(tiny, **options)
    whole = rows(PanoramaCaptioner(tiny, max_new_tokens=5, **options)({"image": photos}))
    assert [row["caption"] for row in whole] == [answerer.caption(path, max_new_tokens=5).text for path in photos]
    job = PanoramaCaptioner(tiny, max_new_tokens=5, per_view=True, prompt="What is here?", **options)
    (row,) = rows(job({"image": photos[:1]}))
    expected = answerer.caption(photos[0], per_view=True, prompt="What is here?", max_new_tokens=5)
    assert [view["caption"] for view in row["views"]] == [one.text for one in expected]
    assert [view["direction"] for view in row["views"]] == ["left", "ahead", "right", "behind", "above", "below"]
    assert row["prompt_tokens"] == sum(one.prompt_tokens for one in expected)
    assert row["calls"] == 6


def test_a_row_that_cannot_be_asked_is_its_own_error(photos, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("not an image")
    job = PanoramaAnswerer("embedded", max_new_tokens=2, device="cpu")
    questions = ["How many?", None, " ", float("nan"), 7, "word " * 3000, "half \ud800", "How many?", "How many?"]
    images = [photos[0]] * 7 + [str(text), "missing.jpg"]
    found = rows(job({"id": [f"row-{n}" for n in range(9)], "image": images, "question": questions}))
    errors = [row["error"] for row in found]
    assert errors[0] is None
    assert found[0]["calls"] == 1
    for error, part in zip(
        errors[1:],
        [
            "the row has no question",
            "the question is empty",
            "the row has no question",
            "the question 7 is not a text",
            "the question is too long: ",
            "half of a surrogate pair",
            "not an image",
            "no such file",
        ],
        strict=True,
    ):
        assert part in error or "text.jpg" in error
        assert "\n" not in error
    for row in found[1:]:
        assert {row[name] for name in EMPTY & set(row)} == {None}
    assert [row["id"] for row in found] == [f"row-{n}" for n in range(9)]


def test_a_row_that_its_source_could_not_read_keeps_its_error(photos):
    job = PanoramaAnswerer("embedded", question="How many?", max_new_tokens=1, device="cpu")
    found = rows(job({"image": [photos[0], None], "error": [None, "line 2 is damaged"]}))
    assert [row["error"] for row in found] == [None, "line 2 is damaged"]


def test_columns_with_other_names(photos):
    job = PanoramaAnswerer("embedded", max_new_tokens=2, columns={"image": "photo", "question": "text"}, device="cpu")
    found = rows(job({"photo": photos[:1], "text": ["How many cubes are there?"], "id": ["a"]}))
    assert (found[0]["id"], found[0]["question"], found[0]["error"]) == ("a", "How many cubes are there?", None)
    with pytest.raises(TableError, match="no column 'photo' for image; its columns are scene"):
        job({"scene": photos})


def test_one_question_for_all_rows(photos):
    found = rows(PanoramaAnswerer("embedded", question="How many?", max_new_tokens=2)({"path": photos[:2]}))
    assert [row["question"] for row in found] == ["How many?"] * 2
    with pytest.raises(TableError, match="no column 'question'"):
        PanoramaAnswerer("embedded")({"path": photos[:1]})


def test_images_of_all_kinds_share_what_is_equal(photos, reads):
    data = Path(photos[0]).read_bytes()
    image = Image.open(photos[1])
    array = np.asarray(image)
    batch = [photos[0], data, {"bytes": bytes(bytearray(data)), "path": "x.png"}, image, image, array, photos[0]]
    found = rows(PanoramaAnswerer("embedded", question="How many?", max_new_tokens=2)({"image": batch}))
    assert [row["error"] for row in found] == [None] * 7
    assert len(reads) == 4  # the path, the bytes, the image, the array
    assert found[2]["path"] == "x.png"


def test_the_model_and_the_images_stay_here(photos):
    job = PanoramaCaptioner("embedded", max_new_tokens=1, hfov_deg=None)
    job({"image": photos[:1]})
    assert len(pickle.dumps(job)) < 2000
    copy = pickle.loads(pickle.dumps(job))
    assert copy.settings() == job.settings()
    assert json.loads(json.dumps(job.settings()))["model"] == "embedded"
    assert job.settings() != PanoramaCaptioner("embedded", max_new_tokens=2).settings()


def test_the_schemas_fit_the_rows(photos, tiny):
    pa = pytest.importorskip("pyarrow")
    jobs = [
        PanoramaAnswerer("embedded", question="How many?", max_new_tokens=1),
        PanoramaCaptioner("embedded", max_new_tokens=1),
        PanoramaCaptioner(tiny, per_view=True, view_size=56, max_new_tokens=1),
    ]
    for job in jobs:
        found = job({"image": [photos[0], "missing.jpg"]})
        assert job.schema().names == list(found)
        table = pa.table(found, schema=job.schema())
        assert table.to_pylist() == rows(found)
        empty = pa.table(job({"image": ["missing.jpg"]}), schema=job.schema())  # a part of errors has the same types
        assert empty.schema == table.schema


def test_options_that_cannot_be_used(photos):
    with pytest.raises(UsageError, match="concurrency, timeout cannot be used without base_url"):
        PanoramaAnswerer("embedded", concurrency=2, timeout=3.0)
    with pytest.raises(UsageError, match="device cannot be used with base_url"):
        PanoramaAnswerer("m", base_url="http://127.0.0.1:9/v1", device="cpu")
    with pytest.raises(ChatError, match="http:// or https://"):
        PanoramaAnswerer("m", base_url="ftp://127.0.0.1")
    with pytest.raises(TextError, match="prompt: the question is empty"):
        PanoramaCaptioner("embedded", prompt=" ")
    with pytest.raises(UsageError, match="with per_view each view is shown alone"):
        PanoramaCaptioner("embedded", per_view=True, strategy="describe")
    with pytest.raises(ChatError, match="sees all views at once"):
        PanoramaCaptioner("embedded", per_view=True)({"image": photos[:1]})
    with pytest.raises(ChatError, match="strategy describe does not work with PanoLLaVA"):
        PanoramaAnswerer("embedded", question="Why?", strategy="describe")({"image": photos[:1]})
    with pytest.raises(ModelError, match="missing-folder"):
        PanoramaAnswerer("./missing-folder", question="Why?")({"image": photos[:1]})
    with pytest.raises(PanoramaError, match="400"):
        PanoramaAnswerer("embedded", hfov_deg=400.0)
    with pytest.raises(UsageError, match="must be at least 1"):
        PanoramaAnswerer("embedded", max_new_tokens=0)
