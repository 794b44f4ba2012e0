"""Tables of panoramas, questions and answers: reading, checking, and items for training."""

from panollava_hf._errors import TableError
from panollava_hf.data._examples import Example, read_examples
from panollava_hf.data._tables import check_csv

__all__ = ["Example", "TableError", "check_csv", "read_examples"]
