"""How people type Korean: lost and added spaces, misspellings, one wrong letter in a syllable, and marks of messages.

No error makes a part of a word that could be the name of something: what the new word could mean, the old words could.
"""

import functools
import re
from random import Random

from panollava_hf.panoshapes.wordings._korean_names import COLOUR_NAMES, COLOUR_NOUNS, SHAPE_LOOKS, SHAPE_NAMES
from panollava_hf.panoshapes.wordings._korean_places import PLACES
from panollava_hf.panoshapes.wordings._korean_words import COMMON, HARMLESS
from panollava_hf.panoshapes.wordings._patterns import pattern_words, pick

#: Shares of the questions.
_NO_END, _OTHER_END, _NO_COMMA = 0.35, 0.12, 0.4
_SPACING, _NO_SPACES, _MISSPELT, _SLIP = 0.06, 0.015, 0.045, 0.045
_ENDS = (
    *("??", " ?", "!", "...", ".", "?!", "~?", "~", "!!", "..?"),
    *(
        "ㅋㅋ",
        "ㅎㅎ",
        " ㅋㅋ",
        " ㅎㅎ",
        "?ㅋㅋ",
        "ㅋ",
        "ㅎ",
        "?ㅎㅎ",
        "ㅠㅠ",
        "??ㅠㅠ",
        "~~",
        "???",
        " ㅋㅋㅋ",
        ";;",
        "?;",
    ),
)
_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_FIRST, _LAST = 0xAC00, 0xD7A3
#: Letters that are hit instead: neighbours on the keyboard, the same key with or without shift, and the same sound.
_NEAR = {
    **dict(zip("ㅂㅈㄷㄱㅅㅁㄴㅇㄹㅎㅋㅌㅊㅍ", "ㅈㅂㅈㄷㄱㄴㅁㄴㅇㄹㅌㅋㅌㅊ", strict=True)),
    **dict(zip("ㄲㄸㅃㅆㅉ", "ㄱㄷㅂㅅㅈ", strict=True)),
    **dict(zip("ㅛㅕㅑㅐㅔㅗㅓㅏㅣㅠㅜㅡ", "ㅕㅛㅕㅔㅐㅓㅗㅣㅏㅜㅡㅜ", strict=True)),
    **dict(zip("ㅚㅙㅞㅖㅒㅢㅝㅘㅟ", "ㅙㅚㅚㅔㅐㅣㅓㅏㅣ", strict=True)),
    **dict(zip("ㄶㄺㄼㅀㅄㄳㄵㄻ", "ㄴㄱㄹㄹㅂㄱㄴㄹ", strict=True)),
}
#: Misspellings of words that are in most questions: what is right, and what is typed instead.
_RULES = tuple(
    (right, tuple(wrong.split(",")))
    for right, wrong in (
        rule.split("/")
        for rule in """
        있/잇 몇/몃,며 뭐/머 뭔/몬 돼/되 되/돼 예요/에요,애요 이에요/이예요,이애요 어디/어듸,오디,어뒤
        어떻게/어떡해,어떻해,어떠케 무엇/무었
        뒤쪽/뒷쪽 위쪽/윗쪽 쪽/족,쪾 알려/알려,알랴,알여 줘/죠,줭,조 가르쳐/가르켜,갈켜
        주세요/주세여,주세염,주셔요,주새요 나요/나여,나용,남요 인가요/인가여,인가용
        습니까/슴까,슴니까,읍니까 개수/갯수 색깔/색갈,새깔,섹깔 가까이/가까히 가까운/가까은 가까워/가까와
        모양/모얌,몽양 있는/잇는,인는 있어/이써,잇어,있써
        많/만 에는/에눈 물체/물채 찾아/차자 말해/말헤 설명/설몀 궁금해/궁금헤 방향/방양 보여/보요 보이/뵈이 개/게
        어느/어는 무슨/무순,므슨 어떤/어떠 요/여,용,욤
        이야/이양 위치/위취 부탁/부탁,부탇 정확히/정확이 혹시/혹씨 있음/있슴,잇음 없/업 인지/인쥐 떨어져/떨어저
        """.split()
    )
)


#: Misspellings that are parts of other words: of 할머니.
_OTHER_WORDS = {"머니"}


def roughen_korean(text: str, rng: Random) -> str:
    """Change a Korean text as careless typing does."""
    if rng.random() < _NO_COMMA:
        text = re.sub(r"[,;:]", "", text)
    chance = rng.random()
    if chance < _NO_END:
        text = text.rstrip("?.")
    elif chance < _NO_END + _OTHER_END:
        text = text.rstrip("?.") + pick(rng, _ENDS)
    chance = rng.random()
    for share, change in (
        (_SPACING, _space_wrongly),
        (_NO_SPACES, _without_spaces),
        (_MISSPELT, _misspell),
        (_SLIP, _slip),
    ):
        if chance < share:
            changed = change(text, rng)
            text = changed if is_harmless(text, changed) else text
            break
        chance -= share
    return text.strip()


def is_harmless(text: str, changed: str) -> bool:
    """Whether a text with an error names nothing else than the right text, and that no direction or short name is lost.

    >>> is_harmless("공은 어디에 있어?", "공은 어듸에 있어?"), is_harmless("곳은 어디에 있어?", "공은 어디에 있어?")
    (True, False)
    """
    before, after = text.split(" "), changed.split(" ")
    gone = [name for word in before if word not in after for name in names_in(word)]
    new = [name for word in after if word not in before for name in names_in(word)]
    meant, means = {meaning for _, meaning in gone}, {meaning for _, meaning in new}
    kept = {meaning for name, meaning in gone if len(name) == 1 or meaning in PLACES}
    return kept <= means <= meant


