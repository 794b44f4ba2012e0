import json

import pytest
from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation._predictions import BATCHES_PER_CHUNK, PredictionFile, _batches, chunks, predicted


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
