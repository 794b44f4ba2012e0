import json

import numpy as np
import pytest
from panollava_hf._errors import EvaluationError, TableError
from panollava_hf.evaluation import read_questions

ASKED = {"image": "panorama.png", "question": "What?", "answer": "A room."}


def test_a_folder_of_panoshapes(shapes, questions):
    assert questions.split == "test"
    assert questions.scenes == shapes / "scenes-test.jsonl"
    assert len({question.key for question in questions}) == 8
    assert questions.rows[0].key == "images/test-000000.png"
    assert {question.family for question in questions} >= {"what", "where", "count", "existence"}
    assert [question.index for question in questions] == list(range(len(questions)))


def test_each_question_has_its_scene_and_program(shapes, questions):
    records = [json.loads(line) for line in (shapes / "test.jsonl").read_text().splitlines()]
    scenes = map(json.loads, (shapes / "scenes-test.jsonl").read_text().splitlines())
    written = {scene["name"]: scene for scene in scenes}
    for record, question in zip(records, questions, strict=True):
        assert question.scene.name == record["scene"]
        assert dict(question.program) == json.loads(record["program"])
        yaws = [item["yaw_deg"] for item in written[record["scene"]]["objects"]]
        assert np.allclose([item.yaw_deg for item in question.scene.objects], yaws)


def test_a_limit_takes_the_first_rows_and_another_fingerprint(shapes, questions):
    first = read_questions(shapes, limit=5)
    assert first.rows == questions.rows[:5]
    assert first.fingerprint != questions.fingerprint


def test_the_fingerprint_does_not_depend_on_the_folder(shapes, questions, monkeypatch):
    monkeypatch.chdir(shapes.parent)
    assert read_questions("data").fingerprint == questions.fingerprint


def test_rows_without_families_are_questions_or_captions(table):
    path = table(ASKED, {**ASKED, "question": "Describe."})
    assert [question.family for question in read_questions(path)] == ["question"] * 2
    found = read_questions(str(path), captions=True)
    assert all(question.is_caption for question in found)
    assert found.split is None
    assert found.scenes is None


def test_rows_with_the_same_question_share_their_answers(table):
    path = table(
        ASKED,
        {**ASKED, "answer": "A hall."},
        {**ASKED, "question": "Where?"},
        {**ASKED, "options": "a room | a hall", "answer": "B"},
        {**ASKED, "answer": "A room."},
    )
    found = [question.references for question in read_questions(path)]
    assert found == [("A room.", "A hall."), ("A hall.", "A room."), ("A room.",), ("B",), ("A room.", "A hall.")]


def test_named_columns(table):
    path = table({"bild": "panorama.png", "frage": "What?", "text": "A room."})
    columns = {"image": "bild", "question": "frage", "answer": "text"}
    (question,) = read_questions(path, columns=columns)
    assert (question.key, question.question, question.answer) == ("panorama.png", "What?", "A room.")


def test_scenes_without_a_file_of_scenes_stay_unread(table):
    (question,) = read_questions(table({**ASKED, "scene": "test-000001", "program": "not JSON"}))
    assert question.scene is None
    assert question.program is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scene": "test-999999"}, r"row 1: the scene 'test-999999' is not in .*scenes-test.jsonl"),
        ({"program": "{"}, r"row 1: program '{' is not valid JSON"),
        ({"program": "[]"}, r"row 1: program '\[\]' is not a JSON object"),
    ],
)
def test_a_row_that_does_not_match_the_scenes(shapes, tmp_path, change, message):
    record = json.loads((shapes / "test.jsonl").read_text().splitlines()[0])
    (tmp_path / "test.jsonl").write_text(json.dumps({**record, **change}) + "\n")
    (tmp_path / "scenes-test.jsonl").write_bytes((shapes / "scenes-test.jsonl").read_bytes())
    with pytest.raises(EvaluationError, match=message):
        read_questions(tmp_path)


def test_unknown_columns_are_named_with_those_expected(table):
    with pytest.raises(TableError, match=r"photo, text.*expected one of image, panorama"):
        read_questions(table({"photo": "a.png", "text": "What?"}))


def test_a_missing_split_is_reported_with_the_existing_ones(shapes):
    with pytest.raises(TableError, match=r"no train\.csv.*test\.jsonl"):
        read_questions(shapes, split="train")
