"""The targets of the embedded checkpoint, and which of them a checkpoint reaches."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from panollava_hf.evaluation.metrics._rotation import ROTATED
from panollava_hf.evaluation.metrics._without_image import SHUFFLED

from tools.embedded_model.data import HELD_OUT, UNKNOWN
from tools.embedded_model.evaluation import PHOTOGRAPHS, Outcome

#: Families whose answers are compared exactly; captions are scored, and shown for information.
_CAPTION = "caption"
#: Least share of right answers to held-out wordings in each language.
_HELD_OUT = {"en": 93, "ko": 90}


@dataclass(frozen=True)
class Target:
    """One figure with its bound.

    Attributes:
        name: What is measured.
        value: The figure.
        bound: The bound.
        at_most: Whether the figure may be at most the bound; otherwise it must be at least the bound.
        unit: Its unit.
    """

    name: str
    value: float
    bound: float
    at_most: bool = False
    unit: str = "%"

    @property
    def reached(self) -> bool:
        """Whether the figure is on the right side of its bound."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def check(outcomes: Mapping[str, Outcome], checkpoint: Path) -> list[Target]:
    """Compare the evaluations with the targets."""
    known = outcomes["known"].results
    places = known["places"]["poles"]
    families = {name: share["exact_match"] for name, share in known["families"].items()}
    worst = min(families, key=lambda name: families[name])
    rotation = known[ROTATED]
    found = [
        Target("known wordings", 100 * known["exact_match"], 97.5),
        Target(f"worst family of known wordings ({worst})", 100 * families[worst], 95),
        Target(
            "poles: points below elsewhere",
            100 * ((places["elsewhere_alike"] or 0) - (places["exact_match"] or 0)),
            2,
            True,
            " points",
        ),
        Target("known wordings reported as unknown", 100 * outcomes["known"].unknown, 1, at_most=True),
    ]
    for split, (language, writer) in HELD_OUT.items():
        # Two writers use many names that the training did not have, such as "lemon". Reporting them is right.
        answered = writer in ("first", "second")
        shares = outcomes[split].answered if answered else outcomes[split].correct
        name = split.replace("-", " ") + (", of the answered" if answered else "")
        found.append(Target(name, 100 * mean(shares), _HELD_OUT[language]))
    found += [
        *(Target(f"{split.replace('-', ' ')} reported", 100 * outcomes[split].unknown, 95) for split in UNKNOWN),
        Target("questions about photographs reported", 100 * outcomes[PHOTOGRAPHS].unknown, 95),
        Target("another scene's image", 100 * known[SHUFFLED]["exact_match"], 60, at_most=True),
        Target("rotated panoramas", 100 * rotation["exact_match"], 97),
        Target("weights", (checkpoint / "model.safetensors").stat().st_size / 1e6, 4.5, at_most=True, unit=" MB"),
    ]
    return found


def mean(correct: Mapping[str, float]) -> float:
    """The mean over families without captions."""
    shares = [share for name, share in correct.items() if name != _CAPTION]
    return sum(shares) / len(shares)


def reported(outcomes: Mapping[str, Outcome]) -> str:
    """Shares of held-out questions that were reported as unknown, as a Markdown table."""
    lines = ["| held-out wordings | questions | reported as unknown | right, of all |", "|---|---:|---:|---:|"]
    for split in HELD_OUT:
        one = outcomes[split]
        lines.append(f"| {split} | {one.count:,} | {100 * one.unknown:.1f}% | {100 * mean(one.correct):.1f}% |")
    return "\n".join(lines) + "\n"


def table(found: list[Target]) -> str:
    """The targets as a Markdown table."""
    lines = ["| figure | value | target | |", "|---|---:|---:|---|"]
    for target in found:
        sign = "≤" if target.at_most else "≥"
        lines.append(
            f"| {target.name} | {target.value:.1f}{target.unit} | {sign} {target.bound:g}{target.unit} | "
            f"{'reached' if target.reached else 'missed'} |"
        )
    return "\n".join(lines) + "\n"
