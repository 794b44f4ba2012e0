import pytest
from panollava_hf._errors import TableError
from panollava_hf.evaluation import read_rows

ASKED = {"image": "panorama.png", "question": "What?", "answer": "A room."}


def test_a_folder_of_panoshapes(shapes, rows):
    assert rows.split == "test"
    assert rows.scenes == shapes / "scenes-test.jsonl"
    assert len({row.key for row in rows.rows}) == 8
    assert rows.rows[0].key == "images/test-000000.png"
    assert {row.family for row in rows.rows} >= {"what", "where", "count", "existence"}
    assert [row.index for row in rows.rows] == list(range(len(rows.rows)))


def test_a_limit_takes_the_first_rows_and_another_fingerprint(shapes, rows):
    first = read_rows(str(shapes), limit=5)
    assert first.rows == rows.rows[:5]
    assert first.fingerprint != rows.fingerprint


def test_the_fingerprint_does_not_depend_on_where_the_data_lies(shapes, rows, monkeypatch):
    monkeypatch.chdir(shapes.parent)
    assert read_rows("data").fingerprint == rows.fingerprint


def test_rows_without_families_are_questions_or_captions(table):
    path = table(ASKED, {**ASKED, "question": "Describe."})
    assert [row.family for row in read_rows(str(path)).rows] == ["question"] * 2
    found = read_rows(str(path), captions=True)
    assert all(row.is_caption for row in found.rows)
    assert found.split is None
    assert found.scenes is None


def test_unknown_columns_are_named_with_those_expected(table):
    with pytest.raises(TableError, match=r"picture, text.*expected one of image, panorama"):
        read_rows(str(table({"picture": "a.png", "text": "What?"})))


def test_a_split_that_is_not_there_is_told_with_those_that_are(shapes):
    with pytest.raises(TableError, match=r"no train\.csv.*test\.jsonl"):
        read_rows(str(shapes), split="train")
