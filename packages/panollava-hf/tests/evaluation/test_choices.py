"""Multiple-choice questions: options in tables, expected answers, replies, and the command from end to end."""

import json

import pytest
from panollava_hf._errors import TableError
from panollava_hf.asking import Answerer
from panollava_hf.cli import run
from panollava_hf.data._options import read_options
from panollava_hf.evaluation import Options, evaluate, read_questions
from panollava_hf.evaluation._choices import expected_options, lettered, readings
from panollava_hf.evaluation.metrics._choices import choices, chosen
from stand_in import RING, StandIn, draw

OPTIONS = ("a blue door", "a red door", "a green window", "nothing")


@pytest.mark.parametrize(
    "reply",
    [
        *("B", "b", " B\n", "(b)", "B.", "B)", "[B]", "**B**", "Ｂ", '"B"', "`B`", "Option B", "$\\boxed{B}$"),
        *(
            "\\boxed{\\text{B}}",
            "<answer>B</answer>",
            "B. a red door",
            "B: a red door",
            "B) A red door.",
            "b. a red door",
        ),
        *("(B) a red door", "**B. a red door**", "B - a red door", "B a red door", "B, a red door"),
        *(
            "The answer is B",
            "The answer is (B).",
            "The correct answer is **B. a red door**.",
            "Answer: b)",
            "answer: b",
        ),
        *(
            "The correct option is B: a red door",
            "I would choose option B",
            "The best choice is B",
            "Answer: B\nIt is red.",
        ),
        *("a red door", "A red door.", "The red door", "It is a red door.", "The answer is: a red door"),
        "Behind me there is a red door, not a window.",
        "I see a door on the left. It is red.\n\nB",
        "The sky is blue, so A is wrong.\nThe answer is (B).",
        "It could be A or B, but the final answer is B",
        "So it must be B.",
        "B\n\nBecause the door is red.",
        "The door behind you is red (B).",
        "Answer is B because A is blue",
    ],
)
def test_replies_that_name_an_option(reply):
    assert chosen(reply, OPTIONS) == 1


@pytest.mark.parametrize(
    "reply", ["A", "a)", "The answer is A.", "Answer: A", "A blue door", "The answer is a blue door"]
)
def test_a_letter_that_is_also_an_article(reply):
    assert chosen(reply, OPTIONS) == 0


@pytest.mark.parametrize(
    "reply",
    [
        *("A or B", "(A) or (B)", "A, B", "A / B", "A and B", "Either A or B.", "A. or B.", "The answer is A or B"),
        *("The answer is (A) or (B).", "E", "The answer is E", "Z.", "", " \n", "I cannot tell.", "There is a door."),
        *("a red door or a blue door", "B. a blue door", "I", "**", "42", "( a red", "1 a red", "é", "A\nB\nC\nD"),
    ],
)
def test_replies_that_decide_nothing(reply):
    assert chosen(reply, OPTIONS) is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("""['red', "it's blue"]""", ("red", "it's blue")),
        ("{'A': 'red', 'B': 'blue'}", ("red", "blue")),
        (r"['\\frac{1}{2}', '\d', 3]", (r"\frac{1}{2}", r"\d", "3")),
        ("['A. red', 'B. blue']", ("red", "blue")),
        ("[red] | [blue]", ("[red]", "[blue]")),
        ("[red | __import__('os')", ("[red", "__import__('os')")),
    ],
)
def test_options_as_python_prints_them(cell, expected):
    assert read_options(cell) == expected


def test_a_set_of_options_has_no_order():
    with pytest.raises(TableError, match="must be a list"):
        read_options("{'red', 'blue'}")


def test_the_text_of_an_option_inside_another_one():
    options = ("door", "red door", "12", "2")
    assert chosen("I see a red door", options) == 1
    assert chosen("There is a door", options) == 0
    assert chosen("12", options) == 2
    assert chosen("There are 2 of them", options) == 3


