"""Evaluation: exact match, caption metrics, and probes of whether a model looks at what it answers about."""

from panollava_hf.evaluation._errors import EvaluationError
from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._rows import Row, Rows, read_rows
from panollava_hf.evaluation.run import Options, evaluate

__all__ = ["EvaluationError", "Options", "Row", "Rows", "evaluate", "normalise", "read_rows"]
