"""A family of questions from outside of the package: one `Family`, one line to register it."""

import dataclasses
import json
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes import COLOURS, Place, Question, answer, questions, rotate_question, write_panoshapes
from panollava_hf.panoshapes._questions import wordings
from panollava_hf.panoshapes.families import (
    Family,
    family_named,
    family_names,
    register_family,
    unregister_family,
)

BUILT_IN = ("what", "where", "count", "attribute", "existence", "relative", "distance", "caption")


def propose(scene, rng, limit):
    colours = [item.colour for item in scene.objects]
    return [{"family": "clockwise", "colour": colour} for colour in rng.permutation(sorted(set(colours))).tolist()]


def next_clockwise(scene, program):
    """The object that follows the only object of a colour."""
    start = scene.only(program["colour"])
    others = [item for item in scene.objects if item is not start and item.horizontal]
    if start is None or not start.horizontal or not others:
        return None
    return min(others, key=lambda item: (item.yaw_deg - start.yaw_deg) % 360).name


CLOCKWISE = Family(
    name="clockwise",
    arguments={"colour": COLOURS},
    propose=propose,
    answer=next_clockwise,
    wordings=lambda program: (f"What comes after the {program['colour']} object, clockwise?",),
    asked_about=lambda program, answer: [{"colour": program["colour"]}],
    reference=lambda scene, program: scene.matching(program["colour"])[0],
)


@pytest.fixture
def clockwise():
    register_family(CLOCKWISE)
    yield
    unregister_family("clockwise")


def test_a_family_from_outside_is_asked_and_answered(scenes, clockwise):
    assert family_names() == (*BUILT_IN, "clockwise")
    asked = [(scene, q) for scene in scenes[:60] for q in questions(scene, np.random.default_rng(0))]
    ours = [(scene, q) for scene, q in asked if q.family == "clockwise"]
    assert len(ours) > 40
    for scene, question in ours:
        assert question.answer == answer(scene, question.program) == next_clockwise(scene, question.program)
        assert question.question in wordings(question.program)
        assert Place.of(question, scene) is not None
        assert Question.parse(question.question, question.answer, json.dumps(question.program)) == question
    # A rotation does not change the order around the camera.
    assert all(rotate_question(question, scene, 77.0) == question for scene, question in ours)


def test_it_leaves_the_questions_of_other_families_unchanged(scenes):
    before = [questions(scene, np.random.default_rng(1)) for scene in scenes[:30]]
    register_family(CLOCKWISE)
    try:
        after = [questions(scene, np.random.default_rng(1)) for scene in scenes[:30]]
    finally:
        unregister_family("clockwise")
    assert [[q for q in found if q.family != "clockwise"] for found in after] == before
    assert after != before
    assert [questions(scene, np.random.default_rng(1)) for scene in scenes[:30]] == before


def test_it_is_written_with_its_columns(tmp_path, clockwise):
    write_panoshapes(tmp_path / "out", "test", 12, width=64, workers=1)
    rows = [json.loads(line) for line in (tmp_path / "out" / "test.jsonl").read_text().splitlines()]
    ours = [row for row in rows if row["family"] == "clockwise"]
    assert ours
    assert all(row["difficulty"] == 2 + row["objects"] for row in ours)
    assert max(row["aside"] for row in ours) > 90


def test_its_programs_are_checked(scenes, clockwise):
    with pytest.raises(PanoShapesError, match="unknown colour 'pink'"):
        answer(scenes[0], {"family": "clockwise", "colour": "pink"})


def test_unregistered_it_is_unknown(scenes):
    assert family_names() == BUILT_IN
    with pytest.raises(PanoShapesError, match="unknown family 'clockwise'"):
        answer(scenes[0], {"family": "clockwise", "colour": "red"})


def test_names_are_taken_once(clockwise):
    for family in (CLOCKWISE, dataclasses.replace(CLOCKWISE, name="what")):
        with pytest.raises(PanoShapesError, match=f"family '{family.name}' is already registered"):
            register_family(family)
    for name in ("what", "why"):
        with pytest.raises(PanoShapesError, match=f"cannot remove family '{name}'; .* removed: clockwise"):
            unregister_family(name)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_families_have_the_name_of_their_file(name):
    assert family_named(name).name == name


def test_worker_processes_need_functions_that_they_can_import(tmp_path, clockwise):
    with pytest.raises(PanoShapesError, match=r"cannot be sent to worker processes \(.*workers=1"):
        write_panoshapes(tmp_path / "out", "test", 20, width=64, workers=2)
    assert list(tmp_path.iterdir()) == []


def test_worker_processes_that_end_unexpectedly(tmp_path, monkeypatch):
    """Functions of a module that exists in this process only cannot be loaded in a worker process."""
    module = types.ModuleType("only_here")
    exec("def propose(scene, rng, limit):\n    yield {'family': 'stray'}", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    register_family(Family("stray", {}, module.propose, module.propose, module.propose))
    try:
        with pytest.raises(PanoShapesError, match="a worker process ended unexpectedly; if you registered families"):
            write_panoshapes(tmp_path / "out", "test", 20, width=64, workers=2)
    finally:
        unregister_family("stray")
    assert list(tmp_path.iterdir()) == []


def test_worker_processes_ask_it_too(tmp_path):
    (tmp_path / "first.py").write_text(
        textwrap.dedent(
            """
            from panollava_hf.panoshapes import write_panoshapes
            from panollava_hf.panoshapes.families import Family, register_family

            def propose(scene, rng, limit):
                return [{"family": "first"}]

            def answer(scene, program):
                return scene.objects[0].name

            def wordings(program):
                return ("Which object is the first?",)

            FIRST = Family(name="first", arguments={}, propose=propose, answer=answer, wordings=wordings)

            if __name__ == "__main__":
                register_family(FIRST)
                for workers in (1, 2):
                    write_panoshapes(f"out{workers}", "test", 17, width=64, workers=workers)
            """
        )
    )
    subprocess.run([sys.executable, "first.py"], cwd=tmp_path, check=True)
    one, two = ((tmp_path / f"out{workers}" / "test.jsonl").read_text() for workers in (1, 2))
    assert one == two
    assert one.count('"family": "first"') == 17
