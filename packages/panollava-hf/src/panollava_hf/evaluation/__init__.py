"""Evaluation: exact match, caption scores, and probes that show whether a model uses the image."""

import warnings
from typing import Any

from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation._evaluate import evaluate
from panollava_hf.evaluation._questions import Question, read_questions
from panollava_hf.evaluation._results import Options
from panollava_hf.evaluation.metrics._exact_match import normalise

__all__ = ["EvaluationError", "Options", "Question", "evaluate", "normalise", "read_questions"]

#: Names of version 0.1, and what replaces them.
_RENAMED = {"Row": "Question", "Rows": "read_questions", "read_rows": "read_questions"}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = _RENAMED[name]
    warnings.warn(f"{__name__}.{name} is deprecated; use {__name__}.{new}", DeprecationWarning, stacklevel=2)
    if name == "Rows":
        from panollava_hf.evaluation._questions import Questions

        return Questions
    return globals()[new]
