"""Endings of Korean questions and requests: polite, formal, familiar, plain, and as in messages.

A text that ends with its own mark, such as "알려 주세요.", may stand before the mark of its frame: the first
one counts.
"""

from dataclasses import dataclass


def weighted(*groups: tuple[int, str]) -> tuple[str, ...]:
    """Alternatives that are drawn more or less often: a number of times, and words separated by commas.

    >>> weighted((2, "있나요, 있어요"), (1, "있니"))
    ('있나요', '있어요', '있나요', '있어요', '있니')
    """
    return tuple(word for times, words in groups for word in words.split(", ") * times)


@dataclass(frozen=True)
class Verb:
    """The forms of a verb or adjective that its endings follow.

    Attributes:
        stem: 있 in 있지.
        spoken: 있어.
        present: 있는, before a noun.
        future: 있을.
        formal: 있습니 in 있습니까.
        noun: 있음.
        wonder: 있으려나.
    """

    stem: str
    spoken: str
    present: str
    future: str
    formal: str
    noun: str
    wonder: str

    def after(self, words: str) -> "Verb":
        """The verb after other words: 놓여 있어."""
        forms = (self.stem, self.spoken, self.present, self.future, self.formal, self.noun, self.wonder)
        return Verb(*(f"{words} {form}" for form in forms))

    def questions(self) -> tuple[str, ...]:
        """Direct questions, the usual ones more often, in all levels of speech."""
        return (
            *(f"{self.stem}나요", f"{self.spoken}요", self.spoken) * 5,
            *(f"{self.formal}까", f"{self.stem}니", f"{self.stem}지", f"{self.stem}죠", f"{self.stem}나", self.noun)
            * 2,
            *(f"{self.stem}냐", f"{self.present}가요", f"{self.present}가", f"{self.future}까요", f"{self.future}까"),
            *(
                f"{self.present} {end}"
                for end in ("거야", "거예요", "건가요", "건가", "거지", "거죠", "겁니까", "거니")
            ),
            *(f"{self.present}{end}" for end in ("지요", "지", "데", "데요")),
            *(self.wonder, f"{self.stem}더라", f"{self.stem}던가요", f"{self.stem}나여", f"{self.stem}남"),
        )

    def asked(self) -> tuple[str, ...]:
        """Direct questions and indirect ones with a request."""
        return self.questions() + (f"{self.present}지 {{ask}}",) * 8


THERE = Verb("있", "있어", "있는", "있을", "있습니", "있음", "있으려나")
SEEN = Verb("보이", "보여", "보이는", "보일", "보입니", "보임", "보이려나")
EXIST = Verb("존재하", "존재해", "존재하는", "존재할", "존재합니", "존재함", "존재하려나")
LIE = Verb("위치하", "위치해", "위치하는", "위치할", "위치합니", "위치함", "위치하려나")
COME = Verb("나오", "나와", "나오는", "나올", "나옵니", "나옴", "나오려나")
NEAR = Verb("가깝", "가까워", "가까운", "가까울", "가깝습니", "가까움", "가까우려나")
FAR = Verb("멀", "멀어", "먼", "멀", "멉니", "멀음", "멀려나")
MUST = Verb("하", "해", "하는", "할", "합니", "함", "하려나")
WORK = Verb("되", "돼", "되는", "될", "됩니", "됨", "되려나")
CAN = THERE.after("수")

#: What someone asks to do, before a form of "give".
_DO = weighted((5, "알려, 말해"), (2, "가르쳐, 답해, 대답해"), (1, "말씀해, 확인해, 찾아, 얘기해, 이야기해, 봐, 일러"))
_GIVE = weighted(
    (5, "주세요., 줘."),
    (2, "줄래?, 줘요., 주시겠어요?, 주실래요?, 줄 수 있어?, 주실 수 있나요?, 주십시오."),
    (
        1,
        (
            "줄래요?, 주라., 주렴., 주셈., 주삼., 주세염., 주세여., 주실 수 있을까요?, 줄 수 있을까?, 줄 수 "
            "있니?, 줄 수 있나요?, 주실 수 있으세요?, 주시면 감사하겠습니다., 주시면 고맙겠어요., 주시면 "
            "좋겠어요., 줬으면 좋겠어., 줬음 해., 주시겠습니까?, 주시죠., 주면 안 돼?, 주면 돼., 주시면 됩니다., "
            "주길 바랍니다., 주길 바라., 주면 고맙겠어., 주면 좋겠는데., 줘 봐."
        ),
    ),
)
_TRY = (
    "(알려|말해|답해|대답해|맞혀|맞춰|얘기해|찾아|설명해|확인해)( |)(봐.|봐.|보세요.|볼래?|볼래요?|보렴.|보시오.|"
    "봐요.|봐라.)"
)
_ORDER = (
    "(말하시오|답하시오|알려라|말해라|답하라|대답해라|말해|답해|말하세요|답하세요|대답하세요|대답하시오|"
    "말씀하세요|답하십시오)."
)
_REQUEST = f"({'|'.join(_DO)})( |){{give}}"
_WONDER = weighted(
    (3, "궁금해., 궁금해요."),
    (
        1,
        (
            "궁금합니다., 궁금한데., 궁금하네., 궁금하네요., 궁금한데요., 궁금하다., 궁금함., 좀 궁금해., "
            "궁금해서요., 궁금하거든요."
        ),
    ),
)
_WANT = weighted(
    (2, "알고 싶어., 알고 싶어요."),
    (
        1,
        (
            "알고 싶습니다., 알고 싶은데., 알고 싶은데요., 알고 싶네요., 알고 싶다., 알 수 있을까요?, 알 수 "
            "있을까?, 알 수 있나요?, 알 수 있어?, 알았으면 해., 알았으면 합니다."
        ),
    ),
)
_KNOW = weighted(
    (2, "알아?, 아세요?, 알아요?, 아시나요?"),
    (
        1,
        (
            "아니?, 아냐?, 아십니까?, 알아봐 줘., 알아봐 주세요., 아시는지요?, 알아맞혀 봐., 알겠어?, 알겠어요?, "
            "아시겠어요?, 혹시 알아?, 혹시 아세요?, 혹시 아시나요?"
        ),
    ),
)
_PLEASE = weighted(
    (2, "부탁해., 부탁해요., 부탁드려요., 부탁드립니다."), (1, "부탁합니다., 부탁함., 부탁드릴게요., 부탁해도 될까요?")
)
_UNSURE = weighted(
    (
        1,
        (
            "모르겠어., 모르겠어요., 모르겠네., 모르겠는데., 모르겠네요., 모르겠습니다., 잘 모르겠어., 물어봐도 돼?, "
            "말이야."
        ),
    )
)

