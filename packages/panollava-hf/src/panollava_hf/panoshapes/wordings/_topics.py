"""What questions about PanoShapes are about: at least one of these words is in each of them.

"Where am I?" has only words that the training questions have too, but no scene has an answer to it.
"""

from panollava_hf.panoshapes.wordings import _english_names as english
from panollava_hf.panoshapes.wordings import _korean_names as korean
from panollava_hf.panoshapes.wordings._patterns import pattern_words

#: Names of objects, and parts of them, that are in other questions too.
_EVERYWHERE = frozenset({"one", "ones", "like", "can", "die", "log", "six"})
_HOURS = "1 2 3 4 5 6 7 8 9 10 11 12 one two three four five six seven eight nine ten eleven twelve".split()
#: Phrases of words that are in other questions too.
_PHRASES = (
    *(f"{article} {name}" for article in ("the", "a") for name in ("can", "die", "log")),
    *(f"{before} {hour}" for before in ("at", "my") for hour in _HOURS),
    *("what is where", "what's where", "what is here", "what's here", "what is there", "what is in", "what's in"),
    *("what all", "in sight", "before me", "raise my", "lower my", "walk me"),
    *(
        f"{what} {is_there}"
        for what in ("뭐", "뭐가", "뭐뭐", "뭐뭐가", "뭔가", "무엇이", "무엇무엇이", "어떤 게", "어떤 것이")
        for is_there in "있어 있어요 있나 있나요 있니 있냐 있지 있죠 있음 있습니까 있는지 있을까 있을까요".split()
    ),
)
_ENGLISH = """
    direction directions front ahead forward forwards behind back rear backward backwards left leftward leftmost right
    rightward rightmost up upward upwards above over overhead top higher upper uppermost zenith sky infront backside
    frontal high highest low lowest down downward downwards below under underneath beneath bottom lower ground floor
    nadir feet foot head heads nose face facing shoulder side sides corner left-hand right-hand opposite straight
    around round o'clock every middle turn turned turning anything something everything whatever many count counted
    counting number numbers numerous tally amount quantity total colour color colours colors coloured colored hue
    shade tint tinted tone paint painted shape shapes shaped geometry nearer nearest closer closest farther farthest
    further furthest close near nearby far distant distance remote setting explain perceive notice discover detect
    observe describe describing description caption list listing enumerate inventory summary summarise summarize
    overview surroundings surround surrounds surrounded scene picture image panorama photo photograph pic render
    environment world view see seen visible look looking looks depict depicted shown show shows display displayed red
    green blue yellow purple orange
"""
_KOREAN = """
    앞 앞쪽 정면 사방 전방 눈앞 뒤 뒤쪽 뒤편 뒷쪽 뒷편 후방 등 왼쪽 왼편 좌측 왼손 왼 오른쪽 오른편
    우측 오른손 오른 위 위쪽 상단 머리 하늘 천장 아래 아래쪽 밑 밑쪽 하단 바닥 발 발밑 발치 방향
    대각선 옆 쪽 개 몇개 개수 갯수 숫자 수 세어 세 얼마나 하나 색 색깔 색상 빛깔 모양 형태 생김새
    생겼 생긴 가까운 가까이 가까워 가깝 먼 멀리 멀 멀어 거리 설명 묘사 서술 나열 열거 요약 주위 주변
    둘레 둘러 장면 사진 그림 이미지 파노라마 화면 풍경 모두 전부 전체 모든 보이 컬러 정체 둘러보 둘러봐 보여
    보입 보인 보일 보였 볼 것 것들 게 뭐뭐 무엇무엇
    앞편 앞부분 앞면 전면 코앞 앞뒤 앞뒤좌우 전후좌우 좌우 뒷부분 뒷면 뒤통수 뒷통수 등뒤 등쪽 후면 정후방 반대편
    반대쪽 정반대편
    왼팔 왼켠 왼쪽편 왼방향 좌편 좌측면 오른팔 오른켠 오른쪽편 오른방향 우편 우측면 바른쪽 윗쪽 윗편 위편 윗부분 상부
    천정 꼭대기 공중
    상공 허공 정수리 상방 아랫쪽 아래편 아랫부분 밑바닥 밑부분 하부 하방 땅 땅바닥 발아래 발바닥 지면 바닥면 모서리
    구석 비스듬히 중앙
    한가운데 고개 올려다보 올려다봤 내려다보 내려다봤 뒤돌아보 뒤돌아봤 뒤돌 돌아보 돌아봤 뒤돌아서 어깨 띄어 띄나요
    들어오나요 들어와
    둥그런 동글동글한 네모난 네모진 각진 뾰족한 뾰족하게 뾰쪽한 세모난 구멍 뚫린 길쭉한 광경 전경 영상 씬 목록 리스트
    배치 캡션
    묘사해 설명해 컬러 빛깔 색채 도형 형상 모양새 몇개 갯수 수량 총수 개체 합계 색갈 뒷쪽 섹깔 새깔
    공간 근처 둘러싼 둘러봤 어디어디
"""


def topics() -> list[str]:
    """The words in lower case, sorted: names of objects, directions, and what else can be asked about.

    Example:
        >>> words = set(topics())
        >>> {"cube", "behind", "many", "뒤"} <= words, "where" in words
        (True, False)
    """
    named: set[str] = set()
    for words in (english, korean):
        named.update(words.THINGS, *words.COLOUR_NAMES.values(), *words.SHAPE_NAMES.values())
    named.update(
        *english.SHAPE_ADJECTIVES.values(),
        *english.SHAPE_FEATURES.values(),
        *english.SHAPE_PLURALS.values(),
        map(english.plural, english.THINGS),
    )
    return sorted((pattern_words(named) - _EVERYWHERE) | {*_PHRASES, *_ENGLISH.split(), *_KOREAN.split()})
