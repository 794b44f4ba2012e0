import json
import sys
from pathlib import Path

import pytest

# `import stand_in` in the tests of this folder: pytest's import mode does not find modules next to a test.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Eight small scenes of PanoShapes, as PNG so that rotating an image can be exact."""
    from panollava_hf.panoshapes import write_panoshapes

    folder = tmp_path_factory.mktemp("shapes") / "data"
    write_panoshapes(folder, "test", 8, width=256, image_format="png", workers=1)
    return folder


@pytest.fixture(scope="session")
def questions(shapes):
    from panollava_hf.evaluation import read_questions

    return read_questions(shapes)


@pytest.fixture(scope="session")
def answerer():
    from panollava_hf import Answerer

    return Answerer.load("embedded")


@pytest.fixture(scope="session")
def make_question():
    from panollava_hf.evaluation import Question

    def make(index=0, *, key="a", question="What?", answer="x", family="what", **fields):
        return Question(index, f"row {index}", key, key, question, answer, family, **fields)

    return make


@pytest.fixture(scope="session")
def make_questions():
    from panollava_hf.evaluation import Questions

    return lambda rows, **fields: Questions("table.jsonl", None, tuple(rows), "0", **fields)


@pytest.fixture(scope="session")
def predict_all():
    """Predictions for questions, each answered by a function of the question."""
    from panollava_hf.evaluation._predictions import predicted
    from panollava_hf.evaluation._questions import Predictions

    def predict(rows, answer, **probes):
        return Predictions(
            tuple(predicted(question, answer(question)) for question in rows),
            {name: tuple(predicted(q, give(q)) for q in asked) for name, (asked, give) in probes.items()},
        )

    return predict


@pytest.fixture
def table(tmp_path, panorama_file):
    """Writes a JSONL table next to a panorama, and returns its path."""

    def write(*records):
        path = tmp_path / "table.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write
