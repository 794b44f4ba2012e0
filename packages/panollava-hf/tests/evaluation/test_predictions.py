import json
import os

import pytest
from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation._predictions import BATCHES_PER_CHUNK, PredictionFile, _batches, chunks, predicted
from panollava_hf.evaluation._questions import Predictions
from panollava_hf.evaluation.metrics._free_answers import free_answers
from panollava_hf.evaluation.metrics._rotation import ROTATED, consistency


@pytest.fixture
def asked(make_question):
    return [make_question(index, answer=f"answer {index} ü") for index in range(9)]


def entry(question, text=None):
    return predicted(question, f"answer {question.index} ü" if text is None else text)


def test_an_incomplete_last_line_is_removed_and_the_file_goes_on(tmp_path, asked):
    path = tmp_path / "p.jsonl"
    PredictionFile(path, asked).append([entry(asked[3]), entry(asked[1])])
    with path.open("ab") as stream:
        stream.write(b'{"row": 2, "predic')
    again = PredictionFile(path, asked)
    assert sorted(again.by_index) == [1, 3]
    again.append([entry(asked[2], "other")])
    found = again.finish()
    assert [prediction.question for prediction in found] == asked[1:4]
    assert [prediction.correct for prediction in found] == [True, False, True]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["row"] for line in lines] == [1, 2, 3]
    assert lines[1] == {
        "row": 2,
        "image": "a",
        "family": "what",
        "question": "What?",
        "answer": "answer 2 ü",
        "prediction": "other",
        "correct": False,
    }


@pytest.mark.parametrize(
    "line", ["no json", '{"row": 9, "prediction": ""}', '{"row": 1}', "[]", '{"row":1,"prediction":2}', "3"]
)
def test_other_damaged_lines_are_refused(tmp_path, asked, line):
    path = tmp_path / "p.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(EvaluationError, match="line 1 is not a prediction"):
        PredictionFile(path, asked)


def test_a_second_prediction_replaces_the_first(tmp_path, asked):
    file = PredictionFile(tmp_path / "p.jsonl", asked)
    file.append([entry(asked[1])])
    file.append([entry(asked[1], "new")])
    file.finish()
    assert PredictionFile(file.path, asked).by_index[1].text == "new"
    assert len(file.path.read_text().splitlines()) == 1


def test_a_guess_is_not_a_prediction(tmp_path, make_question, make_questions):
    """Neither right, nor near the answer, nor consistent with another guess."""
    asked = [make_question(answer="front"), make_question(1, answer="A", options=("front", "back"))]
    file = PredictionFile(tmp_path / "p.jsonl", asked)
    file.append([predicted(asked[0], "front", "a reason"), predicted(asked[1], "A", "a reason")])
    found = file.finish()
    assert PredictionFile(file.path, asked).finish() == found
    assert [(one.text, one.correct, one.unknown) for one in found] == [("", False, "a reason")] * 2
    lines = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert [line["prediction"] for line in lines] == [None, None]
    assert lines[1]["choice"] is None
    scores = free_answers(make_questions(asked), found)
    assert (scores.token_f1, scores.rouge_l, scores.contains, scores.count) == (0, 0, 0, 1)
    both = Predictions(found[:1], {ROTATED: found[:1]})
    assert consistency(make_questions(asked), both, yaw_deg="90", unanswerable=0).consistency == 0


def test_captions_are_neither_right_nor_wrong(make_question):
    assert predicted(make_question(family="caption", answer="x"), "x").correct is None


def test_a_chunk_holds_whole_panoramas_and_captions_have_their_own_batches(make_question):
    families = ["where", "caption", "count"]
    asked = [make_question(i, key=str(i % 7), family=families[i % 3], question="?" * (i % 5)) for i in range(50)]
    found = list(chunks(asked, 4))
    assert sorted(q.index for chunk in found for group in chunk for q in group) == list(range(50))
    assert len({group[0].key for chunk in found for group in chunk}) == sum(map(len, found)) == 7
    assert all(sum(map(len, chunk)) >= 4 * BATCHES_PER_CHUNK for chunk in found[:-1])
    for chunk in found:
        batches = list(_batches(chunk, 4))
        assert all(0 < len(batch) <= 4 for batch in batches)
        assert all(len({question.is_caption for _, question in batch}) == 1 for batch in batches)
        assert all(chunk[place][0].key == question.key for batch in batches for place, question in batch)
        assert sum(map(len, batches)) == sum(map(len, chunk))


