import json

import pytest
from panollava_hf._errors import EvaluationError
from panollava_hf._files import write_whole
from panollava_hf.evaluation._predictions import Predictions, claim

BELONGS = {
    "model": {"name": "m", "fingerprint": "1"},
    "data": {"source": "d", "split": "test", "fingerprint": "2"},
    "settings": {"max_new_tokens": 64, "dtype": "float32"},
}


def entry(row):
    return {"row": row, "prediction": f"answer {row} ü"}


def test_a_line_cut_short_is_dropped_and_the_file_goes_on(tmp_path):
    path = tmp_path / "p.jsonl"
    Predictions(path, 9).append([entry(3), entry(1)])
    with path.open("ab") as stream:
        stream.write(b'{"row": 2, "predic')
    again = Predictions(path, 9)
    assert sorted(again.by_row) == [1, 3]
    again.append([entry(2)])
    again.finish()
    assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [1, 2, 3]


@pytest.mark.parametrize(
    "line", ["no json", '{"row": 9, "prediction": ""}', '{"row": 1}', "[]", '{"row":1,"prediction":2}']
)
def test_other_broken_lines_are_refused(tmp_path, line):
    path = tmp_path / "p.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(EvaluationError, match="line 1 is no prediction"):
        Predictions(path, 9)


def test_a_batch_asked_again_replaces_what_was_there(tmp_path):
    predictions = Predictions(tmp_path / "p.jsonl", 9)
    predictions.append([entry(1)])
    predictions.append([{**entry(1), "prediction": "new"}])
    predictions.finish()
    assert Predictions(predictions.path, 9).by_row[1]["prediction"] == "new"
    assert len(predictions.path.read_text().splitlines()) == 1


def test_a_folder_may_be_claimed_again_by_the_same(tmp_path):
    claim(tmp_path / "out", BELONGS)
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    claim(tmp_path / "out", {**BELONGS, "model": {"name": "the same, called otherwise", "fingerprint": "1"}})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("model", {"name": "n", "fingerprint": "9"}, r"other weights \(m, not n\)"),
        ("model", {"fingerprint": "9"}, r"other weights \(m as it was then; it has changed\)"),
        ("data", {"source": "e", "fingerprint": "9"}, r"other data \(d, not e\)"),
        ("settings", {"max_new_tokens": 5}, r"other settings \(max_new_tokens 64, not 5\)"),
    ],
)
def test_a_folder_of_another_evaluation_is_refused(tmp_path, part, change, told):
    claim(tmp_path / "out", BELONGS)
    with pytest.raises(EvaluationError, match=told):
        claim(tmp_path / "out", {**BELONGS, part: {**BELONGS[part], **change}})


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(EvaluationError, match="holds other things"):
        claim(tmp_path, BELONGS)
    with pytest.raises(EvaluationError, match="is a file"):
        claim(tmp_path / "photo.jpg", BELONGS)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    write_whole(tmp_path / "a", "old")
    with pytest.raises(TypeError):
        write_whole(tmp_path / "a", 5)
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
