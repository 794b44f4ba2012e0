import panollava_hf.asking
import panollava_hf.evaluation
import panollava_hf.evaluation.metrics
import pytest


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (panollava_hf.asking, ["Answer", "Answerer", "default_checkpoint"]),
        (
            panollava_hf.evaluation,
            ["EvaluationError", "Options", "Question", "Questions", "evaluate", "normalise", "read_questions"],
        ),
        (panollava_hf.evaluation.metrics, ["CAPTION_SCORES", "METRICS", "CaptionScore", "MetricResult"]),
    ],
    ids=["asking", "evaluation", "metrics"],
)
def test_inventory(module, names):
    assert module.__all__ == names
    assert all(hasattr(module, name) for name in names)


@pytest.mark.parametrize(("old", "new"), [("Row", "Question"), ("Rows", "Questions"), ("read_rows", "read_questions")])
def test_old_names_warn_and_work(old, new):
    with pytest.warns(
        DeprecationWarning, match=rf"evaluation\.{old} is deprecated .*use panollava_hf\.evaluation\.{new}"
    ):
        assert getattr(panollava_hf.evaluation, old) is getattr(panollava_hf.evaluation, new)
