import panollava_hf.evaluation
from panollava_hf.evaluation import __all__ as names


def test_inventory():
    assert names == ["EvaluationError", "Options", "Row", "Rows", "evaluate", "normalise", "read_rows"]
    assert all(hasattr(panollava_hf.evaluation, name) for name in names)