@pytest.mark.parametrize("answer", ["\u212a", "ſ", "ß", "\u0130", "(", "é", "1000000000000", ""])
def test_odd_expected_answers_are_reported(answer):
    (found,) = expected_options([(readings(answer, OPTIONS[:2]), 2)])
    assert isinstance(found, TableError)


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "b.", "B)", "a red door", "A red door.", "B. a red door"])
def test_expected_answers(answer):
    assert expected_options([(readings(answer, OPTIONS), 4)]) == [1]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("1", OPTIONS), ("4", OPTIONS)], [0, 3]),
        ([("0", OPTIONS), ("3", OPTIONS)], [0, 3]),
        ([("0", OPTIONS), ("4", OPTIONS)], [0, None]),
        ([("2", ("2", "3", "4"))], [0]),  # the text of an option
        ([("2", ("2", "3", "4")), ("1", OPTIONS)], [1, 0]),  # another row says that answers are numbers
        ([("A", ("B", "A", "C")), ("D", OPTIONS)], [0, 3]),  # another row says that answers are letters
        ([("A", ("B", "A")), ("D", OPTIONS), ("nothing", OPTIONS)], [None, 3, 3]),
        ([("E", OPTIONS), ("a yellow door", OPTIONS)], [None, None]),
    ],
)
def test_a_table_decides_what_its_answers_are(rows, expected):
    found = expected_options([(readings(answer, options), len(options)) for answer, options in rows])
    assert [None if isinstance(option, TableError) else option for option in found] == expected


@pytest.mark.parametrize(
    "options",
    [
        list(OPTIONS),
        json.dumps(OPTIONS),
        dict(zip("ABCD", OPTIONS, strict=True)),
        dict(zip("dcba", reversed(OPTIONS), strict=True)),
        json.dumps(dict(zip(("(A)", "(B)", "(C)", "(D)"), OPTIONS, strict=True))),
        "A. a blue door\nB. a red door\nC. a green window\nD. nothing",
        "(A) a blue door (B) a red door (C) a green window (D) nothing",
        " | ".join(OPTIONS),
        "\n".join(OPTIONS),
        [f"{letter}. {text}" for letter, text in zip("ABCD", OPTIONS, strict=True)],
    ],
)
def test_forms_of_options(table, options):
    (question,) = read_questions(table(row(options=options, answer="(b)")))
    assert (question.options, question.answer) == (OPTIONS, "B")
    assert question.prompt == lettered("What?", OPTIONS)


@pytest.mark.parametrize(
    "names", [("option_a", "option_b", "option_c"), ("A", "B", "C"), ("Option 1", "Option 2", "option3")]
)
def test_columns_of_options(tmp_path, panorama_file, names):
    path = tmp_path / "t.csv"
    path.write_text(f"image,question,answer,{','.join(names)}\npanorama.png,What?,B,red,blue,\n")
    if names[-1] == "option3":  # not the third of this spelling
        names = names[:2]
    (question,) = read_questions(path)
    assert (question.options, question.answer) == (("red", "blue"), "B")


def test_options_of_a_parquet_file(tmp_path, panorama_file):
    datasets = pytest.importorskip("datasets")
    rows = {"image": ["panorama.png"], "question": ["What?"], "answer": ["1"], "choices": [["it's red", "blue"]]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "t.parquet")
    (question,) = read_questions(tmp_path / "t.parquet")
    assert (question.options, question.answer) == (("it's red", "blue"), "A")


def test_options_in_the_question(table):
    asked = row(question="What is it? A. a door B. a window", answer="B")
    free = row(question="Is it plan A. or B.?", answer="plan B")
    first, second = read_questions(table(asked, free))
    assert (first.question, first.options, first.answer) == ("What is it?", ("a door", "a window"), "B")
    assert (second.question, second.options) == (free["question"], ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": [str(n) for n in range(27)]}, "27 options; expected 2 to 26"),
        ({"options": ["red", "blue", "Red"]}, "the options A and C have the same text 'Red'"),
        ({"options": ["red", " "]}, "option B is blank"),
        ({"options": ["red"]}, "1 options; expected 2 to 26"),
        ({"options": "red"}, "the options 'red' cannot be divided; expected a list in JSON"),
        ({"options": {"A": "red", "C": "blue"}}, "the options have the keys A, C; expected A, B, C"),
        ({"options": [["red"], ["blue"]]}, "the options must be a list of texts"),
        ({"options": ["red", "blue"], "answer": "C"}, "the answer is none of the 2 options.*got 'C'"),
    ],
)
def test_rows_that_cannot_be_used(table, change, message):
    good = row(options=["red", "blue"], answer="A")
    path = table(good, {**good, **change})
    with pytest.raises(TableError, match=f"table.jsonl, row 2: .*{message}") as caught:
        read_questions(path)
    assert "\n" not in str(caught.value)
    found = read_questions(path, skip_bad=True)
    assert (len(found), found.unusable.count) == (1, 1)


