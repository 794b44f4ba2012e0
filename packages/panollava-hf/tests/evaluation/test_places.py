import dataclasses

from panollava_hf.evaluation.metrics._exact_match import Share
from panollava_hf.evaluation.metrics._places import mixture, places


def scene_with(questions, *positions):
    """A scene of objects at (yaw, pitch), in the order red cube, blue cone, green torus."""
    scene = questions.rows[0].scene
    kinds = [("red", "cube"), ("blue", "cone"), ("green", "torus")]
    objects = tuple(
        dataclasses.replace(scene.objects[0], colour=colour, shape=shape, yaw_deg=yaw, pitch_deg=pitch)
        for (colour, shape), (yaw, pitch) in zip(kinds, positions, strict=False)
    )
    return dataclasses.replace(scene, objects=objects)


def test_exact_match_by_place(questions, make_question, make_questions, predict_all, tmp_path):
    scene = scene_with(questions, (0, 0), (180, 0), (0, 60))
    rows = [
        make_question(i, family="where", scene=scene, program={"family": "where", "colour": colour}, answer=answer)
        for i, (colour, answer) in enumerate(
            [("red", "front"), ("red", "right"), ("blue", "back"), ("green", "above"), ("white", "none")]
        )
    ]
    rows.append(make_question(5))  # without a scene
    table = make_questions(rows, scenes=tmp_path)
    found = places(table, predict_all(rows, lambda question: "front" if question.index < 3 else question.answer))
    one = {"exact_match": 1.0, "count": 1}
    assert found.to_json() == {
        "back seam": {
            "exact_match": 0.0,
            "count": 1,
            "families": {"where": {"exact_match": 0.0, "count": 1}},
            "elsewhere_alike": 0.5,
        },
        "poles": {**one, "families": {"where": one}, "elsewhere_alike": 0.5},
        "elsewhere": {"exact_match": 0.5, "count": 2, "families": {"where": {"exact_match": 0.5, "count": 2}}},
    }
    assert places(make_questions(rows), predict_all(rows, lambda question: "")) is None


def test_places_are_compared_on_the_same_mixture_of_families():
    seam = {"where": Share(0.0, 3), "what": Share(0.0, 1), "relative": Share(0.0, 9)}
    elsewhere = {"where": Share(0.5, 20), "what": Share(1.0, 7)}
    assert mixture(seam, elsewhere) == (3 * 0.5 + 1 * 1.0) / 4
    assert mixture({}, elsewhere) is None
