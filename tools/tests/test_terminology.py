"""Words that readers stumbled over are found wherever they come back."""

import pytest

from tools import terminology
from tools.terminology import findings, main, tracked


def words(name, text):
    return [word for _, word, _ in findings(name, text)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Save the picture.", "picture"),
        ("All Pictures are read.", "Pictures"),
        ("this is no image", "is no image"),
        ("these are no columns", "are no columns"),
        ("what the model is told", "is told"),
        ("the weights it learnt", "learnt"),
        ("a data set", "data set"),
        ("the fate of a key", "fate"),
        ("a user's mistake", "mistake"),
        ("it knows nothing else", "knows nothing"),
        ("prompts that tear apart panoramas", "tear apart"),
        ("mend or remove it", "mend"),
        ("pass over bad rows", "pass over"),
        ("a loss that shall be seen", "shall"),
        ("lest a row be empty", "lest"),
        ("beside the base", "beside"),
    ],
)
def test_every_word_of_the_list_is_found_in_prose_and_code(text, word):
    assert words("page.md", text) == [word]
    assert words("module.py", f'"""{text}"""\n') == [word]
    assert words("module.py", f"x = 1  # {text}\n") == [word]


@pytest.mark.parametrize("name", ["told", "favour", "easy_first", "by_energy", "every_k", "looks", "why"])
def test_old_identifiers_are_found_in_code_only(name):
    assert name in words("module.py", f"{name} = 1\n")
    assert name not in words("module.py", f"the_{name} = 1\n")
    assert name not in words("page.md", f"{name}.\n")


@pytest.mark.parametrize(
    "text",
    [
        "There is no file.",
        "there are no rows",
        "It is no longer read.",
        "is no faster",
        "an image",
        "the dataset",
        "untold",
    ],
)
def test_plain_sentences_pass(text):
    assert words("page.md", text) == []


def test_underscores_do_not_hide_a_word():
    assert words("module.py", "def _picture(): ...\n") == ["picture"]


def test_a_file_may_be_allowed_a_word(monkeypatch):
    monkeypatch.setitem(terminology.ALLOWED, "old.md", {"mistakes"})
    assert words("old.md", "`run_app(mistakes=)`") == []
    assert words("old.md", "a picture of mistakes") == ["picture"]


def test_findings_are_printed_and_end_with_code_1(tmp_path, capsys, monkeypatch):
    (tmp_path / "page.md").write_text("fine\nA picture.\n")
    monkeypatch.setattr(terminology, "ROOT", tmp_path)
    assert main(["page.md"]) == 1
    assert capsys.readouterr().out == "page.md:2: 'picture': write image (a plot is a figure)\n"
    (tmp_path / "page.md").write_text("fine\n")
    assert main(["page.md"]) == 0


def test_the_repository_is_clean():
    assert len(tracked()) > 200
    assert main([]) == 0
