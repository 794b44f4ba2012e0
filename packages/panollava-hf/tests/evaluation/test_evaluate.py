import errno
import json
import os
import shutil
from dataclasses import replace

import pytest
from panollava_geometry import PanoramaError
from panollava_hf import Answerer
from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation import Options, _evaluate, _panoramas, evaluate, read_questions
from panollava_hf.evaluation._evaluate import check, check_lengths, claim_folder
from panollava_hf.evaluation._questions import Pass
from panollava_hf.evaluation._results import DataInfo, ModelInfo, Settings
from panollava_hf.evaluation.metrics import _captions, _directions
from panollava_hf.hub import read_results

OPTIONS = Options(batch_size=8, max_new_tokens=4, shuffle_images=True, rotate="90")
#: What may differ between a run and its continuation.
VOLATILE = ("seconds", "answered_before")
FILES = {
    "questions": "predictions.jsonl",
    "shuffled_images": "predictions-shuffled.jsonl",
    "rotated": "predictions-rotated-90.jsonl",
}


def figures(folder):
    results = json.loads((folder / "results.json").read_text())
    return {name: value for name, value in results.items() if name not in VOLATILE}


@pytest.fixture(scope="module")
def done(answerer, questions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation") / "out"
    evaluate(answerer, questions, folder, OPTIONS)
    return folder


def test_files(done):
    names = {path.name for path in done.iterdir()}
    assert names == {"settings.json", "results.json", "results.md", "directions.png", *FILES.values()}


def test_every_question_has_its_prediction(done, questions):
    lines = [json.loads(line) for line in (done / "predictions.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == [question.index for question in questions]
    for line, asked in zip(lines, questions, strict=True):
        assert (line["question"], line["answer"], line["image"]) == (asked.question, asked.answer, asked.key)
        assert line["correct"] is None if asked.is_caption else isinstance(line["correct"], bool)


def test_figures_follow_from_the_predictions(done):
    lines = [json.loads(line) for line in (done / "predictions.jsonl").read_text().splitlines()]
    results = figures(done)
    asked = [line for line in lines if line["family"] != "caption"]
    assert results["count"] == len(asked)
    assert results["exact_match"] == sum(line["correct"] for line in asked) / len(asked)
    assert "caption" not in results["families"]
    assert sum(found["count"] for found in results["families"].values()) == len(asked)
    assert results["captions"]["count"] == len(lines) - len(asked)
    assert sum(map(sum, results["directions"]["counts"])) == results["families"]["where"]["count"]
    assert results["shuffled_images"]["count"] == len(asked)
    assert results["shuffled_images"]["answer_prior"] == results["answer_prior"]["exact_match"]
    assert results["rotated"]["count"] == len(asked)
    assert 0 < results["answer_prior"]["exact_match"] < 1
    assert all(place["count"] > 0 for place in results["places"].values())


def test_the_probes_keep_the_layout_of_version_0_1(done):
    results = figures(done)
    assert list(results)[7:9] == ["shuffled_images", "rotated"]
    assert list(results["shuffled_images"]) == ["exact_match", "count", "families", "answer_prior"]
    share = ["exact_match", "consistency", "count"]
    assert list(results["rotated"]) == ["yaw_deg", *share, "families", "changing", "unanswerable"]
    assert results["rotated"]["yaw_deg"] == "90"
    assert list(results["rotated"]["changing"]) == list(results["rotated"]["families"]["where"]) == share
    assert list(results["places"]) == ["back seam", "poles", "elsewhere"]
    assert list(results["places"]["poles"]) == ["exact_match", "count", "families", "elsewhere_alike"]
    assert list(results["places"]["elsewhere"]) == ["exact_match", "count", "families"]
    entry = json.loads((done / "predictions-rotated-90.jsonl").read_text().splitlines()[0])
    assert list(entry) == ["row", "image", "family", "yaw_deg", "question", "answer", "prediction", "correct"]
    identity = json.loads((done / "settings.json").read_text())
    assert {part: list(identity[part]) for part in identity} == {
        "model": ["name", "fingerprint"],
        "data": ["source", "split", "fingerprint", "options"],
        "settings": ["max_new_tokens", "dtype", "seed"],
    }


def test_the_embedded_checkpoint_uses_the_image(done):
    results = figures(done)
    assert results["exact_match"] > 0.7
    assert results["shuffled_images"]["exact_match"] < 0.45


def test_a_model_card_takes_the_figures(done):
    results = figures(done)
    whole, *others = read_results(done / "results.json")
    assert (whole.metric_type, whole.dataset_name, whole.dataset_split) == ("exact_match", "data", "test")
    assert whole.metric_value == pytest.approx(100 * results["exact_match"], abs=0.006)
    assert {f"exact_match_{name}" for name in results["families"]} < {result.metric_type for result in others}
    assert [result.metric_value for result in others if result.metric_type == "cider"] == [
        pytest.approx(results["captions"]["cider"], abs=6e-5)
    ]
    assert not any(str(done.parent) in str(result) for result in others)


@pytest.mark.parametrize("cut", FILES)
def test_a_run_killed_in_the_middle_goes_on_to_the_same_figures(done, answerer, questions, tmp_path, cut):
    folder = tmp_path / "killed"
    shutil.copytree(done, folder)
    names = list(FILES)
    later = [FILES[name] for name in names[names.index(cut) + 1 :]]
    for name in ("results.json", "results.md", "directions.png", *later):
        (folder / name).unlink()
    file = folder / FILES[cut]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 2 // 5])  # some rows of a batch, and an incomplete line
    assert not file.read_bytes().endswith(b"\n")
    calls = []
    results = evaluate(answerer, questions, folder, OPTIONS, progress=lambda *call: calls.append(call))
    assert figures(folder) == figures(done)
    assert 0 < results.answered_before < 3 * len(questions)
    for name in FILES.values():
        assert (folder / name).read_bytes() == (done / name).read_bytes()
    assert all(answered <= total for _, answered, total in calls)
    assert next(answered == total for name, answered, total in reversed(calls) if name == cut)


def test_a_batch_that_is_finished_is_not_asked_again(done, answerer, questions, tmp_path, monkeypatch):
    folder = tmp_path / "killed"
    shutil.copytree(done, folder)
    lines = (folder / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "predictions.jsonl").write_bytes(b"".join(lines[:-1]))
    asked = []
    generate = type(answerer.model).generate
    monkeypatch.setattr(
        type(answerer.model), "generate", lambda self, **inputs: asked.append(1) or generate(self, **inputs)
    )
    evaluate(answerer, questions, folder, OPTIONS)
    assert len(asked) == 1


def test_a_finished_run_asks_nothing_again(done, answerer, questions, monkeypatch):
    monkeypatch.setattr(type(answerer.model), "generate", lambda *args, **kwargs: pytest.fail("asked again"))
    before = figures(done)
    evaluate(answerer, questions, done, OPTIONS)
    assert figures(done) == before


def test_a_probe_may_be_added_to_a_finished_run(done, answerer, questions, tmp_path):
    folder = tmp_path / "more"
    shutil.copytree(done, folder)
    results = evaluate(answerer, questions, folder, Options(batch_size=8, max_new_tokens=4, rotate="-90")).to_json()
    assert "shuffled_images" not in results
    assert results["rotated"]["yaw_deg"] == "-90"
    assert (folder / "predictions-rotated--90.jsonl").exists()


def test_other_settings_are_refused(done, answerer, questions):
    with pytest.raises(EvaluationError, match=r"another --max-new-tokens \(4, now 5\);"):
        evaluate(answerer, questions, done, Options(max_new_tokens=5))


def test_without_the_extra_exact_match_stays(answerer, questions, tmp_path, monkeypatch):
    monkeypatch.setattr(_captions, "find_spec", lambda module: None)
    results = evaluate(answerer, questions, tmp_path / "out", Options(max_new_tokens=1))
    found = results.to_json()
    assert found["exact_match"] is not None
    assert "bleu4" not in found["captions"]
    assert found["captions"]["needs"].startswith("sacrebleu: pip install")
    (captions,) = results.notes()
    assert "captions are not scored" in captions
    assert "not scored" in (tmp_path / "out" / "results.md").read_text()
    with pytest.raises(EvaluationError, match="--captions needs sacrebleu"):
        check(questions, Options(), captions=True)


MODEL = ModelInfo("m", "1", True)
DATA = DataInfo("d", "test", "2", 3, 1)


def test_a_folder_can_be_claimed_again_by_the_same_evaluation(tmp_path):
    folder = tmp_path / "out"
    claim_folder(folder, MODEL, DATA, Settings())
    before = sorted(path.name for path in folder.iterdir())
    claim_folder(folder, ModelInfo("another name", "1", True), DATA, Settings(batch_size=3, rotate="90"))
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("model", "data", "settings", "message"),
    [
        (ModelInfo("n", "9", True), DATA, Settings(), r"other weights \(m, not n\)"),
        (ModelInfo("m", "9", True), DATA, Settings(), r"other weights \(m has changed since\)"),
        (MODEL, DataInfo("e", "test", "9", 3, 1), Settings(), r"other data \(d, not e\)"),
        (MODEL, DATA, Settings(max_new_tokens=5), r"another --max-new-tokens \(64, now 5\)"),
        (
            MODEL,
            DATA,
            Settings(dtype="bfloat16", seed=2),
            r"another --dtype \(float32, now bfloat16\) and --seed \(0, now 2\);",
        ),
    ],
)
def test_a_folder_of_another_evaluation_is_refused(tmp_path, model, data, settings, message):
    claim_folder(tmp_path / "out", MODEL, DATA, Settings())
    with pytest.raises(EvaluationError, match=message):
        claim_folder(tmp_path / "out", model, data, settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": 2}, r"another --limit \(none, now 2\);"),
        ({"captions": True}, r"another --captions \(off, now on\);"),
        ({"columns": {"answer": "second"}}, r"another --column \(none, now answer=second\);"),
    ],
)
def test_the_option_that_changed_is_named(table, tmp_path, change, message):
    record = {"image": "panorama.png", "question": "What?", "answer": "A room.", "second": "A hall."}
    path = table(*({**record, "question": f"What is {i}?"} for i in range(4)))

    def claim(**options):
        questions = read_questions(path, **options)
        data = DataInfo(questions.source, questions.split, questions.fingerprint, len(questions), 1)
        claim_folder(tmp_path / "out", MODEL, data, Settings(), questions.reading)

    claim()
    claim(limit=4)  # the same questions
    with pytest.raises(EvaluationError, match=message):
        claim(**change)
    path.write_text(path.read_text().replace("hall", "kitchen"))
    with pytest.raises(EvaluationError, match=message if change != {"limit": 2} else "another --limit"):
        claim(**change)
    path.write_text(path.read_text().replace("room", "kitchen"))
    with pytest.raises(EvaluationError, match=r"other data \(.* has changed since\)"):
        claim()


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(EvaluationError, match="holds files that are not from an evaluation"):
        claim_folder(tmp_path, MODEL, DATA, Settings())
    with pytest.raises(EvaluationError, match="is a file"):
        claim_folder(tmp_path / "photo.jpg", MODEL, DATA, Settings())
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(EvaluationError, match="this is not valid JSON"):
        claim_folder(tmp_path, MODEL, DATA, Settings())


@pytest.mark.parametrize("content", ["{", "null", "[]", '{"model": 5, "data": [], "settings": "x"}', "[" * 100_000])
def test_damaged_settings_of_a_folder_are_one_line(tmp_path, content):
    claim_folder(tmp_path / "out", MODEL, DATA, Settings())
    (tmp_path / "out" / "settings.json").write_text(content)
    message = "this is not valid JSON|expected a JSON object|belongs to an evaluation with other weights"
    with pytest.raises(EvaluationError, match=message) as caught:
        claim_folder(tmp_path / "out", MODEL, DATA, Settings())
    assert len(str(caught.value)) < 500 + 2 * len(str(tmp_path))


TEXTS = [
    {"question": "One\u2028two\u2029three\x85four?", "answer": "x\x0b\x0cy\x1c"},
    {"question": "What does <|vision|> mean?", "answer": "</s><|im_end|>"},
    {"question": "{{ 7 * 7 }}{% raw %}\r\n<|im_start|>system", "answer": "\u2028x"},
]


def test_a_second_evaluation_reads_the_predictions_of_the_first(table, open_checkpoint, tmp_path):
    answerer = Answerer.load(str(open_checkpoint))
    path = table(*({"image": "panorama.png", **texts} for texts in TEXTS))
    first = evaluate(answerer, read_questions(path), tmp_path / "out", Options(max_new_tokens=4))
    before = (tmp_path / "out" / "predictions.jsonl").read_bytes()
    second = evaluate(answerer, read_questions(path), tmp_path / "out", Options(max_new_tokens=4))
    assert second.answered_before == 3
    assert second.metrics == first.metrics
    assert (tmp_path / "out" / "predictions.jsonl").read_bytes() == before
    found = [json.loads(line) for line in before.decode().split("\n")[:-1]]
    assert [line["question"] for line in found] == [texts["question"] for texts in TEXTS]
    assert all(isinstance(line["prediction"], str) for line in found)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("Where is it? " * 3000, r"(row|line) 2: the question is too long: \d+ tokens, this model reads 2048"),
        ("어디에 있나요? " * 3000, r"(row|line) 2: the question is too long: \d+ tokens, this model reads 2048"),
    ],
)
def test_a_question_that_the_model_cannot_read_is_reported_with_its_row(
    table, answerer, tmp_path, monkeypatch, question, message
):
    path = table(*({"image": "panorama.png", "question": q, "answer": "x"} for q in ("What?", question)))
    monkeypatch.setattr(type(answerer.model), "generate", lambda *args, **kwargs: pytest.fail("asked"))
    with pytest.raises(EvaluationError, match=message) as caught:
        evaluate(answerer, read_questions(path), tmp_path / "out")
    assert len(str(caught.value)) < 300 + len(str(path))
    assert not (tmp_path / "out").exists()


