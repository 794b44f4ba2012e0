"""A metric and a caption score from outside: one file with one function each, and one line of registration."""

import json
from dataclasses import dataclass

import pytest
from panollava_hf.evaluation import Options, evaluate, read_questions
from panollava_hf.evaluation.metrics import CAPTION_SCORES, METRICS, CaptionScore, MetricResult

# --- what answer_length.py would hold ---


@dataclass(frozen=True)
class AnswerLength(MetricResult):
    """Length of the answers, in words."""

    mean: float
    longest: int


def answer_length(questions, predictions):
    lengths = [len(prediction.text.split()) for prediction in predictions]
    return AnswerLength(sum(lengths) / len(lengths), max(lengths))


# --- what length_ratio.py would hold ---


def length_ratio(predictions, references):
    ratios = [len(tokens) / len(texts[0]) for tokens, texts in zip(predictions, references, strict=True)]
    return sum(ratios) / len(ratios)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(METRICS, "answer_length", answer_length)
    monkeypatch.setitem(CAPTION_SCORES, "length_ratio", CaptionScore("length ratio", length_ratio))


@pytest.mark.usefixtures("registered")
def test_both_are_in_the_results(answerer, shapes, tmp_path):
    questions = read_questions(shapes, limit=30)
    assert any(question.is_caption for question in questions)
    results = evaluate(answerer, questions, tmp_path / "out", Options(max_new_tokens=8))
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    lengths = [len(line["prediction"].split()) for line in lines]
    assert found["answer_length"] == {"mean": sum(lengths) / len(lengths), "longest": max(lengths)}
    assert list(found["captions"])[:5] == ["bleu4", "meteor", "rouge_l", "cider", "length_ratio"]
    assert found["captions"]["length_ratio"] > 0
    table = (tmp_path / "out" / "results.md").read_text()
    assert (
        f"## Answer length\n\n| figure | value |\n|---|---:|\n| mean | {found['answer_length']['mean']:.3f} |" in table
    )
    assert f"| longest | {max(lengths)} |" in table
    assert "CIDEr | length ratio |" in table
    assert f" {found['captions']['length_ratio']:.3f} |" in table
    assert results.metrics["answer_length"] == AnswerLength(**found["answer_length"])


def test_a_metric_without_data_is_null(answerer, shapes, tmp_path, monkeypatch):
    monkeypatch.setitem(METRICS, "nothing", lambda questions, predictions: None)
    results = evaluate(answerer, read_questions(shapes, limit=2), tmp_path / "out", Options(max_new_tokens=1))
    assert results.to_json()["nothing"] is None
    assert "nothing" not in results.markdown().lower()


def test_missing_libraries_of_a_score_are_named(monkeypatch, make_question, make_questions, predict_all):
    monkeypatch.setitem(CAPTION_SCORES, "other", CaptionScore("other", length_ratio, module="no_such_module"))
    rows = [make_question(family="caption")]
    found = METRICS["captions"](make_questions(rows), predict_all(rows, lambda question: "a"))
    assert found.needs.startswith("no-such-module: pip install")
