"""`PanoramaAnswerer`: an answer to the question of each row."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from panollava_hf._errors import TableError, TextError
from panollava_hf._shown import shown
from panollava_hf.jobs._asking import AskingJob
from panollava_hf.jobs._asking_columns import figure_types, figures, schema_of
from panollava_hf.jobs._job import Item

if TYPE_CHECKING:
    from panollava_hf.asking import Answer, Answerer


class PanoramaAnswerer(AskingJob):
    """Answers questions about panoramas, one per row.

    Rows of one batch with the same image decode it once, and share the descriptions of its views. The results have the
    columns `id`, `path`, `question`, `answer`, `strategy`, `calls`, `image_tokens`, `prompt_tokens`, `new_tokens`,
    `note` and `error`; numbers that the model does not report are None.

    Args:
        model: As in `Answerer.load`: "embedded", a folder, a Hub id, or with `base_url` the name of a model there.
        question: The question of all rows, if the batches have no column `question`.
        options: `base_url`, `strategy`, `view_size`, `labels`, `system`, `max_new_tokens` (default 256), `device`,
            `dtype`, `batch_size`, `concurrency` (default 6), `timeout`, `max_retries`, how images are read (`hfov_deg`,
            `partial`, `eye`, `whole_sphere`, `private_redirects`) and `columns` (the names of columns, such as
            `{"question": "text"}`). The key of an endpoint is read from `OPENAI_API_KEY` in the process that sends the
            requests, and never stored.

    Raises:
        UsageError: An option cannot be used with this kind of model.
        TextError: `question` is empty or not valid Unicode.

    Example:
        >>> from panollava_hf import PanoramaAnswerer
        >>> import numpy as np
        >>> job = PanoramaAnswerer("embedded", max_new_tokens=1)
        >>> gray = np.full((64, 128, 3), 127, dtype=np.uint8)
        >>> results = job({"image": [gray, gray], "question": ["How many cubes are there?", " "]})
        >>> results["calls"], results["error"]
        ([1, None], [None, 'the question is empty; write what you want to know'])
    """

    answer_column = "answer"
    columns = ("question", "answer", "strategy", "calls", "image_tokens", "prompt_tokens", "new_tokens", "note")

    def __init__(self, model: str | None = None, *, question: str | None = None, **options: Any) -> None:
        super().__init__(model, **options)
        self.question = question
        if question is not None:
            _check(question)

    def settings(self) -> dict[str, Any]:
        """What determines the answers; no key is in it."""
        return super().settings() | {"question": self.question}

    def text(self, item: Item, answerer: "Answerer") -> str:
        """The question of a row.

        Raises:
            TextError: It is missing, empty or not valid Unicode.
            TableError: The rows have no questions.
        """
        if "question" not in item.fields:
            if self.question is None:
                raise TableError(
                    "the rows have no column 'question'; name the column with columns, or give one question for all"
                )
            return self.question
        found = item.fields["question"]
        if found is None or found != found:  # NaN stands for an empty cell
            raise TextError("the row has no question; write one, or remove the row")
        _check(found)
        return str(found)

    def row(self, item: Item, found: "list[Answer]") -> Mapping[str, Any]:
        """The question, its answer, and what it cost."""
        question = item.fields.get("question", self.question)
        return {"question": str(question), "answer": None if found[0].unknown else found[0].text, **figures(found)}

    def schema(self) -> Any:
        """The `pyarrow.Schema` of the results."""
        return schema_of({"question": None, "answer": None, **figure_types()})


def _check(question: Any) -> None:
    """Check a question.

    Raises:
        TextError: It is not a text, empty, or not valid Unicode.
    """
    from panollava_hf.asking._messages import check_question

    if not isinstance(question, str):
        raise TextError(f"the question {shown(question)} is not a text; write a question")
    check_question(question)
