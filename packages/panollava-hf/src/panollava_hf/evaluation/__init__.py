"""Evaluation: exact match, caption metrics, and probes of whether a model looks at what it answers about."""

from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation._evaluate import Options, evaluate
from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._rows import Row, Rows, read_rows

__all__ = ["EvaluationError", "Options", "Row", "Rows", "evaluate", "normalise", "read_rows"]
