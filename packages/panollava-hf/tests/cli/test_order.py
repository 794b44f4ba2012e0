"""Arguments in the wrong order: one line names the one that is a file, and the right order."""

import pytest
from panollava_hf.cli import run

QUESTION = "What is behind me?"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported").mkdir()
    for name in ("photo.jpg", "vectors.parquet"):
        (tmp_path / name).touch()


SWAPPED = {
    "ask": (
        [QUESTION, "photo.jpg"],
        f"'photo.jpg' is a file and '{QUESTION}' is not: the panorama comes first, as in panollava ask PANORAMA "
        "QUESTION",
    ),
    "ask, last": ([QUESTION, "Is it day?", "photo.jpg"], "'photo.jpg' is a file"),
    "ask, an address": (
        [QUESTION, "https://host.org/photo.jpg?key=secret"],
        f"'https://host.org/photo.jpg' is an address and '{QUESTION}' is not",
    ),
    "locate": (["the red door", "photo.jpg"], 'as in panollava locate PANORAMA "WHAT"'),
    "search": (
        ["photo.jpg", "vectors.parquet"],
        "'vectors.parquet' is a table of vectors and 'photo.jpg' is not: the vectors come first, as in panollava "
        "search VECTORS QUERY",
    ),
    "push": (
        ["owner/name", "exported"],
        "'exported' is a folder and 'owner/name' is not: the folder comes first, as in panollava push FOLDER "
        "OWNER/NAME",
    ),
}


@pytest.mark.parametrize("case", SWAPPED)
def test_one_line_names_the_right_order(case, capsys):
    arguments, message = SWAPPED[case]
    assert run([case.partition(",")[0], *arguments]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert message in line
    assert "secret" not in line


@pytest.mark.parametrize(
    "question", [QUESTION, "missing.jpg", "exported", "Is it https://host.org/a.jpg ?", "a\0b", "x" * 9999]
)
def test_a_missing_panorama_is_still_that(question, capsys):
    assert run(["ask", "photos.jpg", question]) == 2
    assert capsys.readouterr().err == "panollava: photos.jpg: no such file\n"
