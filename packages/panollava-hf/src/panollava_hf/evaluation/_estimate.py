"""What an evaluation will cost, before a model runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from panollava_geometry import PanoramaError

from panollava_hf.asking import Answerer
from panollava_hf.asking._panorama import Panorama
from panollava_hf.evaluation._evaluate import passes_of
from panollava_hf.evaluation._panoramas import guarded, prepared
from panollava_hf.evaluation._questions import Question, Questions
from panollava_hf.evaluation._results import Options


@dataclass(frozen=True)
class Estimate:
    """The largest cost of an evaluation.

    Attributes:
        questions: Number of questions over all passes.
        panoramas: Number of panoramas over all passes; questions about one share its descriptions.
        strategy: Name of the strategy.
        calls: Calls of the model.
        image_tokens: Tokens of all images; None if the model does not count them before a request.
        prompt_tokens: Tokens of all prompts, images included; None if not known.
        new_tokens: Generated tokens.
    """

    questions: int
    panoramas: int
    strategy: str
    calls: int
    image_tokens: int | None
    prompt_tokens: int | None
    new_tokens: int

    def __str__(self) -> str:
        tokens = {"image": self.image_tokens, "prompt": self.prompt_tokens, "new": self.new_tokens}
        known = ", ".join(f"{count:,} {name} tokens" for name, count in tokens.items() if count is not None)
        unknown = "" if self.prompt_tokens is not None else "; the model does not count prompts before a request"
        return (
            f"{_count(self.questions, 'question')} about {_count(self.panoramas, 'panorama')}, "
            f"strategy {self.strategy}: at most {_count(self.calls, 'call')}, {known}{unknown}."
        )


def estimate(answerer: Answerer, questions: Questions, options: Options) -> Estimate:
    """The cost of all passes, with the longest question in place of each, about the first panorama that can be read.

    Raises:
        EvaluationError: The data does not have what a probe needs.
        PanoramaError: The first panorama cannot be read; with `skip_bad`, none can.
        ChatError: The model cannot take the strategy.
    """
    passes = passes_of(questions, options)
    asked = [question for one in passes for question in one.questions]
    longest = max((question.prompt for question in asked), key=len)
    panorama = _first_readable(answerer, asked, options)
    cost = answerer.cost(panorama, [longest, longest], max_new_tokens=options.max_new_tokens)
    alone, further = cost.questions
    panoramas = sum(len({question.key for question in one.questions}) for one in passes)

    def total(name: str) -> int | None:
        counts: list[int | None] = [getattr(usage, name) for usage in (alone, further)]
        if counts[0] is None or counts[1] is None:
            return None
        return panoramas * counts[0] + (len(asked) - panoramas) * counts[1]

    return Estimate(
        questions=len(asked),
        panoramas=panoramas,
        strategy=answerer.strategy,
        calls=total("calls") or 0,
        image_tokens=total("image_tokens"),
        prompt_tokens=total("prompt_tokens"),
        new_tokens=total("new_tokens") or 0,
    )


def _first_readable(answerer: Answerer, asked: Sequence[Question], options: Options) -> Panorama:
    """The first panorama that can be read, as it is shown.

    Raises:
        PanoramaError: It cannot be read; with `skip_bad`, none can.
    """
    native = answerer.chat.family.reads_panoramas
    first: dict[str, Question] = {}
    for question in asked:
        first.setdefault(question.key, question)
    problems: list[PanoramaError] = []
    for question in first.values():
        try:
            with guarded(options.private_redirects):
                return answerer.prepare(question.image) if native else prepared(answerer, question)
        except PanoramaError as error:
            problems.append(error)
            if not options.skip_bad:
                break
    raise problems[0]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
