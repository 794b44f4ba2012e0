import json
import shutil

import pytest
from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation import Options, evaluate
from panollava_hf.evaluation import _evaluate as run
from panollava_hf.evaluation._report import exact_match
from panollava_hf.hub._results import read_results

OPTIONS = Options(batch_size=8, max_new_tokens=4, shuffle_images=True, rotate="90")
#: What may differ between a run and its continuation.
VOLATILE = ("seconds", "answered_before")
PASSES = ("predictions", "predictions-shuffled", "predictions-rotated-90")


def figures(folder):
    results = json.loads((folder / "results.json").read_text())
    return {name: value for name, value in results.items() if name not in VOLATILE}


@pytest.fixture(scope="module")
def done(answerer, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation") / "out"
    evaluate(answerer, rows, folder, OPTIONS)
    return folder


def test_files(done):
    names = {path.name for path in done.iterdir()}
    assert names == {"settings.json", "results.json", "results.md", "directions.png", *(f"{p}.jsonl" for p in PASSES)}


def test_every_question_has_its_prediction(done, rows):
    lines = [json.loads(line) for line in (done / "predictions.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == [row.index for row in rows.rows]
    for line, row in zip(lines, rows.rows, strict=True):
        assert (line["question"], line["answer"], line["image"]) == (row.question, row.answer, row.key)
        assert line["correct"] is None if row.is_caption else isinstance(line["correct"], bool)


def test_figures_follow_from_the_predictions(done, rows):
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
    assert results["rotated"]["count"] == len(asked)
    assert 0 < results["answer_prior"]["exact_match"] < 1
    assert all(place["count"] > 0 for place in results["places"].values())


def test_the_embedded_checkpoint_answers_and_looks(done):
    results = figures(done)
    assert results["exact_match"] > 0.7
    assert results["shuffled_images"]["exact_match"] < 0.45  # it cannot answer without the picture


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


@pytest.mark.parametrize("cut", PASSES)
def test_a_run_killed_in_the_middle_goes_on_to_the_same_figures(done, answerer, rows, tmp_path, cut):
    folder = tmp_path / "killed"
    shutil.copytree(done, folder)
    for name in (
        "results.json",
        "results.md",
        "directions.png",
        *(f"{p}.jsonl" for p in PASSES[PASSES.index(cut) + 1 :]),
    ):
        (folder / name).unlink()
    content = (folder / f"{cut}.jsonl").read_bytes()
    # A line cut short, and batches of which only some rows are there.
    (folder / f"{cut}.jsonl").write_bytes(content[: len(content) * 2 // 5])
    assert not (folder / f"{cut}.jsonl").read_bytes().endswith(b"\n")
    asked = []
    results = evaluate(answerer, rows, folder, OPTIONS, progress=lambda name, n, total: asked.append((name, n, total)))
    assert figures(folder) == figures(done)
    assert 0 < results["answered_before"] < 3 * len(rows.rows)
    for name in PASSES:
        assert (folder / f"{name}.jsonl").read_bytes() == (done / f"{name}.jsonl").read_bytes()
    assert all(n <= total for _, n, total in asked)
    assert [n == total for name, n, total in asked if name == cut][-1]


def test_a_finished_run_asks_nothing_again(done, answerer, rows, monkeypatch):
    monkeypatch.setattr(type(answerer.model), "generate", lambda *args, **kwargs: pytest.fail("asked again"))
    before = figures(done)
    evaluate(answerer, rows, done, OPTIONS)
    assert figures(done) == before


def test_a_probe_may_be_added_to_a_finished_run(done, answerer, rows, tmp_path):
    folder = tmp_path / "more"
    shutil.copytree(done, folder)
    results = evaluate(answerer, rows, folder, Options(batch_size=8, max_new_tokens=4, rotate="-90"))
    assert "shuffled_images" not in results
    assert results["rotated"]["yaw_deg"] == "-90"
    assert (folder / "predictions-rotated--90.jsonl").exists()


def test_other_settings_are_refused(done, answerer, rows):
    with pytest.raises(EvaluationError, match="max_new_tokens 4, not 5"):
        evaluate(answerer, rows, done, Options(max_new_tokens=5))


def test_without_the_extra_exact_match_stays(answerer, rows, tmp_path, monkeypatch):
    from panollava_hf.evaluation import _report

    for module in (run, _report):
        monkeypatch.setattr(module, "missing_library", lambda: "nltk")
    monkeypatch.setattr(run, "can_draw", lambda: False)
    results = evaluate(answerer, rows, tmp_path / "out", Options(max_new_tokens=1))
    assert results["exact_match"] is not None
    assert "bleu4" not in results["captions"]
    assert results["captions"]["needs"].startswith("nltk: pip install")
    notes = run.left_undone(results)
    assert len(notes) == 2
    assert not (tmp_path / "out" / "directions.png").exists()
    assert "not scored" in (tmp_path / "out" / "results.md").read_text()
    with pytest.raises(EvaluationError, match="--captions needs nltk"):
        run.check_beforehand(rows, Options(), captions=True)


def test_places_are_compared_on_the_same_mixture_of_families():
    seam = {"where": {"count": 3}, "what": {"count": 1}, "relative": {"count": 9}}
    elsewhere = {"where": {"exact_match": 0.5}, "what": {"exact_match": 1.0}}
    assert run._alike(seam, elsewhere) == (3 * 0.5 + 1 * 1.0) / 4
    assert run._alike({}, elsewhere) is None


def test_exact_match_of_nothing_is_no_figure():
    assert exact_match([], {}) == {"exact_match": None, "count": 0, "families": {}}
