"""The figures of the embedded checkpoint in the pages: written from its results, the same everywhere."""

import json
import re
import sys

import pytest
from huggingface_hub import ModelCard
from panollava_hf import default_checkpoint

from tools.embedded_model import page
from tools.embedded_model.data import HELD_OUT, UNKNOWN

SHARE = {"exact_match": 0.98, "count": 200}
KNOWN = {
    **SHARE,
    "families": {"where": {"exact_match": 0.995, "count": 120}, "count": {"exact_match": 0.9, "count": 80}},
    "answer_prior": {"exact_match": 0.3, "families": {"where": 0.11, "count": 0.29}},
    "shuffled_images": {**SHARE, "families": {"where": {"exact_match": 0.05}, "count": {"exact_match": 0.26}}},
    "rotated": {
        "exact_match": 0.97,
        "consistency": 0.96,
        "families": {name: {"exact_match": 0.97, "consistency": 0.955} for name in ("where", "count")},
    },
    "places": {name: {**SHARE, "elsewhere_alike": 0.985} for name in ("back seam", "poles")},
    "captions": {"bleu4": 0.91, "meteor": 0.92, "rouge_l": 0.93, "cider": 9.4},
    "directions": {"labels": ["front", "back"], "counts": [[8, 1, 0], [0, 9, 1]]},
}


@pytest.fixture
def work(tmp_path):
    lines = [
        {"family": "what", "answer": "red cube", "prediction": "red cube"},
        {"family": "what", "answer": "red cube", "prediction": "blue cube"},
        {"family": "where", "answer": "front", "prediction": "front"},
        {"family": "where", "answer": "front", "prediction": "front", "unknown": "the word 'door'"},
    ]
    for name in ("known", *HELD_OUT, *UNKNOWN):
        folder = tmp_path / "work" / "results" / name
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(KNOWN))
        (folder / "predictions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (tmp_path / "work" / "targets.md").write_text(
        "| questions about photographs reported | 97.9% | ≥ 95% | reached |\n"
    )
    return tmp_path / "work"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A copy of the pages."""
    root = tmp_path / "root"
    for name in (page.PAGE, page.FIGURE, *page.ELSEWHERE):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((page.ROOT / name).read_bytes())
    monkeypatch.setattr(page, "ROOT", root)
    return root


def test_all_places_get_the_figures(work, root, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["page", str(work)])
    page.main()
    made = (root / page.PAGE).read_text()
    assert (
        "| **all** | 200 | 98.0 | 30.0 | 98.0 | 97.0 | 96.0 |\n| count | 80 | 90.0 | 29.0 | 26.0 | 97.0 | 95.5 |"
        in made
    )
    assert "| near a pole | 200 | 98.0 | 98.5 |" in made
    assert "Captions: BLEU-4 0.910, METEOR 0.920, ROUGE-L 0.930, CIDEr 9.40.\n" in made
    assert "| the second writer | Korean | 4 | 25.0 | 50.0 | 75.0 |" in made
    assert "| questions of the first writer that no scene answers | 4 | 25.0 |" in made
    assert "| known questions about photographs | 6 about each | 97.9 |\n<!-- embedded: end -->\n" in made
    for name in page.ELSEWHERE:
        assert "| 98.0 % " in (root / name).read_text()
    assert (root / page.FIGURE).read_bytes().startswith(b"\x89PNG")
    page.main()
    assert (root / page.PAGE).read_text() == made


def test_nothing_is_written_if_a_place_is_missing(work, root, monkeypatch):
    (root / "docs/training.md").write_text("# Training\n")
    before = (root / page.PAGE).read_text()
    monkeypatch.setattr(sys, "argv", ["page", str(work)])
    with pytest.raises(SystemExit, match=r"docs/training\.md: expected one figure after .*, found 0"):
        page.main()
    assert (root / page.PAGE).read_text() == before


def test_targets_without_photographs_are_reported(work, root, monkeypatch):
    (work / "targets.md").write_text("")
    monkeypatch.setattr(sys, "argv", ["page", str(work)])
    with pytest.raises(SystemExit, match="no row about photographs"):
        page.main()


def test_marks_are_expected():
    with pytest.raises(SystemExit, match="expected the marks"):
        page.between_marks("# Evaluation\n", "")


def test_the_pages_have_the_figures_of_the_checkpoint_in_the_package():
    """After new weights: `python -m tools.embedded_model.page WORK`."""
    results = ModelCard.load(default_checkpoint() / "README.md").data.eval_results
    figures = {result.metric_type: result.metric_value for result in results}
    text = (page.ROOT / page.PAGE).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\S+) \| \d+ \| ([\d.]+) \|", text.split(page.BEGIN)[1], re.MULTILINE))
    assert float(rows.pop("**all**")) == pytest.approx(figures["exact_match"], abs=0.06)
    assert {name: pytest.approx(figures[f"exact_match_{name}"], abs=0.06) for name in rows} == {
        name: float(value) for name, value in rows.items()
    }
    for name, (before, after) in page.ELSEWHERE.items():
        found = re.search(rf"{before}([\d.]+){after}", (page.ROOT / name).read_text(encoding="utf-8"))
        assert found, name
        assert float(found[1]) == pytest.approx(figures["exact_match"], abs=0.06)
