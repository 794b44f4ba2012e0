"""Korean particles: which form fits depends on whether the word before it ends with a consonant."""

import re

_AFTER_COPULA = "라고 라는 면서 더라 려나 라 면 랑 나 야 니 냐 죠 지 여 고".split()
_FORMS = {
    **{"이에요": "예요", "이에여": "예여", "이었더라": "였더라", "이었지": "였지", "으로": "로"},
    **{f"이{form}": form for form in _AFTER_COPULA},
    **{"은": "는", "이": "가", "을": "를", "과": "와"},
}
#: The two forms of a particle: after a consonant and after a vowel.
PAIR = re.compile(f"({'|'.join(_FORMS)})/({'|'.join(_FORMS.values())})")
_FIRST, _LAST, _FINALS = 0xAC00, 0xD7A3, 28
_L = 8  # the final consonant after which "로" follows as after a vowel


def with_particles(text: str) -> str:
    """Choose between the two forms of each particle.

    Example:
        >>> with_particles("원뿔은/는 공과/와 상자이/가 아니라 도넛이에요/예요")
        '원뿔은 공과 상자가 아니라 도넛이에요'
    """

    def chosen(found: re.Match[str]) -> str:
        after_consonant, after_vowel = found.groups()
        before = found.string[found.start() - 1 : found.start()]
        closed = ends_with_consonant(before) and not (after_vowel == "로" and _ends_with_l(before))
        return after_consonant if closed else after_vowel

    return PAIR.sub(chosen, text)


def ends_with_consonant(text: str) -> bool:
    """Whether the last syllable of a Korean word has a final consonant; False for other letters.

    >>> ends_with_consonant("공"), ends_with_consonant("상자")
    (True, False)
    """
    code = ord(text[-1]) if text else 0
    return _FIRST <= code <= _LAST and (code - _FIRST) % _FINALS != 0


def _ends_with_l(text: str) -> bool:
    return (ord(text[-1]) - _FIRST) % _FINALS == _L
