"""The most calls and tokens that questions may take."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from panollava_hf._errors import ChatError, UsageError
from panollava_hf._shown import shown
from panollava_hf.asking._cost import Cost

_PART = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([km]?)\s*(calls?|tokens?)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}


@dataclass(frozen=True)
class Budget:
    """The most that questions may take together.

    Attributes:
        calls: Calls of the model; None: any number.
        tokens: Tokens of all prompts, images included, and of all replies; None: any number.
    """

    calls: int | None = None
    tokens: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a budget.

        Args:
            text: Calls, tokens, or both with a comma between; a number alone is tokens.

        Raises:
            UsageError: It is something else.

        Example:
            >>> from panollava_hf.asking import Budget
            >>> Budget.parse("12calls, 20k"), Budget.parse("1.5M tokens")
            (Budget(calls=12, tokens=20000), Budget(calls=None, tokens=1500000))
        """
        found: dict[str, int] = {}
        for part in text.split(","):
            match = _PART.fullmatch(part.strip())
            amount = 0.0 if match is None else float(match[1]) * _FACTORS[match[2].lower()]
            unit = "calls" if match is not None and (match[3] or "").lower().startswith("call") else "tokens"
            if amount < 1 or not amount.is_integer() or unit in found:
                raise UsageError(
                    f"the budget {shown(text)} cannot be read; expected tokens, calls or both, for example 20000, 20k, "
                    "12calls or 12calls,20000tokens"
                )
            found[unit] = int(amount)
        return cls(**found)

    def __str__(self) -> str:
        parts = [f"{count:,} {_unit(count, unit)}" for unit, count in self._limits().items()]
        return " and ".join(parts) or "unlimited"

    def fits(self, cost: Cost) -> bool:
        """Whether a cost is within the budget; a cost that is not known is not."""
        found = {"calls": cost.calls, "tokens": cost.tokens}
        return all((amount := found[unit]) is not None and amount <= most for unit, most in self._limits().items())

    def check(self, cost: Cost, others: Callable[[], Mapping[str, Cost]] = dict) -> None:
        """Check a cost before anything runs.

        Args:
            cost: The estimate.
            others: Returns the estimates of other strategies, for the message.

        Raises:
            ChatError: The estimate is larger than the budget, or cannot be compared with it.
        """
        if self.fits(cost):
            return
        if self.tokens is not None and cost.tokens is None:
            raise ChatError(
                f"a budget of tokens ({self.tokens:,}) needs a model that counts the tokens of a prompt before it is "
                f"sent, and this one does not; give the budget in calls ({cost.strategy} takes {cost.calls})"
            )
        cheaper = [f"{name} ({other.brief()})" for name, other in others().items() if self.fits(other)]
        remedy = f"use --strategy {' or '.join(cheaper)}" if cheaper else "no other strategy fits"
        raise ChatError(
            f"strategy {cost.strategy} takes up to {cost.brief()}, but the budget is {self}; {remedy}, or raise the "
            "budget (--budget)"
        )

    def _limits(self) -> dict[str, int]:
        limits = {"calls": self.calls, "tokens": self.tokens}
        return {unit: most for unit, most in limits.items() if most is not None}


def _unit(count: int, unit: str) -> str:
    return unit.removesuffix("s") if count == 1 else unit