#: Requests after an object, after an indirect question, and after a noun as a subject.
TELL = (
    *(_REQUEST,) * 14,
    *(f"좀 {_REQUEST}",) * 3,
    *(_TRY,) * 3,
    *(_ORDER,) * 2,
    *(f"({'|'.join(_WANT)})",) * 3,
    *(f"[좀 ]({'|'.join(_PLEASE)})",) * 2,
)
ASK = (
    *(_REQUEST,) * 12,
    *(f"좀 {_REQUEST}",) * 3,
    *(_TRY,) * 2,
    _ORDER,
    *(f"({'|'.join(_WONDER)})",) * 4,
    *(f"({'|'.join(_WANT)})",) * 3,
    *(f"({'|'.join(_KNOW)})",) * 4,
    f"({'|'.join(_UNSURE)})",
)
WONDER = (
    *_WONDER,
    "뭐야?",
    "뭐예요?",
    "뭔가요?",
    "뭐지?",
    "뭐죠?",
    "뭘까?",
    "뭘까요?",
    "무엇인가요?",
    "어떻게 되나요?",
)

#: Forms of "is" after a noun, with the form of the particle that fits.
IS_IT = (
    *weighted(
        (4, "인가요, 이에요/예요, 이야/야"),
        (2, "입니까, 이니/니, 이죠/죠, 이지/지, 인가, 임, 일까요"),
        (
            1,
            (
                "이냐/냐, 일까, 인 거예요, 인 거야, 인 건가요, 인 건가, 인 거죠, 인 거지, 인지요, 인지, 인데, "
                "인데요, 이려나/려나, 이더라/더라, 이었지/였지, 이에여/예여, 인가여, 이었더라/였더라"
            ),
        ),
    ),
    *("인지 {ask}",) * 7,
)

ENDINGS: dict[str, tuple[str, ...]] = {
    "give": _GIVE,
    "tell": TELL,
    "ask": ASK,
    "wonder": WONDER,
    "is_it": IS_IT,
    "is_plain": tuple(end for end in IS_IT if "{" not in end),
    "is": (
        *THERE.asked() * 6,
        *SEEN.asked(),
        *EXIST.asked(),
        *LIE.asked(),
        *THERE.after("위치해").asked(),
        *THERE.after("놓여").asked(),
    ),
    "there": THERE.asked(),
    "see": (
        *SEEN.asked() * 4,
        *COME.asked(),
        *weighted((2, "눈에 띄나요, 눈에 띄어, 눈에 띄어요, 눈에 들어오나요, 눈에 들어와, 보인다고 할 수 있나요")),
    ),
    "there_now": THERE.questions(),
    "can_see": (*CAN.after("볼").asked(), *CAN.after("찾을").asked(), *CAN.after("발견할").asked()),
    "must": (*MUST.questions() * 2, *WORK.questions()),
    "works": WORK.questions(),
    "looks": (
        *weighted(
            (3, "생겼나요, 생겼어요, 생겼어"),
            (
                1,
                (
                    "생겼니, 생겼습니까, 생겼냐, 생겼지, 생겼죠, 생김, 생겼을까요, 생겼을까, 생긴 거야, 생긴 "
                    "건가요, 생겼는데, 생겼는데요, 생겼나, 생겼더라, 생겼는가, 생겼는지요, 생겨 먹었어, 생긴 "
                    "거예요, 생겼어여"
                ),
            ),
        ),
        *("생겼는지 {ask}",) * 7,
    ),
}
