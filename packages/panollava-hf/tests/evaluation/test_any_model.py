"""Evaluation of a model that is not a PanoLLaVA checkpoint: probes, failed questions, and folders of results."""

import json

import pytest
from panollava_hf._errors import EvaluationError
from panollava_hf.asking import Answerer
from panollava_hf.evaluation import Options, _panoramas, evaluate, read_questions
from panollava_hf.evaluation._estimate import estimate
from panollava_hf.evaluation._predictions import PredictionFile, chunks, default_batch_size
from stand_in import StandIn, write_folder

PROBES = Options(shuffle_images=True, rotate="90")


@pytest.fixture(scope="module")
def patches(shapes, tmp_path_factory):
    return read_questions(write_folder(tmp_path_factory.mktemp("patches") / "data", shapes))


def answerer_of(chat, **options):
    return Answerer(chat, view_size=96, **options)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


@pytest.mark.parametrize("strategy", ["views", "describe"])
def test_a_model_that_looks_is_right_falls_with_other_images_and_turns_with_the_panorama(patches, tmp_path, strategy):
    results = evaluate(answerer_of(StandIn(strategy=strategy)), patches, tmp_path / "out", PROBES).to_json()
    assert (results["exact_match"], results["count"]) == (1.0, 8)
    assert results["shuffled_images"]["exact_match"] <= results["shuffled_images"]["answer_prior"] == 1 / 8
    assert results["rotated"]["exact_match"] == results["rotated"]["consistency"] == 1.0
    assert results["rotated"]["changing"]["count"] == 8
    shown = {"strategy": strategy, "view_size": 96, "labels": "text", "base_url": "https://models.example.org/v1"}
    assert shown.items() <= results["settings"].items()
    assert "errors" not in results


@pytest.mark.parametrize("yaw", ["random", "-135"])
def test_other_rotations(patches, tmp_path, yaw):
    results = evaluate(answerer_of(StandIn()), patches, tmp_path / "out", Options(rotate=yaw)).to_json()["rotated"]
    assert results["exact_match"] == results["consistency"] == 1.0
    assert results["count"] + results["unanswerable"] == 8


def test_a_blind_model_is_at_the_prior_everywhere(patches, tmp_path):
    chat = StandIn(answer=lambda question, direction: "front")
    results = evaluate(answerer_of(chat), patches, tmp_path / "out", PROBES).to_json()
    assert results["exact_match"] == results["shuffled_images"]["exact_match"] == 1 / 8
    assert results["rotated"]["changing"]["consistency"] == 0


def test_questions_about_a_panorama_share_its_descriptions(patches, shapes, tmp_path):
    folder = write_folder(tmp_path / "data", shapes, count=2)
    rows = (folder / "test.jsonl").read_text() * 4
    (folder / "test.jsonl").write_text(rows)
    chat = StandIn(strategy="describe")
    evaluate(answerer_of(chat), read_questions(folder), tmp_path / "out", Options(batch_size=3))
    described = [request for request in chat.requests if not request.final]
    assert (len(chat.asked), len(described)) == (8, 2 * 6)


def test_failed_questions_have_their_reason_are_counted_apart_and_asked_again(patches, tmp_path):
    out = tmp_path / "out"
    numbers = iter(range(100))
    chat = StandIn(fails=lambda question: "the server is full (429)" if next(numbers) % 4 == 1 else None)
    first = evaluate(answerer_of(chat), patches, out, Options(batch_size=2))
    found = json.loads((out / "results.json").read_text())
    assert found["count"] == 6
    assert found["exact_match"] == 1.0
    assert found["errors"] == {"questions": {"count": 2, "reasons": {"the server is full (429)": 2}}}
    failed = [line for line in lines_of(out / "predictions.jsonl") if "error" in line]
    assert len(lines_of(out / "predictions.jsonl")) == 8
    assert [(line["prediction"], line["correct"], line["error"]) for line in failed] == [
        (None, None, "the server is full (429)")
    ] * 2
    (note,) = first.notes()
    assert note.startswith("the model failed to answer 2 questions: the server is full (429); run the same command")
    assert "The model failed to answer 2 questions" in (out / "results.md").read_text()
    again = StandIn()
    second = evaluate(answerer_of(again), patches, out, Options(batch_size=2))
    assert len(again.asked) == 2  # an endpoint is not asked what it has answered
    assert second.answered_before == 6
    assert second.to_json()["count"] == 8
    assert not any("error" in line for line in lines_of(out / "predictions.jsonl"))


def test_a_model_that_answers_nothing_ends_the_run_early(patches, tmp_path):
    chat = StandIn(fails=lambda question: "the key was refused (401); set OPENAI_API_KEY")
    with pytest.raises(EvaluationError, match=r"none of the first 8 questions: the key was refused \(401\)") as caught:
        evaluate(answerer_of(chat), patches, tmp_path / "out", Options(batch_size=1, shuffle_images=True))
    assert len(chat.asked) == 8
    assert "\n" not in str(caught.value)
    few = patches.__class__(patches.source, patches.split, patches.rows[:2], "x")
    with pytest.raises(EvaluationError, match="none of the first 2 questions"):
        evaluate(answerer_of(chat), few, tmp_path / "few")


