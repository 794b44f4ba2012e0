"""Questions in Korean: many, with fitting particles, and with typing errors that never name something else."""

import re
import time
from random import Random

import pytest
from panollava_hf.asking._known_words import KnownWords
from panollava_hf.panoshapes import COLOURS, DIRECTIONS, SHAPES
from panollava_hf.panoshapes.wordings._every_program import one_program_each
from panollava_hf.panoshapes.wordings._korean import draw_korean, korean_frames, korean_slots, tidy
from panollava_hf.panoshapes.wordings._korean_endings import FAR, IS_IT, NEAR, SEEN, THERE
from panollava_hf.panoshapes.wordings._korean_names import COLOUR_NAMES, SHAPE_NAMES, THINGS
from panollava_hf.panoshapes.wordings._korean_noise import is_harmless, names_in, roughen_korean
from panollava_hf.panoshapes.wordings._korean_places import LOOKS, PLACES
from panollava_hf.panoshapes.wordings._particles import ends_with_consonant
from panollava_hf.panoshapes.wordings._patterns import draw_text
from panollava_hf.panoshapes.wordings._topics import topics
from panollava_hf.panoshapes.wordings._vocabulary import vocabulary

PROGRAMS = one_program_each(COLOURS, SHAPES, DIRECTIONS)
FAMILIES = sorted({program["family"] for program in PROGRAMS})
NAMES = {name for table in (COLOUR_NAMES, SHAPE_NAMES) for names in table.values() for name in names} | set(THINGS)
#: A particle after a consonant, and one after a vowel.
FITTING = {"은": True, "는": False, "이": True, "가": False, "을": True, "를": False, "과": True, "와": False}


def drawn(family, number, seed=0):
    """Korean questions of a family without careless typing, each with its program."""
    rng, programs = Random(seed), [program for program in PROGRAMS if program["family"] == family]
    for _ in range(number):
        program = programs[int(rng.random() * len(programs))]
        yield program, draw_korean(program, rng)


@pytest.mark.parametrize("family", FAMILIES)
def test_hardly_any_question_is_drawn_twice(family):
    texts = [text for _, text in drawn(family, 1000)]
    assert len(set(texts)) > (940 if family in ("caption", "what") else 985)


@pytest.mark.parametrize("family", FAMILIES)
def test_particles_fit_names_and_nothing_is_left_over(family):
    checked = 0
    for _, text in drawn(family, 2000, seed=1):
        assert not set("{}[]()|/") & set(text), text
        assert not re.search(r"  |[.?!,] *[.?!,]| [.?!,]|(^|[^가-힣])[은는을를]($| )", text), text
        for word in re.findall(r"[가-힣]+", text):
            if word[-1] in FITTING and word[:-1] in NAMES and word not in NAMES:
                checked += 1
                assert ends_with_consonant(word[:-1]) == FITTING[word[-1]], text
    assert checked > (200 if family != "what" else 20)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_frame_can_be_filled(family):
    for program in [program for program in PROGRAMS if program["family"] == family][::7]:
        slots = korean_slots(program)
        for frame in korean_frames(program):
            assert draw_text(frame, slots, Random(0))
        for patterns in slots.values():
            for pattern in set(patterns):
                draw_text(pattern, slots, Random(0))


def test_usual_names_are_most_of_the_names():
    usual = {"sphere": "구 공 구체 구슬", "cube": "정육면체 상자 큐브 육면체 박스", "cone": "원뿔 고깔 콘"}
    usual |= {"cylinder": "원기둥 원통 실린더 기둥 통", "torus": "도넛 고리 링 토러스 도너츠 반지"}
    for shape, names in usual.items():
        share = sum(name in names.split() for name in SHAPE_NAMES[shape]) / len(SHAPE_NAMES[shape])
        assert 0.5 < share < 0.75, shape
    for colour, names in COLOUR_NAMES.items():
        assert 0.5 < sum(names.count(name) > 2 for name in names) / len(names) < 0.75, colour


def test_an_endings_form_belongs_to_its_verb():
    for verb, some in ((THERE, "있나요 있어 있음 있을까요"), (SEEN, "보이니 보입니까"), (NEAR, "가까운가요 가까워요")):
        assert set(some.split()) <= set(verb.questions())
    assert {"멀나요", "멀어", "멉니까", "먼가요"} <= set(FAR.questions())
    assert {"놓여 있나요", "놓여 있어"} <= set(THERE.after("놓여").questions())
    assert [tidy(f"뭐{end}") for end in IS_IT[:2]] == ["뭔가요", "뭐예요"]


def test_looking_somewhere_is_not_looking_elsewhere():
    fixed = [set(LOOKS[direction]) for direction in ("front", "back", "above", "below")]
    assert sum(map(len, fixed)) == len(set.union(*fixed))
    assert set(LOOKS) == set(PLACES) == set(DIRECTIONS)


def test_a_typing_error_names_nothing_else():
    rng, changed, total = Random(2), 0, 0
    for family in FAMILIES:
        for _, text in drawn(family, 600, seed=3):
            careless = roughen_korean(text, rng)
            marks = str.maketrans("", "", "?!.,;:~ㅋㅎㅠ")
            before, after = text.translate(marks).strip(), careless.translate(marks).strip()
            changed, total = changed + (before != after), total + 1
            meant = {meaning for word in text.split() for _, meaning in names_in(word)}
            assert {meaning for word in careless.split() for _, meaning in names_in(word)} <= meant, (text, careless)
    assert 0.1 < changed / total < 0.17


@pytest.mark.parametrize(
    ("right", "wrong", "harmless"),
    [
        ("원뿔은 어디야", "원뿔은 어듸야", True),
        ("빨간 공은", "빨간공은", True),
        ("원기둥은", "원 기둥은", True),
        ("도넛은", "도넏은", True),
        ("위치는", "위 치는", False),  # above
        ("구멍은", "구 멍은", False),  # a sphere
        ("위쪽에", "이쪽에", False),  # no direction any more
        ("공은", "곰은", False),  # no name any more
        ("더 먼 것", "더 문 것", False),
    ],
)
def test_which_errors_are_harmless(right, wrong, harmless):
    assert is_harmless(right, wrong) is harmless


def test_the_words_of_all_questions_are_known_and_say_what_to_look_for():
    known, subjects = KnownWords(vocabulary()), KnownWords(topics(), verbs=False)
    for family in FAMILIES:
        texts = [text for _, text in drawn(family, 300, seed=4)]
        assert not [text for text in texts if known.unknown(text)]
        # "뭐 있어?" asks for a caption, and has only words that can ask anything.
        assert sum(not subjects.has_any(text, known.has) for text in texts) <= (20 if family == "caption" else 1)
    for word in "문 사람 의자 나무 고양이 자동차 시간 모자 노래 할머니 검은 분홍색 갈색".split():
        assert known.unknown(word) == (word,)
    assert not {"것", "거", "애", "놈", "녀석", "쪽"} & set(topics()) - {"것", "쪽"}


def test_drawing_takes_microseconds():
    list(drawn("where", 500))
    rng, start = Random(5), time.process_time()
    for family in FAMILIES:
        for _, text in drawn(family, 1250):
            roughen_korean(text, rng)
    assert time.process_time() - start < 5.0, "10,000 questions"
