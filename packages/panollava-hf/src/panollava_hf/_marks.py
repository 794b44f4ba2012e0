"""Control tokens in a user's text stay text.

A tokenizer finds `<|im_end|>` or the placeholder `<|vision|>` wherever it stands in a prompt, so a question that
mentions one would end the conversation or ask for another panorama. `escape` therefore puts the character `BREAK`
between the characters of such tokens in user texts before the chat template writes its own. `TextTokenizer` removes it
again, and tokenises what the user wrote as if these tokens did not exist. Texts without control tokens are not changed.
"""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tokenizers import AddedToken, Tokenizer

from panollava_hf._errors import TextError

#: Separates the characters of a control token in a user's text; Unicode keeps this code point free for such uses. In
#: an escaped text it is written twice where the user wrote it.
BREAK = "\ufdd0"
_BREAKS = re.compile(f"{BREAK}+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def control_tokens(tokenizer: Any, image_token: str) -> tuple[str, ...]:
    """The tokens of a tokenizer that have a meaning of their own, the longest first.

    These are the placeholder, special tokens, and added tokens in brackets such as `<think>`. Added words and white
    space are ordinary text, and so are special tokens that are words or single characters.

    Args:
        tokenizer: A tokenizer of transformers.
        image_token: The placeholder.
    """
    added = {str(token): bool(token.special) for token in tokenizer.added_tokens_decoder.values()}
    added |= dict.fromkeys(map(str, tokenizer.all_special_tokens), True)
    found = {image_token, *(token for token, special in added.items() if _is_control(token, special=special))}
    return tuple(sorted(found, key=lambda token: (-len(token), token)))


def spoken_tokens(tokenizer: Any, tokens: Sequence[str]) -> tuple[str, ...]:
    """The control tokens with which a model structures its own answers, such as `<think>` and `</think>`.

    These are pairs of a start and an end. Special tokens are not among them.

    Args:
        tokenizer: A tokenizer of transformers.
        tokens: Its control tokens.
    """
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    plain = set(tokens) - special - set(map(str, tokenizer.all_special_tokens))
    starts = [token for token in plain if token[:1] == "<" and f"</{token[1:]}" in plain]
    return tuple(sorted(one for start in starts for one in (start, f"</{start[1:]}")))


def _is_control(token: str, *, special: bool) -> bool:
    if len(token) < 3 or not token.strip():
        return False
    in_brackets = (token[0], token[-1]) in {("<", ">"), ("[", "]")}
    return in_brackets or (special and not token.isalnum())


def escape(texts: Sequence[str], tokens: Sequence[str]) -> list[str]:
    """Escape the control tokens in texts, also those that only arise when the texts are put together.

    Args:
        texts: Adjacent texts of a user.
        tokens: The control tokens.

    Raises:
        TextError: A text has half of a surrogate pair, which is not a character.

    Example:
        >>> escape(["What is a cube?"], ["<a>"])
        ['What is a cube?']
        >>> [text.replace(BREAK, "_") for text in escape(["What is <a>?", "<", "a>"], ["<a>"])]
        ['What is <_a_>?', '<', '_a_>']
    """
    whole = "".join(texts)
    if (broken := _SURROGATE.search(whole)) is not None:
        raise TextError(
            f"the text has {broken[0]!r}, half of a surrogate pair, at character {broken.start()}; remove it"
        )
    pattern, first = _pattern(tuple(tokens))
    if first.isdisjoint(whole) and BREAK not in whole:
        return list(texts)
    breaks = {place for match in pattern.finditer(whole) for place in range(match.start() + 1, match.end(1))}
    escaped, start = [], 0
    for text in texts:
        characters = [
            BREAK * (place in breaks) + character * (1 + (character == BREAK))
            for place, character in enumerate(text, start)
        ]
        escaped.append("".join(characters))
        start += len(text)
    return escaped


def unescape(text: str) -> str:
    """The text as the user wrote it."""
    return _BREAKS.sub(lambda run: BREAK * (len(run[0]) // 2), text)


@lru_cache(maxsize=8)
def _pattern(tokens: tuple[str, ...]) -> tuple[re.Pattern[str], frozenset[str]]:
    """Matches the longest token at each place, also where tokens overlap; and the first characters of the tokens."""
    return re.compile(f"(?=({'|'.join(map(re.escape, tokens))}))"), frozenset(token[0] for token in tokens)


def escape_messages(conversation: Any, tokens: Sequence[str], spoken: Sequence[str] = ()) -> Any:
    """A conversation for `apply_chat_template`, or a list of conversations, with the texts of all contents escaped.

    Args:
        conversation: Messages, or a list of conversations.
        tokens: The control tokens.
        spoken: Those of them that stay tokens in messages of the assistant: chat templates look for `<think>` there.

    Raises:
        TextError: A text is not valid Unicode.
    """
    messages = getattr(conversation, "messages", conversation)
    if not isinstance(messages, (list, tuple)):
        return conversation
    answers = tuple(token for token in tokens if token not in spoken)
    return [
        _escaped_message(message, answers if message.get("role") == "assistant" else tokens)
        if isinstance(message, Mapping)
        else escape_messages(message, tokens, spoken)
        for message in messages
    ]


def _escaped_message(message: Mapping[str, Any], tokens: Sequence[str]) -> Mapping[str, Any]:
    content = message.get("content")
    if isinstance(content, str):
        (text,) = escape([content], tokens)
        return message if text == content else {**message, "content": text}
    if not isinstance(content, (list, tuple)):
        return message
    items = list(content)
    adjacent: list[int] = []  # the texts of these items follow each other
    for place in range(len(items) + 1):
        if place < len(items) and _text(items[place]) is not None:
            adjacent.append(place)
        elif adjacent:
            for index, escaped in zip(adjacent, escape([items[i]["text"] for i in adjacent], tokens), strict=True):
                items[index] = {**items[index], "text": escaped}
            adjacent = []
    return {**message, "content": items}


def _text(item: Any) -> str | None:
    text = item.get("text") if isinstance(item, Mapping) and item.get("type") == "text" else None
    return text if isinstance(text, str) else None


#: Token ids of a prompt, and where each token begins and ends in it.
Encoded = tuple[list[int], list[tuple[int, int]]]


class TextTokenizer:
    """A tokenizer for prompts with escaped texts; everything but calling it is passed on to the tokenizer itself.

    Args:
        tokenizer: A tokenizer of transformers.
        tokens: Its control tokens.
    """

    def __init__(self, tokenizer: Any, tokens: Sequence[str]) -> None:
        self._tokenizer, self._tokens = tokenizer, tuple(tokens)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_tokenizer":  # a copy asks for these before it has a tokenizer
            raise AttributeError(name)
        return getattr(self._tokenizer, name)

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        add_special_tokens: bool = True,
        truncation: Any = False,
        max_length: int | None = None,
        padding: Any = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_offsets_mapping: bool = False,
        **options: Any,
    ) -> Any:
        """Tokenise prompts as the tokenizer itself does. Offsets are those in the escaped prompts."""
        texts = [text] if isinstance(text, str) else list(text)
        pairs = [self._encoded(one, add_special_tokens, return_offsets_mapping) for one in texts]
        if truncation and max_length is not None:
            left = self._tokenizer.truncation_side == "left"
            kept = [slice(max(0, len(row) - max_length), None) if left else slice(max_length) for row, _ in pairs]
            pairs = [(row[part], offsets[part]) for part, (row, offsets) in zip(kept, pairs, strict=True)]
        rows = [row for row, _ in pairs]
        found = self._tokenizer.pad(
            {"input_ids": rows},
            padding=padding,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_attention_mask=True,
            return_tensors=return_tensors,
            verbose=False,
        )
        if return_offsets_mapping:
            left = (padding_side or self._tokenizer.padding_side) == "left"
            empty = [[(0, 0)] * (len(ids) - len(row)) for ids, row in zip(found["input_ids"], rows, strict=True)]
            found["offset_mapping"] = [
                [*blank, *offsets] if left else [*offsets, *blank]
                for blank, (_, offsets) in zip(empty, pairs, strict=True)
            ]
        return {name: rows[0] for name, rows in found.items()} if isinstance(text, str) else found

    def ids(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The token ids of one prompt.

        Raises:
            TextError: The prompt has an escaped text, and the tokenizer is not one of the `tokenizers` library.
        """
        return self._encoded(text, add_special_tokens, offsets=False)[0]

    def _encoded(self, text: str, special: bool, offsets: bool) -> "Encoded":
        """Ids and offsets of one prompt; without `offsets` these may be empty."""
        if BREAK not in text:
            found = self._tokenizer(
                text, add_special_tokens=special, verbose=False, return_offsets_mapping=offsets or None
            )
            return found["input_ids"], found["offset_mapping"] if offsets else []
        ids, places = _plain_ids(self._tokenizer, self._tokens, len(self._tokenizer))(text)
        before, after = _around(self._tokenizer) if special else ([], [])
        return [*before, *ids, *after], [(0, 0)] * len(before) + places + [(0, 0)] * len(after)


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer adds before and after every text."""
    alone = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(i for i in range(len(whole) - len(alone) + 1) if whole[i : i + len(alone)] == alone)
    return whole[:start], whole[start + len(alone) :]


@lru_cache(maxsize=8)
def _plain_ids(tokenizer: Any, tokens: tuple[str, ...], size: int) -> Callable[[str], "Encoded"]:
    """Token ids of escaped prompts, and the offsets of the tokens in these.

    A second tokenizer shares the model, normalizer and pre-tokenizer, but knows the control tokens by other names. The
    names have a random part, so no text contains them.

    Args:
        tokenizer: The tokenizer.
        tokens: Its control tokens.
        size: Its number of tokens: when tokens are added, the second tokenizer is made again.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise TextError(
            "the text has a control token of this model, which its tokenizer cannot read as text; remove it, "
            f"one of {', '.join(tokens[-5:])}"
        )
    second = Tokenizer(backend.model)
    if backend.normalizer is not None:
        second.normalizer = backend.normalizer
    if backend.pre_tokenizer is not None:
        second.pre_tokenizer = backend.pre_tokenizer
    secret = secrets.token_hex(8)
    names = {token: f"{BREAK}{secret}.{number}{BREAK}" for number, token in enumerate(tokens)}
    original: dict[int, int] = {}
    for number, token in sorted(backend.get_added_tokens_decoder().items()):
        content = names.get(token.content, token.content)
        normalized = token.normalized and token.content not in names
        flags = {"single_word": token.single_word, "lstrip": token.lstrip, "rstrip": token.rstrip}
        second.add_tokens([AddedToken(content, normalized=normalized, special=False, **flags)])
        renumbered = second.token_to_id(content)
        if renumbered is not None:
            original[renumbered] = number
    pattern = re.compile("|".join(map(re.escape, tokens)))

    def ids(text: str) -> Encoded:
        pieces, places, end = [], [], 0
        for match in (*pattern.finditer(text), None):
            stop = len(text) if match is None else match.start()
            piece, kept = _unescaped(text[end:stop], end)
            pieces.append(piece)
            places += kept
            if match is not None:
                pieces.append(names[match[0]])
                places += [match.start()] * len(names[match[0]])
                end = match.end()
        places.append(len(text))
        encoding = second.encode("".join(pieces), add_special_tokens=False)
        offsets = [(places[first], places[last]) for first, last in encoding.offsets]
        return [original.get(number, number) for number in encoding.ids], offsets

    return ids


def _unescaped(text: str, start: int) -> tuple[str, list[int]]:
    """As `unescape`, and where each character stands in the escaped prompt.

    Args:
        text: A part of the prompt.
        start: Where it begins.
    """
    places: list[int] = []
    end = 0
    for run in _BREAKS.finditer(text):
        places += range(start + end, start + run.start())
        places += [start + run.start() + 2 * number for number in range(len(run[0]) // 2)]
        end = run.end()
    places += range(start + end, start + len(text))
    return unescape(text), places