def test_chance_and_replies_that_name_no_option(make_question, make_questions, predict_all):
    rows = [make_question(0, options=("x", "y"), answer="A", family="two")]
    rows += [make_question(n, options=("x", "y", "z", "w"), answer="BBC"[n - 1], family="four") for n in (1, 2, 3)]
    rows += [make_question(4, answer="x")]
    found = choices(
        make_questions(rows), predict_all(rows, lambda question: {0: "A", 3: "A or C"}.get(question.index, "B"))
    )
    assert found.accuracy == 3 / 4
    assert found.chance == (1 / 2 + 3 / 4) / 4
    assert (found.unparsed, found.count) == (1, 4)
    assert (found.families["two"].accuracy, found.families["two"].always_same) == (1, 1)
    assert (found.families["four"].accuracy, found.families["four"].always_same) == (2 / 3, 2 / 3)
    assert choices(make_questions(rows[4:]), predict_all(rows[4:], lambda question: "x")) is None


def row(**change):
    return {"image": "panorama.png", "question": "What?", "answer": "A", **change}


def test_a_table_from_end_to_end(tmp_path, monkeypatch, capsys):
    """A looking model is right also when it explains itself, and falls to chance with other images."""
    names = ("front", "right", "back", "left")
    lines = []
    for place, name in enumerate(names):
        draw(RING.index(name) * 45 + 2).save(tmp_path / f"{name}.png")
        options = names[place:] + names[:place]  # the right one is always A; other letters are other directions
        turned = options[1:] + options[:1] if place % 2 else options
        lines.append(
            {"image": f"{name}.png", "question": "Where is it?", "answer": name, "options": turned, "family": "side"}
        )
        lines.append({"image": f"{name}.png", "question": "Where is it?", "answer": name, "family": "free"})
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def answer(question, direction):
        for line in question.splitlines():
            if line[1:3] == ". " and line[3:] == direction:
                return f"The patch is {direction}, so A or B cannot both be right.\nThe answer is **{line[0]}**."
        return direction

    chat = StandIn(answer=answer)
    monkeypatch.setattr(Answerer, "load", lambda *args, **options: Answerer(chat, view_size=96))
    arguments = ["--data", tmp_path / "table.jsonl", "--output", tmp_path / "out", "--shuffle-images"]
    arguments += ["--base-url", "http://127.0.0.1:9/v1", "--model", "stand-in"]
    assert run(["eval", *map(str, arguments)]) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (found["exact_match"], found["count"]) == (1.0, 4)
    assert {key: found["choices"][key] for key in ("accuracy", "chance", "always_same", "unparsed", "count")} == {
        "accuracy": 1.0,
        "chance": 0.25,
        "always_same": 0.5,
        "unparsed": 0,
        "count": 4,
    }
    assert found["choices"]["families"]["side"]["accuracy"] == 1.0
    assert found["shuffled_images"]["exact_match"] == found["shuffled_images"]["choices"]["accuracy"] == 0
    out = capsys.readouterr().out
    assert "## Multiple choice\n" in out
    assert "| side | 4 | 100.0 | 25.0 | 50.0 | 0 |" in out
    predictions = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert [line.get("choice") for line in predictions] == ["A", None, "D", None, "A", None, "D", None]
    assert all(line["correct"] for line in predictions)
    assert predictions[0]["options"] == list(names)
    assert "options" not in predictions[1]
    assert any(
        question.endswith("D. left\nAnswer with the letter of the correct option only.") for question in chat.asked
    )


def test_a_table_without_options_keeps_its_fingerprint_and_layout(table, answerer, tmp_path):
    path = table(row(answer="A room."))
    first = read_questions(path).fingerprint
    assert first == read_questions(table({**row(answer="A room."), "options": None})).fingerprint
    assert (
        "choices" not in evaluate(answerer, read_questions(path), tmp_path / "o", Options(max_new_tokens=1)).to_json()
    )
