import json

import pytest
from panollava_hf.evaluation import Options
from panollava_hf.evaluation._results import DataInfo, ModelInfo, Results, Settings
from panollava_hf.evaluation.metrics import METRICS
from panollava_hf.hub import read_results


@pytest.fixture
def results(make_question, make_questions, predict_all):
    """Two questions, one of them answered correctly, and two captions."""
    rows = [
        make_question(0, key="a", question="Where is the red cube?", answer="front", family="where"),
        make_question(1, key="b", question="Where is the blue cone?", answer="left", family="where"),
        make_question(2, key="a", question="Describe.", answer="A red cube in front.", family="caption"),
        make_question(3, key="b", question="Describe.", answer="Two blue cones lie below.", family="caption"),
    ]
    questions = make_questions(rows)
    predictions = predict_all(rows, lambda question: question.answer if question.is_caption else "Front")
    return Results(
        metrics={name: metric(questions, predictions) for name, metric in METRICS.items()},
        unreadable={"c.png": "c.png: no such file"},
        left_out=3,
        model=ModelInfo("my/model", "123", True),
        data=DataInfo("data/shapes", "test", "456", 4, 2),
        settings=Settings(batch_size=8, rotate="90"),
        versions={"panollava-hf": "0.1.0", "torch": None},
        answered_before=0,
        seconds=1.5,
    )


def test_the_layout_of_version_0_1(results):
    """Keys, order and values that readers of `results.json` rely on, worked out by hand."""
    directions = ["front", "front right", "right", "back right", "back", "back left", "left", "front left"]
    directions += ["above", "below"]
    counts = [[0] * 11 for _ in directions]
    counts[0][0] = counts[6][0] = 1
    found = results.to_json()
    assert found["captions"].pop("meteor") == pytest.approx(1 - 0.5 / 5**3)  # one chunk of five words
    assert found["captions"].pop("cider") == pytest.approx(10)
    assert found == {
        "exact_match": 0.5,
        "count": 2,
        "families": {"where": {"exact_match": 0.5, "count": 2}},
        "captions": {
            "bleu4": pytest.approx(1.0),
            "rouge_l": 1.0,
            "count": 2,
            "references": 2,
            "meteor_stages": ["exact", "stem"],
        },
        "directions": {"labels": directions, "columns": [*directions, "other"], "counts": counts},
        "answer_prior": {"exact_match": 0.5, "families": {"where": 0.5}},
        "places": None,
        "free_answers": {
            **{"token_f1": 0.5, "rouge_l": 0.5, "contains": 0.5, "count": 2},
            "families": {"where": {"token_f1": 0.5, "rouge_l": 0.5, "contains": 0.5, "count": 2}},
        },
        "skipped": {"rows": 3, "images": {"c.png": "c.png: no such file"}},
        "model": {"name": "my/model", "fingerprint": "123", "trained": True},
        "data": {"source": "data/shapes", "split": "test", "fingerprint": "456", "rows": 4, "images": 2},
        "settings": {
            "batch_size": 8,
            "max_new_tokens": 64,
            "skip_bad": False,
            "seed": 0,
            "shuffle_images": False,
            "rotate": "90",
            "dtype": "float32",
            "device": "cpu",
        },
        "versions": {"panollava-hf": "0.1.0", "torch": None},
        "answered_before": 0,
        "seconds": 1.5,
    }
    assert list(found) == [
        *("exact_match", "count", "families", "captions", "directions", "answer_prior", "places"),
        *("free_answers", "skipped", "model", "data", "settings", "versions", "answered_before", "seconds"),
    ]


def test_tables(results):
    lines = results.markdown().splitlines()
    assert lines[0] == "# my/model on data/shapes (test)"
    assert "4 questions about 2 panoramas" in lines[2]
    assert "3 questions about 1 unreadable panorama were left out" in lines[2]
    assert lines[4:8] == [
        "| family | questions | exact match | token F1 | ROUGE-L | contains | answer prior |",
        "|---|---:|---:|---:|---:|---:|---:|",
        "| **all** | 2 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 |",
        "| where | 2 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 |",
    ]
    assert lines[9] == "## Captions"
    assert lines[-1] == "| 2 | 1.000 | 0.996 | 1.000 | 10.000 |"


def test_files(results, tmp_path):
    results.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "results.md", "directions.png"}
    assert json.loads((tmp_path / "results.json").read_text()) == results.to_json()
    assert (tmp_path / "results.md").read_text() == results.markdown()
    card = {result.metric_type: result.metric_value for result in read_results(tmp_path / "results.json")}
    assert card["exact_match"] == card["exact_match_where"] == 50
    assert card["rouge_l"] == 1


def test_reading_a_key_as_from_a_dictionary_warns(results):
    with pytest.warns(DeprecationWarning, match=r"results\['count'\] is deprecated; use results\.to_json\(\)"):
        assert results["count"] == 2


def test_settings_are_options_and_how_the_model_ran():
    assert Settings() == Settings(**vars(Options()), dtype="float32", device="cpu")
