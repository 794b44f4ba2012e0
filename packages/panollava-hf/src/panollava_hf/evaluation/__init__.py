"""Evaluation: exact match, caption scores, and probes that show whether a model uses the image."""

from panollava_hf._errors import EvaluationError
from panollava_hf._faces import renamed
from panollava_hf.evaluation._evaluate import evaluate
from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._questions import Question, Questions, read_questions
from panollava_hf.evaluation._results import Options

__all__ = ["EvaluationError", "Options", "Question", "Questions", "evaluate", "normalise", "read_questions"]

__getattr__ = renamed(
    __name__,
    {
        "Row": "panollava_hf.evaluation.Question",
        "Rows": "panollava_hf.evaluation.Questions",
        "read_rows": "panollava_hf.evaluation.read_questions",
    },
)
