import json
import os

import pytest
from panollava_hf._errors import EvaluationError, ModelError
from panollava_hf.outside._json_file import MAX_DEPTH, POINTER, json_text, parse_json, read_bytes, read_object


@pytest.mark.parametrize(
    "text", ["ordinary é 한 🙂", "\u2028 \u2029 \x85 \x0b \x0c \x1c \r \n", "\ud800 and \udc80", '"\\']
)
def test_a_value_is_one_line_of_utf8_that_reads_back(text):
    line = json_text({"text": text}).encode()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == {"text": text}
    if "é" in text:
        assert "é".encode() in line, "readable where it can be"
    assert json.loads(json_text({"text": text}, indent=2).encode()) == {"text": text}


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b'\xef\xbb\xbf{"a": 1}', {"a": 1}), (b"[]", []), (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None)],
    ids=["byte order mark", "list", "deep"],
)
def test_json_is_read(content, expected):
    found = parse_json(content, "a.json")
    assert expected is None or found == expected


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b" ", "it is empty"),
        (b"{", "line 1 column 2"),
        (b"\xff", "codec"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "deeper than 64 levels"),
        (b"[" * 100_000, "recursion"),
        (b'{"a": 1, "a": 2}', "the name 'a' occurs twice"),
    ],
)
def test_other_texts_are_one_line_of_the_class_that_was_asked_for(content, cause):
    with pytest.raises(EvaluationError, match=rf"^a\.json: this is not valid JSON \(.*{cause}.*\); do this$"):
        parse_json(content, "a.json", kind=EvaluationError, remedy="do this", once=True)


def test_only_small_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"12345")
    (tmp_path / "pointer").write_bytes(POINTER + b"v1\n")
    (tmp_path / "list").write_text("[1]")
    for name, problem in {
        "pipe": "this is not a regular file",
        "missing": r"this file cannot be read \(No such file or directory\)",
        "a\0b": r"this file cannot be read \(.*null",
        "large": "this file has 5 bytes, expected at most 4",
        "pointer": "this file is a Git LFS pointer",
    }.items():
        with pytest.raises(ModelError, match=problem):
            read_bytes(tmp_path / name, 4)
    with pytest.raises(ModelError, match="expected a JSON object, got a list"):
        read_object(tmp_path / "list")
