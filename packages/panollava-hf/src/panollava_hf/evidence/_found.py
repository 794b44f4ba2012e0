"""What a method hands to `explain`."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

#: Called with the number of finished steps and of all steps. What it raises ends the work.
OnStep = Callable[[int, int], None]
#: Note of an answer that does not need the details of the panorama.
AS_SURE = "the model gives this answer as surely when it sees the blurred panorama"


@dataclass(frozen=True)
class Found:
    """Relevance on the sphere, before it is normalised.

    Attributes:
        values: `[H, 2H]`; what is below 0 speaks against the answer.
        calls: Calls of the model.
        note: What did not go as the method intends, in one line; empty if nothing.
    """

    values: Tensor
    calls: int
    note: str = ""