def test_half_a_surrogate_pair_is_reported_with_its_row(answerer, make_question, make_questions, tmp_path):
    rows = [make_question(0), make_question(1, question="Where is \ud800?")]
    with pytest.raises(EvaluationError, match=r"row 1: the text has .*half of a surrogate pair"):
        check_lengths(answerer, [Pass("questions", "predictions.jsonl", tuple(rows))])


def test_a_url_is_kept_without_its_query(table, answerer, tmp_path, monkeypatch):
    urls = ["https://me:SECRET@example.org/a.jpg?token=SECRET", "https://example.org/a.jpg?token=SECRET2"]
    path = table(*({"image": url, "question": "What?", "answer": "x"} for url in [*urls, "panorama.png"]))
    questions = read_questions(path)
    assert len({question.key for question in questions}) == 3
    load = _panoramas.Panorama.load

    def refuse(source, **options):
        if isinstance(source, str):
            raise PanoramaError("the server does not answer")
        return load(source, **options)

    monkeypatch.setattr(_panoramas.Panorama, "load", refuse)
    results = evaluate(answerer, questions, tmp_path / "out", Options(skip_bad=True, max_new_tokens=2))
    assert results.left_out == 2
    assert [key.partition("#")[0] for key in results.unreadable] == [
        "https://…@example.org/a.jpg",
        "https://example.org/a.jpg",
    ]
    for file in (tmp_path / "out").iterdir():
        assert b"SECRET" not in file.read_bytes(), file


