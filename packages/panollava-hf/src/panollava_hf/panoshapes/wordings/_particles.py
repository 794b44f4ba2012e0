"""Korean particles: which form fits depends on whether the word before it ends with a consonant."""

import re

#: The two forms of a particle: after a consonant and after a vowel.
PAIR = re.compile(r"(이에요|은|이랑|이|을|과|이야|이니|이죠|으로)/(예요|는|랑|가|를|와|야|니|죠|로)")
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