def test_a_server_that_goes_down_ends_the_run_and_it_goes_on_later(patches, tmp_path, monkeypatch):
    from panollava_hf.evaluation import _predictions

    monkeypatch.setattr(_predictions, "FAILURES_IN_A_ROW", 3)
    numbers = iter(range(100))
    chat = StandIn(fails=lambda question: "the connection failed" if next(numbers) >= 2 else None)
    with pytest.raises(EvaluationError, match=r"none of the last 4 questions: the connection failed.*go on"):
        evaluate(answerer_of(chat), patches, tmp_path / "out", Options(batch_size=2))
    assert len(chat.asked) == 6
    again = StandIn()
    results = evaluate(answerer_of(again), patches, tmp_path / "out", Options(batch_size=2))
    assert len(again.asked) == 6
    assert results.to_json()["exact_match"] == 1.0


def test_a_stopped_run_loses_a_batch_at_most(patches, tmp_path):
    class Stopped(StandIn):
        def reply(self, requests, *, on_text=None):
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().reply(requests)

    calls = []
    with pytest.raises(KeyboardInterrupt):
        evaluate(
            answerer_of(Stopped()),
            patches,
            tmp_path / "out",
            Options(batch_size=2),
            progress=lambda *call: calls.append(call[1]),
        )
    assert calls == [0, 2, 4]
    assert len(lines_of(tmp_path / "out" / "predictions.jsonl")) == 4
    again = StandIn()
    assert evaluate(answerer_of(again), patches, tmp_path / "out", Options(batch_size=2)).answered_before == 4
    assert len(again.asked) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strategy": "describe"}, r"another --strategy \(views, now describe\);"),
        ({"labels": "both"}, r"another --labels \(text, now both\);"),
        ({"system": "Be brief."}, r"another --system \(none, now Be brief\.\);"),
        ({"plan": None}, ""),
    ],
)
def test_predictions_of_other_settings_are_not_mixed(patches, tmp_path, change, message):
    evaluate(answerer_of(StandIn()), patches, tmp_path / "out", Options())
    if "plan" in change:
        evaluate(answerer_of(StandIn()), patches, tmp_path / "out", Options(batch_size=1))
        return
    with pytest.raises(EvaluationError, match=message):
        evaluate(answerer_of(StandIn(), **change), patches, tmp_path / "out", Options())


def test_another_address_and_another_view_size_are_named(patches, tmp_path):
    evaluate(answerer_of(StandIn()), patches, tmp_path / "out", Options())
    with pytest.raises(EvaluationError, match=r"--view-size \(96, now 64\)"):
        evaluate(Answerer(StandIn(), view_size=64), patches, tmp_path / "out", Options())
    other = StandIn()
    other.device, other.fingerprint = "https://me:SECRET@other.example.org/v1?key=SECRET", lambda: "another"
    message = r"another --base-url \(https://models\.example\.org/v1, now https://"
    with pytest.raises(EvaluationError, match=message) as caught:
        evaluate(answerer_of(other), patches, tmp_path / "out", Options())
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("strategy", ["views", "describe"])
def test_the_calls_that_a_dry_run_announces_are_those_of_the_run(patches, tmp_path, strategy):
    chat = StandIn(strategy=strategy)
    options = Options(shuffle_images=True, rotate="90")
    found = estimate(answerer_of(chat), patches, options)
    assert chat.requests == []
    assert str(found).startswith(f"24 questions about 24 panoramas, strategy {strategy}: at most ")
    evaluate(answerer_of(chat), patches, tmp_path / "out", options)
    assert found.calls == len(chat.requests)


def test_a_model_in_this_process_is_asked_a_whole_batch_again(patches, tmp_path):
    """Its answers can depend on the batch, so a continued run has the batches of one that was not stopped."""

    class Local(StandIn):
        model, device = object(), "cpu"

    evaluate(answerer_of(Local()), patches, tmp_path / "out", Options(batch_size=4))
    path = tmp_path / "out" / "predictions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    again = Local()
    evaluate(answerer_of(again), patches, tmp_path / "out", Options(batch_size=4))
    assert len(again.asked) == 4


def test_an_error_line_is_not_a_prediction(tmp_path, make_question):
    path = tmp_path / "p.jsonl"
    path.write_text('{"row": 0, "prediction": null, "error": "down"}\n{"row": 1, "prediction": "x"}\n')
    file = PredictionFile(path, [make_question(0), make_question(1)])
    assert list(file.by_index) == [1]
    path.write_text('{"row": 7, "prediction": null, "error": "down"}\n')
    with pytest.raises(EvaluationError, match="line 1 is not a prediction"):
        PredictionFile(path, [make_question(0)])


def test_reasoning_is_not_the_answer(patches, tmp_path):
    evaluate(answerer_of(StandIn()), patches, tmp_path / "out", Options())
    assert not any("or left" in line["prediction"] for line in lines_of(tmp_path / "out" / "predictions.jsonl"))


def test_batches_fit_the_kind_of_model(answerer, make_question):
    assert default_batch_size(answerer) == 64
    assert default_batch_size(answerer_of(StandIn())) == 6
    asked = [make_question(index, key=str(index)) for index in range(20)]
    assert max(map(len, chunks(asked, 6))) == 12


def test_large_panoramas_are_not_kept_in_memory(answerer, make_question, tmp_path):
    from PIL import Image

    Image.new("RGB", (4096, 2048)).save(tmp_path / "a.png")
    question = make_question(key="a")
    question = question.__class__(**{**vars(question), "image": tmp_path / "a.png"})
    assert _panoramas.prepared(answerer, question).image.numel() == 0
    kept = _panoramas.prepared(answerer_of(StandIn()), question)
    assert kept.image.shape[-1] < 1024
    zoom = answerer_of(StandIn())
    zoom.strategy = "zoom"
    assert kept.image.shape[-1] < _panoramas.prepared(zoom, question).image.shape[-1] < 4096