#: What `str.splitlines` takes for the end of a line, and JSON does not.
SEPARATORS = "\u2028 \u2029 \x85 \x0b \x0c \x1c \x1d \x1e \r end"


@pytest.mark.parametrize("text", [SEPARATORS, "\u2028", "a\r\nb", '"\\n" \\', "half \ud83d a pair", ""])
def test_every_text_is_read_back_as_it_was_written(tmp_path, make_question, text):
    asked = [make_question(index, key=text, question=text, answer=text) for index in range(3)]
    file = PredictionFile(tmp_path / "p.jsonl", asked)
    file.append([predicted(question, text) for question in asked])
    again = PredictionFile(file.path, asked)
    assert again.by_index == file.by_index
    assert again.finish() == tuple(file.by_index.values())
    assert PredictionFile(file.path, asked).by_index == file.by_index
    assert len(file.path.read_bytes().split(b"\n")) == 4


def test_whether_a_prediction_is_correct_is_computed(tmp_path, asked):
    path = tmp_path / "p.jsonl"
    lines = [{"row": i, "prediction": "nonsense", "correct": True} for i in range(4)]
    lines[3] |= {"prediction": "Answer 3 ü.", "correct": False}
    lines[2].pop("correct")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = PredictionFile(path, asked).finish()
    assert [prediction.correct for prediction in found] == [False, False, False, True]
    written = [json.loads(line)["correct"] for line in path.read_text().splitlines()]
    assert written == [False, False, False, True]


@pytest.mark.parametrize(
    "line",
    [
        b'{"row": true, "prediction": "x"}',
        b'{"row": 1.0, "prediction": "x"}',
        b'{"row": [1], "prediction": "x"}',
        b'{"row": 1, "prediction": null}',
        b'{"row": 1, "prediction": "x", "question": "Another?"}',
        b'{"row": 1, "prediction": "\xff"}',
        b"[" * 100_000,
        b'{"row": ' + b"9" * 10_000 + b"}",
        b"",
        b"\0" * 100,
        b"null",
    ],
)
def test_lines_of_others_are_one_line_that_says_what_to_do(tmp_path, asked, line):
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"row": 1, "prediction": "x"}\n' + line + b"\n")
    message = "line 2 is not a prediction of this evaluation.*; delete the file to start again"
    with pytest.raises(EvaluationError, match=message) as caught:
        PredictionFile(path, asked)
    assert len(str(caught.value)) < 400 + len(str(path))


@pytest.mark.parametrize("end", [b'{"row": 2, "predi', b"\0" * 4096, b'{"row": 2, "prediction": "x"}'])
def test_what_a_kill_or_a_power_cut_left_is_dropped(tmp_path, asked, end):
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"row": 1, "prediction": "x"}\n' + end)
    assert list(PredictionFile(path, asked).by_index) == [1]
    assert path.read_bytes() == b'{"row": 1, "prediction": "x"}\n'


def test_a_folder_or_pipe_in_place_of_the_file(tmp_path, asked):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(EvaluationError, match="is not a file; expected predictions"):
            PredictionFile(path, asked)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line(tmp_path, asked, monkeypatch):
    file = PredictionFile(tmp_path / "p.jsonl", asked)
    monkeypatch.setattr(type(file.path), "open", lambda self, mode: open("/dev/full", mode))
    message = r"cannot be written \(No space left on device\); make room .*the predictions in it are kept"
    with pytest.raises(EvaluationError, match=message):
        file.append([entry(asked[1])])
    assert file.by_index == {}
