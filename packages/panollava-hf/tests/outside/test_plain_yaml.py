"""YAML that somebody else wrote: plain data or one line, quickly."""

import itertools
import os
import time

import pytest
from panollava_hf._errors import RecipeError
from panollava_hf.outside._plain_yaml import MAX_BYTES, read_yaml

LEVELS = "abcdefghij"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in itertools.pairwise(LEVELS)
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: 1\nb: [x, 2.5, yes, null]", {"a": 1, "b": ["x", 2.5, True, None]}),
        ('{"a": [1, {"b": "c"}]}', {"a": [1, {"b": "c"}]}),
        (
            "base: &base {a: 1}\nx: {<<: *base, b: 2}\ny: *base",
            {"base": {"a": 1}, "x": {"a": 1, "b": 2}, "y": {"a": 1}},
        ),
        ("on: 2026-11-28\nat: 2026-13-45", {True: "2026-11-28", "at": "2026-13-45"}),  # dates stay texts
        ("\ufeffa: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: é한".encode("utf-16"), {"a": "é한"}),
        ("", None),
        ("[" + "1," * 90_000 + "]", [1] * 90_000),
    ],
)
def test_plain_data_is_read(tmp_path, content, expected):
    path = tmp_path / "a.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read_yaml(path, RecipeError) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "line 5: more than 100,000 values, counting what aliases repeat"),
        ("[" + "1," * 150_000 + "]", "more than 100,000 values"),
        ("a: &a [*a]", r"line 1: the alias \*a has no finished anchor"),
        ("a: *x", r"line 1: the alias \*x has no finished anchor"),
        ("[" * 20_000, "not valid YAML"),
        (
            "\n".join(" " * i + "a:" for i in range(900)),
            "line 65: more than 64 lists and mappings are inside each other",
        ),
        ("a:\n  b: 1\n\tc: 2", "line 3: not valid YAML: .*indent with spaces, not with tabs"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice; remove one"),
        ("x:\n  a: 1\n  'a': 2", "line 3: the key 'a' is given twice"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: the tag .* is not supported; write plain values"),
        ("a: !!binary aGk=", "the tag .* is not supported"),
        ("a: !mine 1", "the tag '!mine' is not supported"),
        ("? [a]\n: 1", "a key is a list or mapping"),
        ("a: 1\n---\nb: 2", "line 2: not valid YAML: .*another document"),
        ("a: " + "9" * 100_000, "cannot be read as YAML .*4300 digits"),
        ("a: !!int x", "cannot be read as YAML"),
        ("a: \x00", "cannot be read as YAML .*control characters"),
        ("<<: 3", "line 1: not valid YAML"),
        ("a: [1", "not valid YAML"),
        (b"a: 1\nb: \xff\n", "line 2: this is not UTF-8 text; save a recipe as UTF-8"),
        (b"\xff\xfea", "this is not UTF-8 text"),
        (b"a" * (MAX_BYTES + 1), r"yaml: this file has 1,048,577 bytes, expected at most 1,048,576; give a recipe"),
    ],
)
def test_everything_else_is_one_short_line_and_quick(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    began = time.monotonic()
    with pytest.raises(RecipeError, match=message) as caught:
        read_yaml(path, RecipeError, what="a recipe")
    assert time.monotonic() - began < 5
    text = str(caught.value)
    assert text.startswith(str(path))
    assert len(text.splitlines()) == 1
    assert len(text) < 400 + len(str(path))


def test_only_a_regular_file_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(RecipeError, match="this is not a regular file; give"):
            read_yaml(path, RecipeError)
    with pytest.raises(RecipeError, match=r"missing\.yaml: this file cannot be read \(No such file or directory\)"):
        read_yaml(tmp_path / "missing.yaml", RecipeError)
    with pytest.raises(RecipeError, match=r"cannot be read \(.*null"):
        read_yaml(tmp_path / "a\0b", RecipeError)
