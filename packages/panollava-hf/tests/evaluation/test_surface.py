import panollava_hf.evaluation
import pytest


@pytest.mark.parametrize(("old", "new"), [("Row", "Question"), ("Rows", "Questions"), ("read_rows", "read_questions")])
def test_old_names_warn_and_work(old, new):
    with pytest.warns(
        DeprecationWarning, match=rf"evaluation\.{old} is deprecated .*use panollava_hf\.evaluation\.{new}"
    ):
        assert getattr(panollava_hf.evaluation, old) is getattr(panollava_hf.evaluation, new)
