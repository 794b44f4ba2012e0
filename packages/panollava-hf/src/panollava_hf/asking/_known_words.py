"""Words of a question that a checkpoint has never been trained on.

A small model that is trained from scratch knows a list of words and answers any question with one of its few answers,
so it has to say where it does not know a word. The comparison forgives inflections, one typing error in words of four
or more letters, and Korean particles and endings.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache

from panollava_hf.asking._common_words import COMMON_WORDS

#: Shortest word in which a typing error is forgiven, and the longest word that is looked at more closely.
_MIN_LETTERS, _MAX_LETTERS = 4, 40
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_HANGUL = re.compile(r"[\uac00-\ud7a3]+")
_CONTRACTED = ("'s", "'re", "'ll", "'ve", "'d", "'m", "n't", "'")
_INFLECTED = (("s", ""), ("es", ""), ("ed", ""), ("d", ""), ("ing", ""), ("ing", "e"), ("ies", "y"), ("ly", ""))
#: What follows a Korean noun or the stem of a verb.
_PARTICLES = frozenset(
    """은 는 이 가 을 를 의 에 에서 에게 에는 에도 에만 으로 로 으로는 로는 와 과 랑 이랑 하고 도 만 까지 부터 보다
    처럼 들 들이 들은 들을 들의 요 이요 이에요 예요 이야 야 이니 니 이죠 죠 이지 지 입니까 입니다 인가 인가요 인지
    인지요 일까 일까요 인데 인데요 이라고 라고 이나 나 께서 한테 이냐 냐 쪽 쪽에 쪽의 쪽으로 쪽은 쪽이 쪽을 편 편에
    엔 에선 한테서 까지의 씩 마다 뿐 밖에 이란 란 님 이고 고 이며 며 에요 여 라도 이라도""".split()
)
_ENDINGS = frozenset(
    """나 나요 니 니까 ㄴ가 는가 는가요 는지 는지요 는데 는데요 어 어요 었어 었어요 았어 았어요 아 아요 습니까 습니다
    ㅂ니까 죠 지 지요 을까 을까요 을지 는 은 은가 은가요 은지 을 던 네 네요 냐 느냐 고 고요 으면 면 으니 자 거라 라
    세요 으세요 십시오 주세요 줘 줘요 주라 줄래 줄래요 줄 주시겠어요 주시겠습니까 겠어요 겠습니까 봐 봐요 보세요
    보자 볼래 볼까요 려면 려고 서 해 해요 하나요 하니 합니까 하세요 하시오 할까요 할 한 하는 하면 할래 했어 했나요
    달라 다오 인 있는 있나요 있어 있어요 있습니까 있니 있는지 없는지 있을까요 있죠 있지
    임 음 함 였 였지 였죠 였더라""".split()
)

_NEVER_FIRST = frozenset("은 는 가 을 를 의 에 로 와 과 랑 도 만 요".split())
#: How a Korean verb, and almost no noun, ends: verbs ask and connect, so an unknown one does not change what is asked.
_VERB = re.compile(
    r".+(요|니다|니까|습니까|[을를할볼될일줄갈올]까|죠|줘|줄래|볼래|할래|려면|으면|하면|보면|되면|는데|"
    r"은데|싶은데|세요|라고|다고|냐고|해서|어서|"
    r"아서|면서|네요|군요|잖아|겠어|겠지|겠니|하게|되게|이게|거든|든지|도록|듯이?|봐줘|해줘|해라|하자|하니|하지만)"
)


class KnownWords:
    """The words that a checkpoint knows.

    Args:
        words: The words in lower case; Korean nouns and verbs without what follows them. The words of a phrase, such as
            "party hat", are known together, but not alone.
        verbs: Whether a Korean word that ends like a verb is known, whatever it is.
    """

    def __init__(self, words: Iterable[str], *, verbs: bool = True) -> None:
        entries = {_normalised(word) for word in words}
        phrases = [tuple(map(_plain, _WORD.findall(entry))) for entry in entries if " " in entry]
        single = {entry for entry in entries if " " not in entry}
        self._words = frozenset(single | {"".join(phrase) for phrase in phrases})
        #: The phrases that have a word, each with the place of the word.
        self._phrases: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        for phrase in phrases:
            for place, word in enumerate(phrase):
                self._phrases.setdefault(word, []).append((phrase, place))
        self._verbs = verbs
        self._by_length: dict[int, list[str]] = {}
        for word in single:
            if word.isascii() and len(word) >= _MIN_LETTERS:
                self._by_length.setdefault(len(word), []).append(word)
        self._is_known = lru_cache(maxsize=4096)(self._look_up)

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of a text that are not known, in order, each once.

        Example:
            >>> known = KnownWords(["where", "is", "the", "cube", "three", "원뿔", "어디"])
            >>> known.unknown("Where's the cuube?"), known.unknown("Where is the door: the tree?")
            ((), ('door', 'tree'))
            >>> known.unknown("원뿔은 어디에 있나요?"), known.unknown("문은 어디에 있나요?")
            ((), ('문은',))
            >>> hats = KnownWords(["the", "party hat"])
            >>> hats.unknown("the party-hat"), hats.unknown("the partyhat"), hats.unknown("the hat")
            ((), (), ('hat',))
        """
        words = _WORD.findall(_normalised(text))
        if all(map(self._is_known, words)):
            return ()
        named = self._in_phrases(words)
        return tuple(
            dict.fromkeys(word for place, word in enumerate(words) if place not in named and not self._is_known(word))
        )

    def has_any(self, text: str, ordinary: Callable[[str], bool]) -> bool:
        """Whether a text has at least one of the words.

        Args:
            text: The text.
            ordinary: Whether a word has a meaning of its own, so that it is not one of these words with an error.

        Example:
            >>> topics = KnownWords(["cube", "form"], verbs=False)
            >>> topics.has_any("the cueb?", {"from"}.__contains__), topics.has_any("From?", {"from"}.__contains__)
            (True, False)
        """
        words = _WORD.findall(_normalised(text))
        if any(self._is_known(word) and (not word.isascii() or self.has(word) or not ordinary(word)) for word in words):
            return True
        return bool(self._in_phrases(words))

    def _in_phrases(self, words: list[str]) -> set[int]:
        """The places of the words that are parts of a phrase, of which at least one word has no typing error."""
        plain = [_plain(word) for word in words]
        found: set[int] = set()
        for place, word in enumerate(plain):
            for phrase, within in self._phrases.get(word, ()):
                places = range(place - within, place - within + len(phrase))
                if places.start >= 0 and places.stop <= len(plain):
                    if all(self._is_meant(plain[at], part) for at, part in zip(places, phrase, strict=True)):
                        found.update(places)
        return found

    def _is_meant(self, word: str, part: str) -> bool:
        """Whether a word is a part of a phrase, perhaps with a typing error."""
        if word == part:
            return True
        is_long = min(len(word), len(part)) >= _MIN_LETTERS and len(word) <= _MAX_LETTERS
        return is_long and word not in COMMON_WORDS and word not in self._words and is_one_error(word, part)

    def _look_up(self, word: str) -> bool:
        if word in self._words or (len(word) == 1 and word.isdigit()):
            return True
        if len(word) > _MAX_LETTERS:
            return False
        if _HANGUL.search(word):
            return self._is_korean(word)
        return word.isascii() and (self.has(word) or self._is_nearly_known(word.replace("'", "")))

    def has(self, word: str) -> bool:
        """Whether a word in lower case is one of the words, contracted or inflected perhaps, without a typing error."""
        if word in self._words:
            return True
        for ending in _CONTRACTED:
            if word.endswith(ending) and word.removesuffix(ending) in self._words:
                return True
        plain = word.replace("'", "")
        return plain not in COMMON_WORDS and any(
            plain.endswith(ending) and len(stem := plain.removesuffix(ending) + instead) > 2 and stem in self._words
            for ending, instead in _INFLECTED
        )

    def _is_nearly_known(self, word: str) -> bool:
        if word in COMMON_WORDS:
            return False
        if len(word) == _MIN_LETTERS - 1:  # "lft": a letter inside a word of four is missing
            known = self._by_length.get(_MIN_LETTERS, ())
            return any(is_one_error(word, one) and (word[0], word[-1]) == (one[0], one[-1]) for one in known)
        lengths = range(max(len(word) - 1, _MIN_LETTERS), len(word) + 2) if len(word) >= _MIN_LETTERS else ()
        return any(is_one_error(word, known) for length in lengths for known in self._by_length.get(length, ()))

    def _is_korean(self, word: str) -> bool:
        """Whether a word without spaces is made of known words, each with the particles or endings after it."""
        if self._verbs and _VERB.fullmatch(word):
            return True
        reached = {0}  # places where a part ends
        for place in range(len(word)):
            if place not in reached:
                continue
            for end in range(place + 1, len(word) + 1):
                part = word[place:end]
                follows = part in _PARTICLES or part in _ENDINGS
                if (part in self._words and (place or part not in _NEVER_FIRST)) or (place and follows):
                    reached.add(end)
        return len(word) in reached


def _plain(word: str) -> str:
    """A word without a contraction: "witch's" → "witch"."""
    return next((word.removesuffix(ending) for ending in _CONTRACTED if word.endswith(ending)), word)


def is_one_error(word: str, other: str) -> bool:
    """Whether two words differ by one typing error: a letter wrong, missing or too many, or two neighbours swapped.

    Example:
        >>> is_one_error("bheind", "behind"), is_one_error("behnd", "behind"), is_one_error("before", "behind")
        (True, True, False)
    """
    if len(word) > len(other):
        word, other = other, word
    if len(other) - len(word) > 1:
        return False
    start = 0
    while start < len(word) and word[start] == other[start]:
        start += 1
    if len(word) < len(other):
        return word[start:] == other[start + 1 :]
    rest, counterpart = word[start:], other[start:]
    if len(rest) > 1 and rest[:2] == counterpart[1::-1] and rest[2:] == counterpart[2:]:
        return True
    return rest[1:] == counterpart[1:]


def _normalised(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower().replace("’", "'").replace("‘", "'")
