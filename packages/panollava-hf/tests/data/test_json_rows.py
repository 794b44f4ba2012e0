"""JSON files: numbers become their text, damaged lines are named, nothing crashes below us."""

import codecs
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panollava_hf._errors import TableError
from panollava_hf.data import read_examples


@pytest.fixture
def table(tmp_path):
    def write(content, name="t.jsonl", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def row(answer, image='"a.jpg"', question='"Q?"', more=""):
    return f'{{"image":{image},"question":{question},"answer":{answer}{more}}}\n'


def answers(path, **options):
    return [example.answer for example in read_examples(path, **options)]


def test_the_cases(shared):
    assert answers(shared / "cases" / "table_numbers.jsonl") == ["3", "yes"]
    with pytest.raises(TableError, match=r"1 rows cannot be used: line 8: the answer is blank.*--skip-bad"):
        read_examples(shared / "cases" / "table_blank_answer.jsonl")
    kept = read_examples(shared / "cases" / "table_blank_answer.jsonl", skip_bad=True)
    assert (len(kept), kept.unusable.count, kept[7].where[-5:]) == (9, 1, "row 9")
    placeholder = read_examples(shared / "cases" / "table_placeholder_in_question.jsonl")
    assert placeholder[0].question == "What does <|vision|> mean?"


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("3", "3"),
        ("2.50", "2.50"),
        ("1e400", "1e400"),
        ("-0.0", "-0.0"),
        ("9" * 5000, "9" * 5000),
        ("true", "true"),
        ("NaN", "NaN"),
        ('"None"', "None"),
        ('" a "', " a "),
        ('"a\u2028b\u0085c"', "a\u2028b\u0085c"),
        ('"\\u00e9\\ud83d\\ude00"', "é😀"),
        ('"\\u0000"', "\0"),
    ],
)
def test_values_become_their_text(table, written, answer):
    assert answers(table(row(written) + row('"x"'))) == [answer, "x"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_encodings(table, encoding):
    assert answers(table(row('"그곳"'), encoding=encoding)) == ["그곳"]


def test_blank_lines_and_line_ends(table):
    assert answers(table("\r\n" + row('"x"').replace("\n", "\r\n") + "\n \n" + row('"y"').rstrip())) == ["x", "y"]


@pytest.mark.parametrize(
    "content",
    [
        "[" + row('"x"') + "," + row("2") + "]",
        "[" + row('"x"').strip() + ", " + row("2").strip() + "]\n",
        json.dumps(
            [{"image": "a", "question": "b", "answer": "x"}, {"image": "a", "question": "b", "answer": 2}], indent=1
        ),
        row('"x"').replace(",", ",\n") + row("2").replace(",", ",\n"),
        row('"x"').strip() + row("2"),
    ],
)
def test_arrays_and_objects_on_several_lines(table, content):
    assert answers(table(content, "t.json")) == ["x", "2"]


def test_line_numbers_of_arrays(table):
    content = "[\n" + row('"x"') + ",\n\n" + row('""') + "]"
    with pytest.raises(TableError, match="line 5: the answer is blank"):
        read_examples(table(content, "t.json"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row("null"), "line 2: the answer is blank"),
        (row('" "'), "line 2: the answer is blank"),
        (row('"x"', question='"\\u00a0"'), "line 2: the question is blank"),
        (row('"x"', image='""'), "line 2: the image is blank"),
        (row('["x"]'), r"line 2: the answer is not a text: \[.x.\]"),
        (row('{"text": "x"}'), "line 2: the answer is not a text"),
        (row('"x"', image='["a.jpg"]'), "line 2: the image is not a text"),
        (row('"x"', image='"a\\u0000.jpg"'), "line 2: the name of the image contains a NUL"),
        ('{"image":"a.jpg","question":"Q?"}\n', "line 2: the answer is blank"),
        (row('"answer"', image='"image"', question='"question"'), "line 2: the header is repeated"),
        (row('"x","answer":"y"'), "line 2: the key 'answer' is there twice"),
        (row('"\\ud800"'), "line 2: a text contains half of a surrogate pair"),
        ("{not json\n", "line 2: not JSON"),
        (row('"x"')[:-9] + "\n", "line 2: not JSON"),
        ('["a.jpg", "Q?", "x"]\n', "line 2: expected an object with the keys image, question, answer, got a list"),
        ("3\n", "line 2: expected an object"),
        (row("[" * 100_000 + "]" * 100_000), "line 2: .*inside each other"),
        (row('{"a":' * 20_000 + "1" + "}" * 20_000), "line 2: .*inside each other"),
    ],
)
def test_unusable_rows_are_named_or_passed_over(table, line, message):
    path = table(row('"x"') + line + row('"y"'))
    with pytest.raises(TableError, match=message) as error:
        read_examples(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    kept = read_examples(path, skip_bad=True)
    assert [example.answer for example in kept] == ["x", "y"]
    assert kept.unusable.count == 1


def test_a_damaged_first_line_hides_no_other(table):
    path = table(row('"x"')[:-9] + "\n" + row('"y"') + row('"z"'))
    assert answers(path, skip_bad=True) == ["y", "z"]
    with pytest.raises(TableError, match="line 1: not JSON"):
        read_examples(path)


@pytest.mark.parametrize(
    "content", [b"", b"\n \n", b"[]", codecs.BOM_UTF8, b"\xff\xfe", b"[" * 100_000, b"\x80abc", b"{" * 9]
)
def test_files_without_rows_are_one_line(table, content):
    for name in ("t.jsonl", "t.json"):
        with pytest.raises(TableError) as error:
            read_examples(table(content, name))
        assert "\n" not in str(error.value)


def test_other_values_stay_usable(table):
    path = table(row('"x"', more=',"scene":7,"program":{"n":2.50},"size":3') + row('"y"', more=',"scene":8'))
    first, second = read_examples(path)
    assert first.extra == {"scene": "7", "program": '{"n": 2.5}'}
    assert second.extra == {"scene": "8"}


def test_an_image_object_of_datasets_is_its_path(table):
    assert read_examples(table(row('"x"', image='{"path":"b.jpg","bytes":null}')))[0].image.name == "b.jpg"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 130), st.binary(max_size=4)), min_size=1, max_size=5), array=st.booleans()
)
def test_damaged_bytes_give_rows_or_one_error(tmp_path, rows_or_one_error, changes, array):
    content = bytearray(("[" + row("3") + "," + row('"y"') + "]" if array else row("3") + row('"y"')).encode())
    for place, new in changes:
        content[place : place + len(new)] = new
    path = tmp_path / "t.json"
    path.write_bytes(content)
    rows_or_one_error(path)
