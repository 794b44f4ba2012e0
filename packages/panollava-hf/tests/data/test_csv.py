"""CSV files are read exactly as written, whatever their header, encoding and delimiter; shifted rows are refused."""

import codecs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panollava_hf._errors import TableError
from panollava_hf.data import read_examples

HEADER = "image,question,answer"


@pytest.fixture
def table(tmp_path):
    def write(content, *rows, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        if rows:
            content = "\n".join([content, *rows]) + "\n"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def texts(path, **options):
    return [(example.question, example.answer) for example in read_examples(path, **options)]


def test_texts_are_as_written(table, shared):
    assert [a for _, a in texts(shared / "cases" / "table_words_for_nothing.csv")] == ["None", "N/A", "A room."]
    assert [a for _, a in texts(shared / "cases" / "table_numbers.csv")] == ["3", "12"]


@pytest.mark.parametrize("answer", ["None", "N/A", "nan", "null", "007", "2.50", "True", "1e5", " left ", "-0", "３"])
@pytest.mark.parametrize("header", [HEADER, "url,query,annotation", "path,prompt,caption"])
def test_no_type_is_guessed(table, header, answer):
    path = table(header, f"a.jpg,Q?,{answer}", "b.jpg,Q?,3")
    assert texts(path) == [("Q?", answer), ("Q?", "3")]


def test_other_columns_are_kept_in_any_order(table):
    path = table("family,answer,notes,scene,question,image", "where,left,x,s1,Where?,a.jpg", "what,red,,s2,What?,b.jpg")
    first, second = read_examples(path)
    assert (first.question, first.answer, first.extra) == ("Where?", "left", {"family": "where", "scene": "s1"})
    assert second.image.name == "b.jpg"
    assert read_examples(path).weights("notes", {"x": 2.0}).tolist() == [2, 1]


@pytest.mark.parametrize(
    "header",
    [
        " Image , QUESTION,Answer ",
        "\ufeffimage,question,answer",
        '"image" ,"question","answer"',
        "Image\u00a0,question\u00a0,\u200banswer",
        "ｉｍａｇｅ,question,answer",
        "Image Path,Prompt,Output",
        "'image','question','answer'",
    ],
)
def test_headers_as_people_type_them(table, header):
    assert texts(table(header, "a.jpg,Q?,A")) == [("Q?", "A")]


def test_named_columns_are_compared_in_unicode_form(table):
    path = table("bild,frage,re\u0301ponse", "a.jpg,Q?,A")
    columns = {"image": "Bild", "question": "frage", "answer": "r\u00e9ponse"}
    assert texts(path, columns=columns) == [("Q?", "A")]


@pytest.mark.parametrize("header", [HEADER + ",answer", "image,Image,question,answer,IMAGE,image"])
def test_two_columns_of_one_role_are_refused(table, header):
    with pytest.raises(TableError, match="several columns are named"):
        read_examples(table(header, ",".join("a" for _ in header.split(","))))


def test_two_other_columns_of_one_name_are_not(table):
    assert texts(table(HEADER + ",note,note,,", "a.jpg,Q?,A,x,y,,")) == [("Q?", "A")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image;question;answer", "a.jpg;Which, left or right?;right, or 2,5"),
        ("image\tquestion\tanswer", "a.jpg\tWhich, left or right?\tright, or 2,5"),
        ("image|question|answer", "a.jpg|Which, left or right?|right, or 2,5"),
        ("sep=;\nimage;question;answer", "a.jpg;Which, left or right?;right, or 2,5"),
    ],
)
def test_delimiters_are_found_by_the_header(table, header, row):
    assert texts(table(header, row)) == [("Which, left or right?", "right, or 2,5")]
    assert texts(table(header, row, name="t.tsv")) == [("Which, left or right?", "right, or 2,5")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_of_spreadsheets(table, encoding):
    content = f"{HEADER}\r\na.jpg,Où est 창문?,그곳\r\n"
    assert texts(table(content, encoding=encoding)) == [("Où est 창문?", "그곳")]
    marked = codecs.BOM_UTF16_BE + content.encode("utf-16-be")
    assert texts(table(marked)) == [("Où est 창문?", "그곳")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_blank_lines(table, end):
    lines = ["", HEADER, "", 'a.jpg,Q?,"two\u2028parts"', "   ", "b.jpg,R?,\u0085x", ""]
    assert texts(table(end.join(lines))) == [("Q?", "two\u2028parts"), ("R?", "\u0085x")]


def test_quotes_after_rfc_4180(table):
    rows = ['a.jpg,"Is it ""big"", or not?","Yes,\r\nvery"', 'b.jpg,"12"" wide?",12" pipe', 'c.jpg,"Q?" ,"A"  ']
    assert texts(table(HEADER, *rows)) == [
        ('Is it "big", or not?', "Yes,\r\nvery"),
        ('12" wide?', '12" pipe'),
        ("Q?", "A"),
    ]


def test_shifted_columns_are_refused_with_their_lines(table, shared, tmp_path):
    with pytest.raises(TableError, match=r"2 rows would be misread, the first in line 2.*line 2: .*4 fields.*line 3:"):
        read_examples(shared / "cases" / "table_unquoted_commas_other_header.csv")
    for header in (HEADER, "file_name,prompt,output", "answer,question,image"):
        path = table(header, "a,b,c", "a,b,c, d", "a,b", "", "e,f,g")
        with pytest.raises(TableError, match=r"line 3: unquoted comma: 4 fields.*line 4: 2 fields where 3") as error:
            read_examples(path)
        assert "data check" in str(error.value)
        assert "\n" not in str(error.value)
        kept = read_examples(path, skip_bad=True)
        assert (len(kept), kept.unusable.count) == (2, 2)


@pytest.mark.parametrize("row", ['a.jpg,"A" red door,x', 'a.jpg,"It says "exit"",x', 'a.jpg,Q?,"never closed'])
def test_quotes_that_would_be_misread_are_refused(table, row):
    with pytest.raises(TableError, match="line 3: broken quotes"):
        read_examples(table(HEADER, "z.jpg,Q?,A", row))


def test_an_open_quote_takes_no_other_row(table):
    path = table(HEADER, 'a.jpg,Q?,"open', "b.jpg,R?,yes", 'c.jpg,S?,"no"')
    kept = read_examples(path, skip_bad=True)
    assert [example.answer for example in kept] == ["yes", "no"]
    assert kept.unusable.reasons[0].startswith("line 2: broken quotes")


@pytest.mark.parametrize(
    "content", ["", HEADER, HEADER + "\n", HEADER + "\r\n\r\n  \r\n", "sep=;\nimage;question;answer"]
)
def test_a_table_without_rows_is_one_line(table, content):
    with pytest.raises(TableError, match=r"has no rows|is empty") as error:
        read_examples(table(content))
    assert "\n" not in str(error.value)


def test_the_header_only_case(shared):
    with pytest.raises(TableError, match=r"table_header_only\.csv has no rows"):
        read_examples(shared / "cases" / "table_header_only.csv")


def test_a_header_without_known_columns_lists_its_columns(table):
    with pytest.raises(
        TableError, match=r"has the columns a\.jpg, What is it, A room; expected one of image, panorama"
    ):
        read_examples(table("a.jpg,What is it,A room", "b.jpg,x,y"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,question,answer\na.jpg,caf\xe9,b\n", "line 2: byte 0xe9 is not UTF-8"),
        (codecs.BOM_UTF16_LE + b"i\0m\0a", "is not text in UTF-16"),
        (b"image,question,answer\n\0.jpg,Q?,A\n", "line 2: the name of the image contains a NUL"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is not UTF-8"),
    ],
)
def test_what_is_not_text_is_one_line(table, content, message):
    with pytest.raises(TableError, match=message) as error:
        read_examples(table(content))
    assert "\n" not in str(error.value)


def test_bytes_of_zero_elsewhere_are_text(table):
    assert texts(table(b"image,question,answer\na.jpg,Q\0?,A\n")) == [("Q\0?", "A")]


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=5), delimiter=st.sampled_from(",;\t|"))
def test_every_text_survives(tmp_path, rows, delimiter):
    def quoted(text):
        return '"' + text.replace('"', '""') + '"'

    lines = [delimiter.join(["image", "question", "answer"])]
    lines += [delimiter.join(["a b", quoted(question), quoted(answer)]) for question, answer in rows]
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join(lines).encode())
    assert texts(path) == rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 120), st.binary(max_size=4)), min_size=1, max_size=5))
def test_damaged_bytes_give_rows_or_one_error(tmp_path, rows_or_one_error, changes):
    content = bytearray(
        b'\xef\xbb\xbfimage,question,answer\na.jpg,"Q, ""q""?",A\nb.jpg,R,"x\ny"\nhttps://x.org/c.png,S,t\n'
    )
    for place, new in changes:
        content[place : place + len(new)] = new
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    rows_or_one_error(path)


@pytest.mark.parametrize("rest", ['"' + "\na" * 300_000, "," * 1_000_000, '",' * 300_000, 'a.jpg,"b""\n' * 100_000])
def test_large_broken_rows_end(table, rest):
    with pytest.raises(TableError, match="rows would be misread"):
        read_examples(table(f"{HEADER}\n{rest}\n"))
