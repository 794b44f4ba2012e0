"""`panollava demo --samples FOLDER`: panoramas of one's own."""

import json

import numpy as np
import pytest
from panollava_hf._errors import UsageError
from panollava_hf.demo._sample_folder import read_folder
from panollava_hf.demo._samples import read_sample
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    for name, value in (("old-town.jpg", 40), ("B_2.png", 200)):
        Image.new("RGB", (64, 32), (value, value, value)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def listing(folder, entries):
    (folder / "samples.json").write_text(json.dumps(entries))


def test_all_images_of_a_folder_are_samples(folder):
    samples = read_folder(folder)
    assert list(samples) == ["B 2", "old town"]
    assert all(sample.questions == () for sample in samples.values())
    shown = read_sample("old town", samples)
    assert shown.image.shape == (3, 32, 64)
    assert abs(float(shown.image.float().mean()) - 40) < 2
    assert shown.token != read_sample("old town", samples).token


def test_a_list_gives_titles_questions_and_the_order(folder):
    entries = [{"file": "old-town.jpg", "title": "Square", "questions": ["Where is the door?"]}, {"file": "B_2.png"}]
    listing(folder, entries)
    samples = read_folder(folder)
    assert list(samples) == ["Square", "B_2.png"]
    assert samples["Square"].questions == ("Where is the door?",)
    assert np.allclose(read_sample("B_2.png", samples).image.float().mean(), 200, atol=2)


def test_the_samples_of_a_space_are_those_of_the_page(tmp_path):
    from panollava_hf.cli import run
    from panollava_hf.demo._samples import SAMPLES

    assert run(["space", str(tmp_path / "space")]) == 0
    found = read_folder(tmp_path / "space" / "samples")
    assert {title: sample.questions for title, sample in found.items()} == {
        title: sample.questions for title, sample in SAMPLES.items()
    }
    for title in SAMPLES:
        ours, theirs = (read_sample(title, samples).image.float() for samples in (SAMPLES, found))
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().mean()) < 2


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"file": "old-town.jpg"}, 'expected a list of {"file"'),
        (["old-town.jpg"], "entry 1: expected a list of"),
        ([{}], "entry 1: file must be a text of 1 to 255 characters, got None"),
        ([{"file": "../key.jpg"}], "entry 1: there is no file '../key.jpg' in this folder"),
        ([{"file": "missing.jpg"}], "there is no file 'missing.jpg'"),
        ([{"file": "old-town.jpg", "title": 3}], "title must be a text of 1 to 80 characters, got 3"),
        ([{"file": "old-town.jpg", "title": "x" * 10_000}], "title must be a text of 1 to 80 characters"),
        ([{"file": "old-town.jpg", "questions": "What?"}], "questions must be a list of texts"),
        ([{"file": "old-town.jpg", "questions": [None]}], "a question must be a text"),
        ([{"file": "old-town.jpg"}, {"file": "old-town.jpg"}], "two samples with one title"),
        ([], "has no images"),
    ],
)
def test_a_wrong_list_is_one_line(folder, entries, message):
    listing(folder, entries)
    with pytest.raises(UsageError) as error:
        read_folder(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 700


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no such folder"):
        read_folder(tmp_path / "missing")
    with pytest.raises(UsageError, match="has no images"):
        read_folder(tmp_path)
    (tmp_path / "samples.json").write_text("[")
    with pytest.raises(UsageError, match="not valid JSON"):
        read_folder(tmp_path)
    for number in range(101):
        (tmp_path / f"{number}.jpg").touch()
    (tmp_path / "samples.json").unlink()
    with pytest.raises(UsageError, match="more than 100 samples"):
        read_folder(tmp_path)


def test_the_command_refuses_a_missing_folder_before_a_model_is_loaded(tmp_path, capsys):
    from panollava_hf.cli import run

    pytest.importorskip("gradio")
    assert run(["demo", "--model", "embedded", "--samples", str(tmp_path / "missing")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
