"""What a job that asks a model will cost, before anything is sent: counted on one panorama, times the rows."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from panollava_hf._errors import TableError, TextError
from panollava_hf.jobs._job import items_of
from panollava_hf.jobs._pipeline import batch_of
from panollava_hf.jobs._source import Source

if TYPE_CHECKING:
    from panollava_hf.asking import Answerer, Cost
    from panollava_hf.jobs._asking import AskingJob

#: Questions whose tokens are counted; the others are taken to be as long on average.
COUNTED = 16
#: Rows that are read from a source at a time.
_ROWS = 1024


@dataclass(frozen=True)
class JobCost:
    """The cost of a job.

    Attributes:
        rows: Rows of the source.
        asked: Rows that are asked about; the others have no question, or could not be read.
        images: Images that are shown, counting an image again in each batch.
        counted: Questions whose tokens were counted.
        cost: The estimate of all rows.
    """

    rows: int
    asked: int
    images: int
    counted: int
    cost: "Cost"

    def to_dict(self) -> dict[str, object]:
        """A dictionary for JSON."""
        figures = {name: value for name, value in self.cost.to_dict().items() if name != "questions"}
        return {"rows": self.rows, "asked": self.asked, "images_of_rows": self.images, **figures, "estimate": True}

    def __str__(self) -> str:
        """A table, and how it was estimated."""
        height, width = self.cost.size
        skipped = self.rows - self.asked
        head = f"{self.rows:,} row{'' if self.rows == 1 else 's'}"
        if skipped:
            head += f", {skipped:,} of them without a question"
        table = str(self.cost).splitlines()[1:]
        return "\n".join(
            [
                f"{head}: strategy {self.cost.strategy}, {self.cost.views} views of {height} x {width} pixels:",
                *table,
                f"An estimate, from one panorama of the source and {self.counted} of {self.asked:,} questions: images "
                "of the same size cost the same. Requests that are repeated after a failure come on top.",
            ]
        )


def estimate_job(job: "AskingJob", answerer: "Answerer", source: Source) -> JobCost:
    """What a job will cost. Nothing is sent, and the weights of the model are not needed.

    Args:
        job: The job.
        answerer: Its model, perhaps without weights.
        source: The rows.

    Raises:
        TableError: No row can be asked about.
        PanoramaError: None of the first panoramas can be read.
    """
    asked = images = 0
    texts: dict[str, int] = {}
    some: list[Any] = []
    for batch in _batches(source, job.batch_size):
        keys: set[Any] = set()
        for item in items_of(batch_of(batch)):
            try:
                text = job.text(item, answerer)
            except TextError:
                continue
            asked += 1
            keys.add(hashlib.sha256(item.image).digest() if isinstance(item.image, bytes) else str(item.image))
            if len(texts) < _ROWS:
                texts[text] = texts.get(text, 0) + 1
            if len(some) < COUNTED:
                some.append(item)
        images += len(keys)
    if not some:
        raise TableError(f"{source.name}: none of its {len(source):,} rows can be asked about; check the table")
    panorama = _first_readable(job, answerer, some)
    distinct = list(texts)
    chosen = distinct[:: max(1, len(distinct) // COUNTED)][:COUNTED]
    firsts, seconds = [], []
    for text in chosen:
        try:
            once = job.cost(answerer, panorama, [text])
            firsts.append(once)
            seconds.append(job.cost(answerer, panorama, [text, text]))
        except TextError:
            continue
    if not firsts:
        raise TableError(f"{source.name}: none of {len(chosen)} questions that were tried fits the model; shorten them")
    return JobCost(len(source), asked, images, len(firsts), _total(firsts, seconds, images, asked - images))


def _total(firsts: "Sequence[Cost]", both: "Sequence[Cost]", images: int, others: int) -> "Cost":
    """The first question of each image costs what `firsts` cost, another what it adds to that in `both`."""
    from panollava_hf.asking._cost import Cost, Usage

    names = dict.fromkeys(name for cost in (*firsts, *both) for name in cost.steps)
    steps: dict[str, Usage] = {}
    for name in names:
        first = [cost.steps.get(name, Usage()) for cost in firsts]
        second = [cost.steps.get(name, Usage()) for cost in both]
        figures: dict[str, Any] = {}
        for field in fields(Usage):
            ones = [getattr(usage, field.name) for usage in first]
            twos = [getattr(usage, field.name) for usage in second]
            if None in ones or None in twos:
                figures[field.name] = None
            else:
                figures[field.name] = round((images * sum(ones) + others * (sum(twos) - sum(ones))) / len(first))
        steps[name] = Usage(**figures)
    total = sum(steps.values(), Usage())
    return Cost(firsts[0].strategy, firsts[0].views, firsts[0].size, (total,), steps)


def _first_readable(job: "AskingJob", answerer: "Answerer", items: Sequence[Any]) -> Any:
    from panollava_geometry import PanoramaError

    errors = []
    for item in items:
        try:
            return job.read_with(answerer, item)
        except PanoramaError as error:
            errors.append(error)
    raise errors[0]


def _batches(source: Source, size: int) -> Iterator[list[Mapping[str, Any]]]:
    """Rows that their source could read, as the job gets them."""
    step = max(size, _ROWS // size * size)
    for start in range(0, len(source), step):
        rows = source.rows(start, min(start + step, len(source)))
        for begin in range(0, len(rows), size):
            batch = [row for row in rows[begin : begin + size] if not row.get("error")]
            if batch:
                yield batch
