"""Control tokens in a text that somebody else wrote.

A tokenizer turns `<|im_end|>` or `<image>` in a question into the token that ends a turn or stands for an image: the
question would end early, speak as another role, or hold more images than there are. A space after the first character
keeps such a text readable, and it is no longer the token.
"""

import re
from typing import Any

#: Attributes of processors that hold a placeholder or a mark of an image.
_ATTRIBUTE = re.compile(r"_(token|tag)$")


class ControlTokens:
    """The control tokens of a processor and its tokenizer.

    Args:
        processor: The processor.
    """

    def __init__(self, processor: Any) -> None:
        tokenizer = processor.tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        names = {str(token) for token in added if getattr(token, "special", True)}
        names |= {str(token) for token in getattr(tokenizer, "all_special_tokens", ())}
        for part in (processor, tokenizer):
            found = {name: value for name, value in vars(part).items() if _ATTRIBUTE.search(name)}
            names |= {str(value) for value in found.values() if isinstance(value, str) or hasattr(value, "content")}
        marks = sorted((name for name in names if len(name.strip()) > 1), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, marks))) if marks else None

    def as_text(self, text: str) -> str:
        """The text without control tokens: each has a space after its first character."""
        if self._pattern is None:
            return text
        before = ""
        while text != before:  # a token may stand inside another
            before, text = text, self._pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return text