def names_in(word: str) -> list[tuple[str, str]]:
    """The names of colours, shapes and directions that a word is made of, and what they mean; the longest are found.

    >>> names_in("축구공은"), names_in("빨간공"), names_in("위치는")
    ([('축구공', 'sphere')], [('빨간', 'red'), ('공', 'sphere')], [])
    """
    table, found, place = _names(), [], 0
    while place < len(word):
        for name, meaning in table.get(word[place], ()):
            if word.startswith(name, place):
                if meaning:
                    found.append((name, meaning))
                place += len(name)
                break
        else:
            place += 1
    return found


@functools.cache
def _names() -> dict[str, list[tuple[str, str]]]:
    """What each word of a name means, by its first syllable, the longest first; nothing, if it is in several names."""
    found: dict[str, set[str]] = {}
    for names_of in (COLOUR_NAMES, COLOUR_NOUNS, SHAPE_NAMES, SHAPE_LOOKS, PLACES):
        for meaning, names in names_of.items():
            for word in pattern_words(names):
                found.setdefault(word, set()).add(meaning)
    table = {word: meant.pop() if len(meant) == 1 else "" for word, meant in found.items()}
    # Words that contain the name of something, without meaning it.
    common = pattern_words([*HARMLESS, *(text for texts in COMMON.values() for text in texts)])
    table = {word: "" for word in common if len(word) > 1} | table
    table |= {word: word for word in "가까 먼 멀 색 모양 몇".split()}
    table |= dict(
        pair.split("/") for pair in "앞/front 뒤/back 왼/left 오른/right 위/above 아래/below 밑/below".split()
    )
    letters: dict[str, list[tuple[str, str]]] = {}
    for word in sorted(table, key=len, reverse=True):
        letters.setdefault(word[0], []).append((word, table[word]))
    return letters


def _space_wrongly(text: str, rng: Random) -> str:
    """One space too few, or sometimes too many."""
    words = text.split(" ")
    if len(words) > 1 and rng.random() < 0.7:
        place = int(rng.random() * (len(words) - 1))
        return " ".join([*words[:place], words[place] + words[place + 1], *words[place + 2 :]])
    place = int(rng.random() * len(words))
    if len(words[place]) < 2:
        return text
    cut = 1 + int(rng.random() * (len(words[place]) - 1))
    return " ".join([*words[:place], words[place][:cut], words[place][cut:], *words[place + 1 :]])


def _without_spaces(text: str, rng: Random) -> str:
    return text.replace(" ", "")


def _misspell(text: str, rng: Random) -> str:
    """One misspelling that is common, if a word of the text has one."""
    fitting = [rule for rule in _RULES if rule[0] in text]
    if not fitting:
        return text
    right, wrong = fitting[int(rng.random() * len(fitting))]
    return text.replace(right, pick(rng, wrong), 1)


def _slip(text: str, rng: Random) -> str:
    """One letter wrong, lost or too many in one syllable, or a syllable lost, doubled or swapped with the next."""
    places = [place for place, letter in enumerate(text) if _is_syllable(letter)]
    if len(places) < 2:
        return text
    place, kind = places[int(rng.random() * len(places))], int(rng.random() * 10)
    if kind == 0:
        return text[:place] + text[place] + text[place:]
    if kind == 1:
        return text[:place] + text[place + 1 :]
    if kind == 2 and place + 1 < len(text) and _is_syllable(text[place + 1]):
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    return text[:place] + syllable_with_error(text[place], kind) + text[place + 1 :]


def syllable_with_error(syllable: str, kind: int) -> str:
    """A syllable with its first consonant, vowel or final consonant wrong, lost or too many.

    >>> [syllable_with_error("있", kind) for kind in (3, 5, 7, 9)]
    ['닜', '았', '잇', '이']
    """
    initial, vowel, final = letters_of(syllable)
    if kind in (3, 4):
        initial = _NEAR.get(initial, initial)
    elif kind in (5, 6) or (final == " " and kind < 9):
        vowel = _NEAR[vowel]
    elif kind in (7, 8):
        final = _NEAR.get(final, " ")
    else:
        final = "ㅇ" if final == " " else " "
    code = (_INITIALS.index(initial) * len(_VOWELS) + _VOWELS.index(vowel)) * len(_FINALS) + _FINALS.index(final)
    return chr(_FIRST + code)


def letters_of(syllable: str) -> tuple[str, str, str]:
    """The consonant, the vowel and the final consonant of a syllable; a space if it has none.

    >>> letters_of("공"), letters_of("구")
    (('ㄱ', 'ㅗ', 'ㅇ'), ('ㄱ', 'ㅜ', ' '))
    """
    rest, final = divmod(ord(syllable) - _FIRST, len(_FINALS))
    initial, vowel = divmod(rest, len(_VOWELS))
    return _INITIALS[initial], _VOWELS[vowel], _FINALS[final]


def _is_syllable(letter: str) -> bool:
    return _FIRST <= ord(letter) <= _LAST


@functools.cache
def misspelt(word: str) -> tuple[str, ...]:
    """The common misspellings of a word of two or more syllables; none can be the name of something else."""
    found = {word.replace(right, error, 1) for right, errors in _RULES if right in word for error in errors}
    return tuple(sorted(e for e in found - _OTHER_WORDS if len(e) > 1 and is_harmless(word, e)))