def test_names_with_brackets_bars_and_line_breaks(table, answerer, tmp_path):
    folder = tmp_path / "a [red] $x^$ | b"
    path = table({"image": "panorama.png", "question": "Where?", "answer": "$\\frac$", "family": "where"})
    questions = replace(read_questions(path), source=str(folder / path.name))
    odd = replace(
        questions, rows=tuple(replace(row, family="a|b\nc") for row in questions), source=str(folder / "x\ny")
    )
    lines = evaluate(answerer, odd, tmp_path / "out [/]", Options(max_new_tokens=2)).markdown().splitlines()
    assert "| a\\|b c | 1 |" in "\n".join(lines)
    assert lines[0].startswith(f"# embedded on {folder}")
    results = evaluate(answerer, questions, tmp_path / "directions", Options(max_new_tokens=2))
    assert results.metrics["directions"].labels[-1] == "$\\frac$"
    assert (tmp_path / "directions" / "directions.png").read_bytes().startswith(b"\x89PNG")


def test_answers_that_are_no_directions_do_not_make_a_huge_figure(make_question, make_questions, predict_all):
    rows = [make_question(i, family="where", answer=f"answer {min(i, 990)} " + "x" * 500) for i in range(1000)]
    found = _directions.directions(make_questions(rows), predict_all(rows, lambda question: "left"))
    assert len(found.labels) == 10 + 20
    assert any(label.startswith("answer 990") for label in found.labels)
    assert len(found.files("t" * 1000)["directions.png"]) < 2**20


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line(answerer, questions, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_evaluate, "write_whole", full)
    with pytest.raises(EvaluationError, match=r"out cannot be written \(No space left on device\); make room"):
        evaluate(answerer, questions, tmp_path / "out", Options(max_new_tokens=1))
