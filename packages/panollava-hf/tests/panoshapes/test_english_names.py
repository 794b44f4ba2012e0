"""What people call colours and shapes: names fit one of them, have a plural, and are known to `ask`."""

from collections import Counter
from random import Random

import pytest
from panollava_hf.asking._known_words import KnownWords
from panollava_hf.panoshapes.wordings import _english_names as english
from panollava_hf.panoshapes.wordings._english import draw_english, english_frames, english_slots
from panollava_hf.panoshapes.wordings._english_habits import ABBREVIATIONS, abbreviated, without_articles
from panollava_hf.panoshapes.wordings._english_names import COLOUR_NAMES, SHAPE_NAMES, SHAPE_PLURALS, plural
from panollava_hf.panoshapes.wordings._every_program import one_program_each
from panollava_hf.panoshapes.wordings._noise import with_typing_error
from panollava_hf.panoshapes.wordings._patterns import parse_pattern
from panollava_hf.panoshapes.wordings._topics import topics
from panollava_hf.panoshapes.wordings._vocabulary import vocabulary

TABLES = [COLOUR_NAMES, SHAPE_NAMES, english.SHAPE_ADJECTIVES, english.SHAPE_FEATURES, SHAPE_PLURALS]


@pytest.fixture(scope="module")
def known():
    return KnownWords(vocabulary())


@pytest.fixture(scope="module")
def subjects():
    return KnownWords(topics(), verbs=False)


def spoken(name):
    return name.replace("_", " ").replace("-", " ").lower()


@pytest.mark.parametrize("table", TABLES)
def test_a_name_fits_one_colour_or_shape(table):
    names = {value: {spoken(name) for name in phrases} for value, phrases in table.items()}
    everything = [name for phrases in names.values() for name in phrases]
    assert len(everything) == len(set(everything)), [name for name, times in Counter(everything).items() if times > 1]


@pytest.mark.parametrize("table", [COLOUR_NAMES, SHAPE_NAMES, SHAPE_PLURALS])
def test_no_typing_error_turns_a_name_into_another_one(table):
    meaning = {spoken(name): value for value, names in table.items() for name in names}
    rng = Random(0)
    for name, value in meaning.items():
        changed = {with_typing_error(name, rng) for _ in range(150)}
        assert {meaning.get(text, value) for text in changed} == {value}, name


@pytest.mark.parametrize("names", [*COLOUR_NAMES.values(), *SHAPE_NAMES.values(), english.THINGS])
def test_usual_names_are_drawn_most_and_rare_ones_rarely(names):
    counts = Counter(names)
    usual, rare = counts[names[0]], min(counts.values())
    assert usual == max(counts.values())
    assert names.count(names[0]) / len(names) > 0.2
    share = sum(times for times in counts.values() if times == rare) / len(names)
    assert 0.25 < share < 0.35


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("box", "boxes"),
        ("die", "dice"),
        ("dice", "dice"),
        ("torus", "toruses"),
        ("party_hat", "party_hats"),
        ("tyre", "tyres"),
        ("thingy", "thingies"),
        ("entity", "entities"),
        ("lifebuoy", "lifebuoys"),
        ("circle_with_a_hole", "circles_with_a_hole"),
        ("witch's_hat", "witch's_hats"),
        ("wooden_block", "wooden_blocks"),
    ],
)
def test_plurals(noun, expected):
    assert plural(noun) == expected


@pytest.mark.parametrize("table", TABLES)
def test_every_name_is_known_and_says_what_to_look_for(known, subjects, table):
    for name in {name for names in table.values() for name in names}:
        text = f"where is the {spoken(name)}?"
        assert known.unknown(text) == (), name
        assert subjects.has_any(text, known.has), name


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Where is the hat?", ("hat",)),
        ("Is there a party?", ("party",)),
        ("How much traffic is there?", ("traffic",)),
        ("Is there any ice cream?", ("ice", "cream")),
        ("Where is the light?", ("light",)),
        ("Do you see the sky and the sea?", ("sea",)),
        ("Is there a beach?", ("beach",)),
        ("Where is the steering wheel of the car?", ("car",)),
        ("Is there a tomato or a banana?", ("tomato", "banana")),
        ("Where is the circle?", ("circle",)),
        ("Is there a pyramid?", ("pyramid",)),
        ("Is a dog behind me?", ("dog",)),
        ("How many logos are there?", ("logos",)),
        ("Is there a fire in front of me?", ("fire",)),
        ("How many people wear shoes?", ("people", "wear", "shoes")),
        ("Is there a hole in the red thing?", ("hole",)),
        ("Which lake is nearer, the blue or the green one?", ("lake",)),
    ],
)
def test_parts_of_names_are_not_known_alone(known, question, words):
    assert known.unknown(question) == words


@pytest.mark.parametrize(
    "question",
    [
        "Where is the party hat?",
        "where is the party-hat",
        "wheres the partyhat",
        "What is the traffic cone's colour?",
        "the trafic cone?",
        "Is there a witch’s hat or a witchs hat?",
        "how many ice cream cones",
        "is the sky blue beach ball left of the tomato red tin can",
        "the ligth green swimming ring",
        "the object with a hole",
        "colour of inner tube?",
        "Rubik's cube where?",
        "how many dice are there",
        "is the bluish cuboid nearer than the maroon pylon",
        "how much balls there are",
        "what color is have the cube",
        "u see any doughnut pls",
        "What is at 3 o'clock?",
    ],
)
def test_names_of_strangers_are_known(known, question):
    assert known.unknown(question) == ()


def test_a_phrase_is_not_divided(known):
    assert known.unknown("Is the party behind the hat?") == ("party", "hat")
    assert known.unknown("the hat party") == ("hat", "party")
    assert known.unknown("party") == ("party",)
    assert known.unknown("hat") == ("hat",)
    assert known.unknown("the party hat and a hat") == ("hat",)
    assert KnownWords(["life ring"]).unknown("lief ring lief belt") == ("lief", "belt")


def test_a_real_word_is_not_a_typing_error_in_a_phrase():
    words = KnownWords(["the", "beach ball", "bench"])
    assert words.unknown("the baech ball") == ()
    assert words.unknown("the peach ball") == ("peach", "ball")
    assert words.unknown("the bench ball") == ("ball",)


def test_all_phrases_of_all_programs_have_a_slot():
    for program in one_program_each(COLOUR_NAMES, SHAPE_NAMES, ["front", "back right"]):
        slots = english_slots(program)
        for pattern in english_frames(program):
            for part in parse_pattern(pattern):
                assert not hasattr(part, "name") or part.name in slots, pattern


def test_almost_all_drawn_questions_are_known(known, subjects):
    rng, strange, asked = Random(0), 0, 0
    programs = one_program_each(COLOUR_NAMES, SHAPE_NAMES, ["front", "left", "above", "below", "back left"])
    for program in programs * 3:
        text = draw_english(program, rng)
        asked += 1
        strange += bool(known.unknown(text)) or not subjects.has_any(text, known.has)
    assert strange < 0.03 * asked, "words that are put between those of a name, and captions about nothing"


def test_abbreviations_are_known(known):
    assert known.unknown(" ".join(ABBREVIATIONS)) == ()
    assert abbreviated("Please give me the number of cubes around you", Random(1)).split()[1:3] == ["gimme", "the"]
    assert without_articles("A theatre, the an-swer is the cube") == "theatre, an-swer is cube"
