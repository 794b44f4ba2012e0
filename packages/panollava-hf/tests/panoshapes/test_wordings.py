"""Questions in many wordings: they ask what their program says, and are as different as people are."""

import json
from collections import Counter

import numpy as np
import pytest
from panollava_hf.data._examples import read_examples
from panollava_hf.panoshapes import COLOURS, DIRECTIONS, SHAPES, answer, sample_scene, scene_rotation, write_panoshapes
from panollava_hf.panoshapes._dataset import read_scenes
from panollava_hf.panoshapes._questions import wordings
from panollava_hf.panoshapes.families import Family, register_family, unregister_family
from panollava_hf.panoshapes.wordings import _english_names as english
from panollava_hf.panoshapes.wordings import _english_places, _korean_places, word_question
from panollava_hf.panoshapes.wordings import _korean_names as korean
from panollava_hf.panoshapes.wordings._draw import KOREAN_SHARE, LANGUAGES, PLAIN_SHARE, draw_question
from panollava_hf.panoshapes.wordings._noise import with_typing_error
from panollava_hf.panoshapes.wordings._particles import with_particles
from panollava_hf.panoshapes.wordings._patterns import draw_text, parse_pattern
from panollava_hf.panoshapes.wordings._vocabulary import vocabulary

BEHIND = {"family": "what", "direction": "back"}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder of scenes with up to eight objects and questions in many wordings."""
    return write_panoshapes(
        tmp_path_factory.mktemp("many") / "data", "train", 24, width=64, workers=1, wordings="many", max_objects=8
    )


def rows_of(folder):
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def alternatives(pattern):
    """All texts of a pattern without slots."""
    texts = [""]
    for part in parse_pattern(pattern):
        options = [part] if isinstance(part, str) else [text for one in part.options for text in _texts(one)]
        texts = [text + option for text in texts for option in options]
    return texts


def _texts(parts):
    texts = [""]
    for part in parts:
        options = [part] if isinstance(part, str) else [text for one in part.options for text in _texts(one)]
        texts = [text + option for text in texts for option in options]
    return texts


TABLES = [_english_places.PLACES, english.COLOUR_NAMES, english.SHAPE_NAMES]
KOREAN_TABLES = [
    _korean_places.PLACES,
    korean.COLOUR_NAMES,
    korean.SHAPE_NAMES,
    korean.COLOUR_NOUNS,
    korean.SHAPE_LOOKS,
]


@pytest.mark.parametrize("table", TABLES + KOREAN_TABLES)
def test_no_phrase_means_two_things(table):
    assert set(table) in (set(DIRECTIONS), set(COLOURS), set(SHAPES))
    phrases = [
        {" ".join(text.split()) for pattern in patterns for text in alternatives(pattern)}
        for patterns in table.values()
    ]
    assert sum(map(len, phrases)) == len(set.union(*phrases))


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_many_wordings_of_every_question(asked, language):
    rng = np.random.default_rng(0)
    programs = {json.dumps(question.program) for _, question in asked[:400]}
    for text in sorted(programs)[::12]:
        program = json.loads(text)
        drawn = {word_question(program, rng, language, noise=False) for _ in range(60)}
        assert len(drawn) > 35, program
        assert not drawn & set(wordings(program)) or len(drawn - set(wordings(program))) > 35


def test_objects_are_named_shortly_only_where_it_is_clear(scenes):
    rng, short = np.random.default_rng(0), 0
    for scene in scenes[:40]:
        item = scene.objects[0]
        program = {"family": "where", "colour": item.colour, "shape": item.shape}
        hues = {name.replace("_", " ").lower() for name in english.COLOUR_NAMES[item.colour]}
        for _ in range(20):
            text = word_question(program, rng, scene=scene, noise=False).lower()
            without_colour = not any(hue in text for hue in hues)
            short += without_colour
            assert not without_colour or scene.only(shape=item.shape) is not None, text
    assert short > 10


def test_the_same_generator_gives_the_same_question():
    first, second = ([word_question(BEHIND, np.random.default_rng(seed), "ko") for seed in range(20)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 10


def test_plain_and_korean_wordings_are_drawn_in_their_shares():
    rng = np.random.default_rng(0)
    drawn = [draw_question(BEHIND, rng) for _ in range(2000)]
    plain = sum(text in wordings(BEHIND) for text in drawn) / len(drawn)
    hangul = sum(any("가" <= letter <= "힣" for letter in text) for text in drawn) / len(drawn)
    assert abs(plain - PLAIN_SHARE) < 0.03
    assert abs(hangul - KOREAN_SHARE) < 0.03


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("원뿔은/는", "원뿔은"),
        ("구은/는", "구는"),
        ("공이/가 있어", "공이 있어"),
        ("상자이/가 있어", "상자가 있어"),
        ("도넛을/를", "도넛을"),
        ("고리을/를", "고리를"),
        ("원통과/와 큐브", "원통과 큐브"),
        ("구과/와 큐브", "구와 큐브"),
        ("앞으로/로", "앞으로"),
        ("뒤으로/로", "뒤로"),
        ("원뿔으로/로", "원뿔로"),
        ("뭐이야/야", "뭐야"),
        ("공이에요/예요", "공이에요"),
    ],
)
def test_particles_fit_the_word_before_them(text, expected):
    assert with_particles(text) == expected


def test_no_bracket_or_particle_is_left_over(asked):
    rng = np.random.default_rng(3)
    for scene, question in asked[:600]:
        for language in LANGUAGES:
            text = word_question(question.program, rng, language, scene)
            assert not set("{}[]()|/") & set(text), text


def test_a_typing_error_changes_one_word_by_one_letter():
    from random import Random

    rng, kinds = Random(0), Counter()
    for _ in range(300):
        text = with_typing_error("Where is the yellow doughnut?", rng)
        changed = [pair for pair in zip("Where is the yellow doughnut?".split(), text.split(), strict=True)]
        different = [(before, after) for before, after in changed if before != after]
        assert len(different) <= 1
        for before, after in different:
            kinds[len(after) - len(before), sorted(before) == sorted(after)] += 1
    assert set(kinds) == {(-1, False), (0, True), (0, False), (1, False)}


def test_patterns():
    from random import Random

    texts = {draw_text("(a|b) {x}[!]", {"x": ("c", "(d|e)")}, Random(seed)) for seed in range(200)}
    assert texts == {f"{first} {second}{end}" for first in "ab" for second in "cde" for end in ("", "!")}
    for wrong in ("(a", "a)", "[a", "(a]"):
        with pytest.raises(ValueError, match=r"partner|closed by"):
            parse_pattern(wrong)


def test_the_vocabulary_has_the_words_of_all_questions(asked):
    words, rng = vocabulary(), np.random.default_rng(0)
    parts = {part for word in words for part in word.split()}
    for scene, question in asked[:500]:
        text = word_question(question.program, rng, "en", scene, noise=False)
        said = text.lower().translate(dict.fromkeys(map(ord, "?.,:;-"), " ")).split()
        assert {word.removesuffix("'s") for word in said} <= parts | set(words), text


def test_a_family_of_ones_own_is_asked_in_its_plain_wordings():
    register_family(
        Family("mine", {}, lambda scene, rng, limit: [], lambda scene, program: "yes", lambda program: ("Mine?",))
    )
    try:
        assert word_question({"family": "mine"}, np.random.default_rng(0)) == "Mine?"
    finally:
        unregister_family("mine")


def test_rows_in_many_wordings_have_right_answers(many):
    scenes, rows = read_scenes(many / "scenes-train.jsonl"), rows_of(many)
    assert {row["wordings"] for row in rows} == {"many"}
    for row in rows:
        assert answer(scenes[row["scene"]], json.loads(row["program"])) == row["answer"]
    programs = [json.loads(row["program"]) for row in rows]
    half_named = [len(program) for program in programs if program["family"] == "existence"]
    assert {2, 3} == set(half_named), "some questions give only a colour or a shape"
    assert max(len(scene.objects) for scene in scenes.values()) > 6
    assert max(row["objects"] for row in rows) <= 8


def test_the_images_and_scenes_do_not_depend_on_the_wordings(many, tmp_path):
    plain = write_panoshapes(tmp_path / "data", "train", 4, width=64, workers=1, max_objects=8)
    assert (plain / "scenes-train.jsonl").read_text().splitlines() == (
        (many / "scenes-train.jsonl").read_text().splitlines()[:4]
    )
    assert "wordings" not in rows_of(plain)[0]


def test_a_rotated_row_is_worded_anew(many):
    examples = read_examples(many, "train")
    rotation, scenes = scene_rotation(many, "train"), read_scenes(many / "scenes-train.jsonl")
    same = total = 0
    for group in examples.groups()[:8]:
        before = [examples[row] for row in group]
        rotated = scenes[before[0].extra["scene"]].rotated(90.0)
        first, again, other = (rotation.rotate(before, 90.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert first == again
        for old, new, third in zip(before, first, other, strict=True):
            if new is not None:
                assert new.answer == third.answer == answer(rotated, json.loads(new.extra["program"]))
                same += new.question in (old.question, third.question)
                total += 1
    assert same < total / 4


def test_more_objects_are_as_visible():
    scenes = [sample_scene(3, "test", index, max_objects=8) for index in range(40)]
    assert {len(scene.objects) for scene in scenes} == set(range(1, 9))
    assert min(item.visible_share for scene in scenes for item in scene.objects) >= 0.72
    assert sample_scene(3, "test", 0) == sample_scene(3, "test", 0, max_objects=6)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"wordings": "all"}, "unknown wordings 'all': expected one of plain"), ({"max_objects": 9}, "from 1 to 8")],
)
def test_impossible_options(tmp_path, options, message):
    from panollava_hf._errors import PanoShapesError

    with pytest.raises(PanoShapesError, match=message):
        write_panoshapes(tmp_path / "data", "test", 1, width=64, **options)
    with pytest.raises(PanoShapesError, match="unknown language 'fr': expected one of en, ko"):
        word_question(BEHIND, np.random.default_rng(0), "fr")
