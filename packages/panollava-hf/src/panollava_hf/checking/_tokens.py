"""Lengths in tokens of a checkpoint or language model, and the rows that the checkpoint could not read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from panollava_hf._errors import ModelError, TableError, boundary
from panollava_hf.checking._report import Problems
from panollava_hf.checking._tables import Found
from panollava_hf.checking._texts import Measure

if TYPE_CHECKING:
    from panollava_hf.training._collator import AnswerCollator


def token_counts(name: str) -> tuple[Measure, "AnswerCollator | None"]:
    """The function that counts tokens; and for a PanoLLaVA checkpoint, what makes its rows.

    Args:
        name: Checkpoint folder, folder or Hub id of a language model, or "embedded".

    Raises:
        ModelError: There is no such folder or model, or its tokenizer cannot be loaded.
    """
    from panollava_hf._pretrained import load_tokenizer
    from panollava_hf.asking._default_model import EMBEDDED
    from panollava_hf.outside._checkpoint_folder import MODEL_TYPE
    from panollava_hf.outside._hub_source import find_source
    from panollava_hf.outside._json_file import read_object

    if name == EMBEDDED:
        from panollava_hf import default_checkpoint

        name = str(default_checkpoint())
    folder = find_source(name, "settings")
    collator = None
    if read_object(folder / "config.json").get("model_type") == MODEL_TYPE:
        from panollava_hf._loading import load_processor
        from panollava_hf.asking.models._lengths import max_positions
        from panollava_hf.configuration_panollava import PanoLLaVaConfig
        from panollava_hf.training._collator import AnswerCollator

        processor = load_processor(name)
        tokenizer = processor.tokenizer
        with boundary(ModelError, f"{name} has no readable config", "use another checkpoint"):
            collator = AnswerCollator(processor, None, max_positions(PanoLLaVaConfig.from_pretrained(folder)))
    else:
        tokenizer = load_tokenizer(name)

    def measure(texts: Sequence[str]) -> list[int]:
        with boundary(TableError, "a text cannot be tokenised", "look for damaged characters"):
            ids = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [len(one) for one in ids]

    return measure, collator


def add_long_rows(found: Found, collator: "AnswerCollator", problems: Problems) -> None:
    """Add the rows that the checkpoint cannot read, as training reports them."""
    examples = found.examples
    questions, answers = (examples.cells(examples.columns[role]) for role in ("question", "answer"))
    for row, fault in collator.faults(questions, answers):
        problems.add("error", "long row", found.where(row), fault)
