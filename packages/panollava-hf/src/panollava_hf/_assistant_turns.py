"""`{% generation %}` around the assistant's texts in the chat template of a language model.

Trainers need these tags to train the assistant's texts only. Templates of language models rarely have them. The text
that such a template renders is therefore cut where the assistant's turns begin and end, and put together again with the
tags; so it cannot change. Where turns begin and end is read off a rendered conversation, and the result is tried on
several. Texts of users cannot begin a turn: most cuts are at control tokens, which `escape` breaks, and where turns
begin with ordinary characters (`ASSISTANT:`), those are replaced in all texts while the template renders them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template

from panollava_hf._assistant_masks import GENERATION
from panollava_hf._shown import shown

__all__ = ["mark_turns"]

#: Ordinary characters with which turns begin become others in the texts of messages; Unicode keeps these code points
#: free for such uses.
GUARD, GUARDED, DOUBLED = "\ufdd1", "\ufdd1\ufdd2", "\ufdd1\ufdd3"
GUARDING = """\
{%- set guarded = namespace(messages=[]) -%}
{%- for message in messages -%}
{%- if message['content'] is string -%}
{%- set content = message['content'].replace(@GUARD@, @DOUBLED@).replace(@CORE@, @GUARDED@) -%}
{%- set guarded.messages = guarded.messages + [dict(message, content=content)] -%}
{%- else -%}
{%- set guarded.messages = guarded.messages + [message] -%}
{%- endif -%}
{%- endfor -%}
{%- set messages = guarded.messages -%}
"""
RESTORED = ".replace(@GUARDED@, @CORE@).replace(@DOUBLED@, @GUARD@)"
MARKED = """\
{%- set rendered -%}
@TEMPLATE@{%+ endset -%}
{%- set turns = rendered.split(@HEADER@) -%}
{{- turns[0]@PLAIN@ -}}
{%- for turn in turns[1:] -%}
{{- @HEADER@ -}}
{%- if @END@ in turn -%}
{%- set parts = turn.partition(@END@) -%}
{%- generation -%}{{- parts[0]@PLAIN@ ~ parts[1] -}}{%- endgeneration -%}
{{- parts[2]@PLAIN@ -}}
{%- elif loop.last and add_generation_prompt -%}
{{- turn@PLAIN@ -}}
{%- else -%}
{%- generation -%}{{- turn@PLAIN@ -}}{%- endgeneration -%}
{%- endif -%}
{%- endfor -%}
"""
_ASKED = ({"role": "user", "content": "What is left?"}, {"role": "assistant", "content": "A red chair"})
_AGAIN = ({"role": "user", "content": "And right of it?"}, {"role": "assistant", "content": "Two blue lamps"})
_WITH_IMAGE = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where am I?"}]}
_SYSTEM = {"role": "system", "content": "Answer in one word."}
_PARTS = {"role": "assistant", "content": [{"type": "text", "text": "In a\n\nkitchen."}]}
SAMPLES: tuple[tuple[Mapping[str, Any], ...], ...] = (
    (*_ASKED, *_AGAIN),
    (*_ASKED, *_AGAIN, _WITH_IMAGE),
    (_SYSTEM, _WITH_IMAGE, _PARTS, *_ASKED),
    (_WITH_IMAGE, _PARTS, _WITH_IMAGE),
    (_WITH_IMAGE,),
)


def mark_turns(
    before: str, template: str, tokens: Sequence[str], variables: Mapping[str, Any]
) -> tuple[str, str | None]:
    """A chat template with `{% generation %}` around the assistant's texts, and why that is not possible.

    Args:
        before: What is put before the template: it turns contents into texts.
        template: The language model's own template.
        tokens: The control tokens of its tokenizer.
        variables: The special tokens by name, as templates use them.

    Returns:
        The template, and None; or the template without new tags, and the reason.
    """
    whole = before + template
    if GENERATION.search(template) is not None:
        return whole, None
    try:
        header, end = _limits(whole, tokens, variables)
        marked = before + _filled(template.removesuffix("\n"), header, end, tokens)
        samples = list(SAMPLES)
        if not any(token in header for token in tokens):
            core = header.strip()
            samples.append(tuple({**message, "content": f"Is {core} {core}{GUARD}{GUARDED}?"} for message in _ASKED))
        for messages in samples:
            for asks in (False, True):
                _compare(whole, marked, messages, {**variables, "add_generation_prompt": asks}, tokens, end)
    except Exception as error:
        return whole, f"{type(error).__name__}: {shown(str(error))}"
    return marked, None


def _filled(template: str, header: str, end: str, tokens: Sequence[str]) -> str:
    """The template with the tags; the texts of messages are guarded if the header has no control token."""
    core = header.strip()
    guards = not any(token in header for token in tokens)
    values = {"CORE": core, "GUARD": GUARD, "GUARDED": GUARDED, "DOUBLED": DOUBLED, "HEADER": header, "END": end}
    parts = {name: _literal(value) for name, value in values.items()}

    def fill(text: str) -> str:
        return re.sub("@([A-Z]+)@", lambda match: parts[match[1]], text)

    parts["PLAIN"] = fill(RESTORED) if guards else ""
    parts["TEMPLATE"] = template
    return (fill(GUARDING) if guards else "") + fill(MARKED)


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _rendered(template: str, messages: Sequence[Any], options: Mapping[str, Any], *, spans: bool = False) -> Any:
    texts, found = render_jinja_template(
        conversations=[[dict(message) for message in messages]],
        chat_template=template,
        return_assistant_tokens_mask=spans,
        **options,
    )
    return (texts[0], found[0]) if spans else texts[0]


def _limits(template: str, tokens: Sequence[str], variables: Mapping[str, Any]) -> tuple[str, str]:
    """The texts with which the assistant's turns begin and end.

    Raises:
        ValueError: There are none, or the end has no control token.
    """
    first, answer, second, last = (str(message["content"]) for message in SAMPLES[0])
    whole = _rendered(template, SAMPLES[0], variables)
    asked, plain = (
        _rendered(template, SAMPLES[0][:3], {**variables, "add_generation_prompt": asks}) for asks in (True, False)
    )
    # What a model thinks before it answers is part of its turn.
    prompt = asked[_shared(asked, plain, tokens) :].split("<think>")[0]
    gaps = [whole.split(one, 1)[1].split(other, 1)[0] for one, other in ((first, answer), (second, last))]
    headers = [prompt[:size] for size in range(len(prompt), 0, -1) if prompt[:size] in gaps[0]]
    header = headers[0] if headers else gaps[0]
    after = whole.split(answer, 1)[1].split(second, 1)[0]
    ends = sorted((after.find(token), -len(token), token) for token in tokens if token in after)
    end = after[: ends[0][0]] + ends[0][2] if ends else ""
    if not header.strip() or (end and end in header):
        raise ValueError("nothing by itself begins the assistant's turns")
    if not end or end[: ends[0][0]].strip() or not whole.split(last, 1)[1].startswith(end):
        raise ValueError("no control token ends the assistant's turns")
    return header, end


def _shared(text: str, other: str, tokens: Sequence[str]) -> int:
    """How many characters two texts share at their beginning, in whole control tokens."""
    pairs = enumerate(zip(text, other, strict=False))
    size = next((place for place, (one, another) in pairs if one != another), min(len(text), len(other)))
    for token in tokens:
        start = text.rfind(token, 0, size + len(token) - 1)
        if 0 <= start < size < start + len(token):
            return start
    return size


def _compare(
    before: str, after: str, messages: Sequence[Any], options: Mapping[str, Any], tokens: Sequence[str], end: str
) -> None:
    """Check that two templates render the same, and that the tags are around the assistant's texts and ends.

    Raises:
        ValueError: They differ, or the tags are elsewhere.
    """
    try:
        expected = _rendered(before, messages, options)
    except Exception:
        if messages == SAMPLES[0]:
            raise
        return
    text, spans = _rendered(after, messages, options, spans=True)
    answers = [_text(message["content"]) for message in messages if message["role"] == "assistant"]
    pieces = [text[start:stop] for start, stop in spans]
    if text != expected or len(pieces) != len(answers):
        raise ValueError("the marked template renders another text")
    for piece, answer in zip(pieces, answers, strict=True):
        lead = piece.removesuffix(end).removesuffix(answer)
        for token in tokens:
            lead = lead.replace(token, "")
        if answer + end not in piece or lead.strip():  # some templates begin answers with an empty <think> block
            raise ValueError("the assistant's turns do not begin or end where expected")


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(item["text"] for item in content)
