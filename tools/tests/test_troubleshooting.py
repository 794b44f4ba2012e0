"""The messages of docs/troubleshooting.md are those of the sources."""

import functools
import re
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from tools.quoted_messages import Quote, is_written, python_files, quotes, templates

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
QUOTES = list(quotes(PAGE.read_text(encoding="utf-8")))


def ask_for_an_operator():
    """What torchvision does first when it is imported, for an operator that does not exist."""
    import torch

    torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::absent", "Meta")


def open_a_pointer():
    """Text is not a safetensors file: its first 8 bytes are an absurd length."""
    import safetensors

    safetensors.safe_open(__file__, "pt")


#: Messages that the compiled part of a library writes, and what provokes them.
COMPILED = {
    "operator torchvision::nms does not exist": ask_for_an_operator,
    "Error while deserializing header: header too large": open_a_pointer,
}


@functools.cache
def ours():
    return templates(text for package in sorted(ROOT.glob("packages/*/src")) for text in python_files(package))


@pytest.mark.parametrize("quote", [q for q in QUOTES if q.library is None], ids=lambda quote: f"line {quote.line}")
def test_our_messages_are_in_our_sources(quote):
    assert is_written(quote, ours()), f"{PAGE.name}:{quote.line}: no source writes {quote.text!r}"


@pytest.mark.parametrize(
    "quote", [q for q in QUOTES if q.library and q.text not in COMPILED], ids=lambda quote: f"line {quote.line}"
)
def test_messages_of_other_libraries_are_in_theirs(quote):
    # Not `importlib.util.find_spec`: setuptools' finder warns about pip where distutils was imported before.
    found = PathFinder.find_spec(quote.library)
    if found is None:
        pytest.skip(f"{quote.library} is not installed")
    words = re.findall(r"\w{5,}", quote.text)  # reading all sources as syntax trees takes minutes
    sources = python_files(Path(found.origin).parent, words)
    assert is_written(quote, templates(sources)), f"{PAGE.name}:{quote.line}: {quote.library} has no {quote.text!r}"


@pytest.mark.parametrize("message", COMPILED)
def test_messages_of_compiled_code_are_provoked(message):
    assert message in {quote.text for quote in QUOTES}
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the class of safetensors' error is not public
        COMPILED[message]()
    assert str(caught.value).splitlines()[0].replace("::absent", "::nms") == message


def test_the_page_covers_the_errors_that_users_meet():
    assert len(QUOTES) >= 40
    assert len({quote.text for quote in QUOTES}) == len(QUOTES), "each message has one place"


def test_a_changed_message_is_noticed():
    quote = Quote(1, "…: this is a folder; pass an image file", None)
    source = 'f"{name}: this is a folder; pass an image file"'
    assert is_written(quote, templates([source]))
    assert not is_written(quote, templates([source.replace("pass", "give")]))
    assert not is_written(quote, templates([source.replace("an image file", "an image file instead")]))
    with pytest.raises(ValueError, match="too little text"):
        is_written(Quote(1, "…: … pass …", None), templates([source]))


def test_parts_of_a_message_may_stand_in_constants_and_sums():
    sources = ['WAY_OUT = "use another file"', 'f"{path}: damaged; {WAY_OUT}" + (more if more else "")']
    assert is_written(Quote(1, "…: damaged; use another file…", None), templates(sources))
