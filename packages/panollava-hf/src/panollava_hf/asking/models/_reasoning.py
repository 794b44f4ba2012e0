"""Separate the reasoning that some models write into their reply from the reply proper."""

import re

#: The pairs of marks around reasoning: Qwen, DeepSeek, GLM and others; Kimi; Magistral; MedGemma; Gemma.
_PAIRS = (
    *((rf"<{tag}>", rf"</{tag}>") for tag in ("think", "thinking", "thought", "reasoning", "seed:think")),
    ("◁think▷", "◁/think▷"),
    (r"\[THINK\]", r"\[/THINK\]"),
    (r"<unused94>", r"<unused95>"),
    (r"<\|channel>thought", r"<channel\|>"),
)
_OPENING = re.compile("|".join(opening for opening, _ in _PAIRS), re.IGNORECASE)
_CLOSING = re.compile("|".join(closing for _, closing in _PAIRS), re.IGNORECASE)
_BLOCK = re.compile("|".join(f"{opening}.*?{closing}" for opening, closing in _PAIRS), re.IGNORECASE | re.DOTALL)
#: Marks around the reply proper, in models that write its reasoning in plain text.
_WRAPPERS = re.compile(r"</?answer>|<\|(?:begin|end)_of_box\|>|<\|(?:im_end|eot_id|return)\|>", re.IGNORECASE)
#: The channels of the harmony form: `<|channel|>analysis<|message|>…<|end|>`.
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)", re.DOTALL
)
_MARK = re.compile(r"<\|(?:start|channel|message|end|return|call)\|>")
#: The end of a text that may be the beginning of a mark.
_UNFINISHED = re.compile(r"(?:<[|/\w:]{0,24}|\[/?[A-Z]{0,5}|◁/?\w{0,5})\Z")
#: Models whose reply begins inside of the reasoning, because their template opens it.
_THINKERS = re.compile(r"thinking|\br1\b|qwq|qvq|reasoner", re.IGNORECASE)


def without_reasoning(text: str) -> tuple[str, str]:
    """Split a reply into the reply proper and the reasoning in it.

    The reasoning may be marked by tags, also if only the closing tag is there because the template of the model wrote
    the opening one, or only the opening one because the reply was cut off; or by channels of the harmony form.

    Example:
        >>> without_reasoning("<think>A red door.</think> A door.")
        ('A door.', 'A red door.')
        >>> without_reasoning("A red door.</think> A door.")
        ('A door.', 'A red door.')
        >>> without_reasoning("<think>A red")
        ('', 'A red')
    """
    if "<|channel|>" in text:
        return _channels(text)
    thoughts: list[str] = []

    def keep(found: re.Match[str]) -> str:
        thoughts.append(_CLOSING.sub("", _OPENING.sub("", found[0])))
        return ""

    rest = _BLOCK.sub(keep, text)
    closings = list(_CLOSING.finditer(rest))
    if closings:
        thoughts.append(_CLOSING.sub("", rest[: closings[-1].start()]))
        rest = rest[closings[-1].end() :]
    opening = _OPENING.search(rest)
    if opening:
        thoughts.append(_OPENING.sub("", rest[opening.start() :]))
        rest = rest[: opening.start()]
    return _WRAPPERS.sub("", rest).strip(), "\n".join(filter(None, (thought.strip() for thought in thoughts)))


def _channels(text: str) -> tuple[str, str]:
    found = [(name, _MARK.sub("", inner).strip()) for name, inner in _CHANNEL.findall(text)]
    final = " ".join(inner for name, inner in found if name == "final")
    return final, "\n".join(inner for name, inner in found if name != "final" and inner)


class Visible:
    """Finds out, while a reply arrives piece by piece, which text of it can already be shown.

    Args:
        model: Name of the model. If it says that the model reasons, nothing is shown before the reasoning has ended.
    """

    def __init__(self, model: str = "") -> None:
        self._waits = bool(_THINKERS.search(model))
        self._raw, self._shown = "", ""

    def add(self, piece: str) -> str:
        """The text that can be shown after this piece; often empty."""
        self._raw += piece
        if self._waits and not _CLOSING.search(self._raw):
            return ""
        held = _UNFINISHED.sub("", self._raw)
        return self._new(without_reasoning(held)[0])

    def end(self, reply: str) -> str:
        """What is left to show of the whole reply."""
        return self._new(reply)

    def _new(self, reply: str) -> str:
        if reply.startswith(self._shown):
            new, self._shown = reply[len(self._shown) :], reply
            return new
        if self._shown.startswith(reply):
            return ""
        # What was shown has turned out to be reasoning: the reply begins on a new line.
        self._shown = reply
        return f"\n\n{reply}"
