"""Korean sentence frames for questions about two objects, in the small language of `_patterns`."""

from panollava_hf.panoshapes.wordings._korean_endings import FAR, NEAR, THERE, weighted

#: Left and right of one object, in the same style.
_PAIRS = weighted((6, "왼쪽/오른쪽"), (2, "왼편/오른편, 좌측/우측"))
_ENDS = (
    *weighted(
        (3, "에 있나요, 에 있어요, 에 있어, 인가요, 이에요, 이야"),
        (
            1,
            (
                "에 있습니까, 에 있니, 입니까, 이니, 인가, 에 있나, 일까요, 일까, 임, 에 있음, 이냐, 에 있냐, 에 "
                "있을까요, 이죠, 이지, 에 있지"
            ),
        ),
        (
            1,
            (
                "에 위치하나요, 에 놓여 있나요, 에 보이나요, 에 보여, 에 있는 건가요, 인 건가요, 인 거야, 에 있는 "
                "거야, 이려나, 이에여"
            ),
        ),
    ),
)
_JOINED = "( | |, | 아니면 |, 아니면 | 혹은 |? 아니면 | 또는 )"


def _sides() -> tuple[str, ...]:
    """Left or right, either first, each with an ending: "왼쪽에 있나요 아니면 오른쪽에 있나요"."""
    pairs = [pair.split("/") for pair in _PAIRS]
    ordered = [order for left, right in pairs for order in ((left, right), (left, right), (right, left))]
    return tuple(f"{first}{end}{_JOINED}{second}{end}" for first, second in ordered for end in _ENDS)


_WHICH_SIDE = (
    "(어느 쪽|어느 쪽|어느 편|어느 방향|왼쪽 오른쪽 중 어디|왼쪽과 오른쪽 중 어느 쪽|왼쪽 오른쪽 중 어느 쪽|좌우 "
    "중 어디|좌우 중 어느 쪽|왼쪽이랑 오른쪽 중 어느 쪽|좌우 어느 쪽)"
)
_EITHER = (
    "(왼쪽인지 오른쪽인지|왼쪽에 있는지 오른쪽에 있는지|왼쪽인지 오른쪽인지|오른쪽인지 왼쪽인지|왼편인지 "
    "오른편인지|좌측인지 우측인지|어느 쪽인지|어느 쪽에 있는지|왼쪽에 있는지, 오른쪽에 있는지|왼쪽인지, 아니면 "
    "오른쪽인지|오른쪽에 있는지 왼쪽에 있는지|왼쪽일지 오른쪽일지|왼쪽인가 오른쪽인가)"
)
SIDES = (
    *_sides(),
    *(f"{_WHICH_SIDE}에 {{is}}",) * 45,
    *(f"{_WHICH_SIDE}{{is_it}}",) * 45,
    *(f"{_EITHER} {{ask}}",) * 50,
    *weighted(
        (
            6,
            (
                "왼쪽 오른쪽, 왼쪽 아니면 오른쪽, 오른쪽 왼쪽, 왼쪽 or 오른쪽, 왼쪽, 오른쪽 중 어디, 좌 우, 왼쪽인지 "
                "오른쪽인지"
            ),
        )
    ),
)

_TOPIC = "(은/는|은/는|이/가|)"
_SEEN = "(보면|볼 때|봤을 때|보았을 때|볼 경우|보자면|보니까)"
_VIEW = (
    "({viewer} 기준으로|내가 볼 때|제가 볼 때|내가 봤을 때|내 시점에서|제 시점에서|내 쪽에서 보면|관찰자 "
    "시점에서|{viewer} 입장에서|정면에서 보면|내가 보기에|카메라 시점에서)"
)
#: The side before the objects, and a question for each side with the first object in between.
_ASIDE = (
    "(어느 쪽이야|어느 쪽이에요|왼쪽이야 오른쪽이야|왼쪽이에요 오른쪽이에요|왼쪽인가요 오른쪽인가요|어느 "
    "쪽에 있어|어느 쪽에 있나요)"
)
_BETWEEN = tuple(
    f"{left}에 {{first}}(이/가|) {verb}[,] [아니면 ]{right}에 {verb}"
    for left, right in (("왼쪽", "오른쪽"), ("좌측", "우측"), ("왼편", "오른편"), ("오른쪽", "왼쪽"))
    for verb in ("있나요", "있어요", "있어", "있습니까", "있니", "있냐", "보여", "보이나요")
)
_FIRST_SIDE = f"({'|'.join(_BETWEEN)})"
_THIS = "(앞의 것|앞엣것|전자|{first}|{first}|{first})"
_GOES = "(가려면|이동하려면|시선을 옮기려면|고개를 돌리려면|눈을 돌리려면|옮겨 가려면)"

RELATIVE = (
    (
        f"{{first}}{_TOPIC} {{second}}(의 | )(왼쪽|왼편|좌측) (오른쪽|오른편|우측) (중|가운데) (어디|어느 쪽|어느 "
        f"편)에 {{is}}?"
    ),
    (
        f"{{first}}{_TOPIC} {{second}}(을/를 | ){{based}} (어느 쪽|어느 방향|어디)(으로/로|에) (치우쳐|떨어져|"
        f"위치해|놓여) (있나요|있어|있어요|있니|있습니까|있는지 {{ask}})?"
    ),
    f"{{second}}(이/가|) (여기|앞|가운데|중앙|중심)에 있다고 (하면|치면|할 때|생각하면) {{first}}{_TOPIC} {{sides}}?",
    f"{{second}}(을/를 | )보고 (서면|있으면|섰을 때|서 있으면) {{first}}{_TOPIC} (내|제|나의) {{sides}}?",
    (
        "{first}(이/가|은/는|) {second}(의 | )(왼쪽에 있는 거야 오른쪽에 있는 거야|왼쪽에 있는 건가요 "
        "오른쪽에 있는 건가요|왼쪽이 맞아 오른쪽이 맞아|왼쪽인 거야 오른쪽인 거야)?"
    ),
    (
        f"(왼쪽|오른쪽|좌측) (오른쪽|왼쪽|우측) 중에서, {{first}}{_TOPIC} {{second}}(의 | )(어디|어느 쪽|어느 "
        f"편)에 {{is}}?"
    ),
    (
        "{second} (기준|기준으로) (왼쪽|좌측)(과|하고|이랑) (오른쪽|우측) 중 {first}(이/가|) 있는 (쪽은|"
        "곳은) (어디|어느 쪽){is_it}?"
    ),
    *(f"{{first}}{_TOPIC} {{second}}(의 | |의 ){{sides}}?",) * 6,
    *(f"{{first}}{_TOPIC} {{second}}(을/를 | ){{based}} {{sides}}?",) * 4,
    *(f"{{second}}(을/를 | ){{based}} {{first}}{_TOPIC} {{sides}}?",) * 4,
    "{second}(의 | )(어느 쪽|어느 편|어느 방향|왼쪽 오른쪽 중 어디)에 {first}(이/가|) {is}?",
    *(f"{{second}}(에서|쪽에서|에서|을/를 기준으로|의 위치에서) {_SEEN} {{first}}{_TOPIC} {{sides}}?",) * 2,
    (
        f"{{second}}을/를 (보면|볼 때|마주 보면|바라보면|바라볼 때|보고 있으면|보고 있을 때|향해 서면|정면으로 "
        f"보면|앞에 두고 보면|마주하면|쳐다보면|앞에 두면) {{first}}{_TOPIC} [그 |그것의 |그거 ]{{sides}}?"
    ),
    f"{{first}}{_TOPIC} {{second}}(보다|보다 더|에 비해|에 비해서|과/와 비교해서|과/와 비교하면|보다는) {{sides}}?",
    (
        f"{{second}}(에 비해|에 비해서|보다|과/와 비교하면|과/와 비교해서|이랑/랑 비교하면|하고 비교하면) "
        f"{{first}}{_TOPIC} {{sides}}?"
    ),
    *(f"{{first}}(이/가|은/는|) {{second}}(의 | ){_EITHER} {{ask}}",) * 3,
    f"{{first}}(이/가|은/는|) {{second}}(을/를 | ){{based}} {_EITHER} {{ask}}",
    f"{{second}}(을/를 | ){{based}} {{first}}(이/가|은/는|) {_EITHER} {{ask}}",
    f"{{first}}{_TOPIC} {{second}}에 (대해|대해서|대하여) {{sides}}?",
    (
        f"{{second}}에서 {{first}}으로/로 {_GOES} (왼쪽인가요 오른쪽인가요|어느 쪽{{is_it}}|어느 쪽으로 가나요|"
        f"어느 쪽으로 가야 {{must}}|왼쪽이야 오른쪽이야|왼쪽으로 가야 해 오른쪽으로 가야 해|어느 방향으로 가야 "
        f"{{must}}|왼쪽 오른쪽 중 어디로 가야 {{must}}|어느 쪽으로 돌아야 {{must}}|왼쪽으로 가야 하나요 "
        "오른쪽으로 가야 하나요)?"
    ),
    (
        "{second}을/를 (보다가|보고 있다가|보던 중) {first}을/를 (보려면|찾으려면) (어느 쪽으로|왼쪽 오른쪽 중 "
        "어디로|어느 방향으로) (고개를 돌려야|돌아야|봐야|시선을 옮겨야) {must}?"
    ),
    f"{{second}} (옆에서|옆에) {{first}}{_TOPIC} {{sides}}?",
    f"{_VIEW} {{first}}{_TOPIC} {{second}}(의 | ){{sides}}?",
    f"{_VIEW} {{second}}(을/를 | ){{based}} {{first}}{_TOPIC} {{sides}}?",
    f"{{first}}{_TOPIC} {_VIEW} {{second}}(의 | ){{sides}}?",
    f"{{in_scene}} {{first}}{_TOPIC} {{second}}(의 | ){{sides}}?",
    "{first}(이/가|) 있는 (곳은|쪽은|방향은|데가|위치는) {second}(의 | ){sides}?",
    f"{_ASIDE}[,] {{first}}{_TOPIC} {{second}}(을/를 기준으로| 기준으로| 기준|보다)?",
    f"{{second}}(의 | ){_FIRST_SIDE}?",
    "{second}(을/를 | ){based} {first}( |의 )(위치가|방향이|위치는|방향은|위치) {wonder}",
    "{second}(을/를 | ){based} {first}( |의 )(위치를|방향을|위치|방향) {tell}.",
    (
        "{first}, {second}(의 | )(왼쪽 오른쪽|왼쪽 아니면 오른쪽|왼쪽인지 오른쪽인지|어느 쪽|왼쪽? 오른쪽|좌측 "
        "우측|왼쪽인가 오른쪽인가)?"
    ),
    (
        f"{{first}}과/와 {{second}}(이/가 있는데|을/를 보면|이/가 있을 때|을/를 놓고 보면|이/가 보이는데), "
        f"{_THIS}{_TOPIC} {{sides}}?"
    ),
    (
        f"{{second}}(을/를 | )(가운데에 놓으면|가운데 두고|중심으로|중앙으로 잡으면|중심으로 보면|기준점으로) "
        f"{{first}}{_TOPIC} {{sides}}?"
    ),
    "{second} 옆 (어느 쪽|왼쪽 오른쪽 중 어디)에 {first}(이/가|) {is}?",
    f"{{second}} 입장에서 말고 {{viewer}} 기준으로 {{first}}{_TOPIC} {{second}} {{sides}}?",
)
BASED = weighted(
    (6, "기준으로"),
    (
        1,
        (
            "기준으로 보면, 기준으로 했을 때, 기준으로 봤을 때, 기준으로 볼 때, 기준에서, 기준, 기준 삼아, 기준으로 "
            "하면, 기준으로 잡으면, 기준으로 놓고, 기준으로 해서, 기준 잡고, 중심으로"
        ),
    ),
)

_LESS = {"nearer": ("가까이", "가까이에", "가깝게"), "farther": ("멀리", "멀리에", "멀리 떨어져", "멀찍이", "멀게")}
_MORE = "(더|더|더|더|더|훨씬|좀 더|조금 더|보다)"


def _more(ask: str) -> tuple[str, ...]:
    """Nearer or farther, as a question: "더 가까운가요", "더 멀리 있어"."""
    verb = {"nearer": NEAR, "farther": FAR}[ask]
    there = tuple(f"{_MORE} {form}" for phrase in _LESS[ask] for form in THERE.after(phrase).asked())
    plain = verb.asked() + (("머나요", "머냐") if ask == "farther" else ())
    return (*tuple(f"{_MORE} {form}" for form in plain) * 2, *there, *(f"(가장|제일) {form}" for form in plain), *plain)


_WHICH_ONE = (
    "(어느 것이|어느 게|무엇이|뭐가|뭐가|어떤 것이|어떤 게|어느 쪽이|어느 쪽이|어느 물체가|어느 {thing}이/가|"
    "어떤 {thing}이/가|어느 거가|누가|어떤 쪽이|어느 게|뭐)"
)
_AND = "(과/와|과/와|이랑/랑|이랑/랑|하고|,|이나/나|)"
_OUT_OF = "(중|중에|중에서|가운데|둘 중|둘 중에|둘 중에서|중에 하나|가운데서|사이에서)"
_FROM = (
    "(나에게|저에게|나에게서|저에게서|나한테|저한테|나한테서|저한테서|{mine} 쪽에|{viewer} 기준으로|여기서|"
    "이곳에서|내 위치에서|제 위치에서|내가 서 있는 곳에서|나로부터|카메라로부터|카메라에서|제가 있는 곳에서|내가 "
    "있는 데서|서 있는 자리에서|관찰자로부터|내 자리에서)"
)
_BOTH = f"{{first}}{_AND} {{second}} {_OUT_OF}"
_CHOSEN = (
    "이야/야",
    "인가요",
    "이에요/예요",
    "입니까",
    "이니/니",
    "이냐/냐",
    "일까",
    "일까요",
    "임",
    "인가",
    "이지/지",
    "이죠/죠",
)
_EITHER_ONE = f"({'|'.join(f'{{first}}{end}[,] [아니면 ]{{second}}{end}' for end in _CHOSEN)})"
_THAT = "(것은|건|게|거|물체는|쪽은|{thing}은/는|것|쪽이|쪽|애는)"

DISTANCE = (
    f"{{first}}{_AND} {{second}}, (둘 다 보이는데|둘 중에|둘 중|이 중에|이 둘 중|두 개 중) {_WHICH_ONE} {{more}}?",
    f"{{first}}(도 보이고|도 있고) {{second}}도 (보이는데|있는데) {_WHICH_ONE} {{more}}?",
    (
        f"{_BOTH} (나|저|카메라|관찰자)(와의|하고의|랑의|로부터의|와|하고|랑) 거리가 {{which_is}} (것은|건|쪽은|"
        f"게|물체는) (뭐|어느 쪽|무엇|어느 것){{is_it}}?"
    ),
    f"{{first}}{_AND} {{second}} {_OUT_OF} {_FROM} {_WHICH_ONE} {{whether}} {{ask}}",
    f"{_BOTH} {{which}} (물체|{{thing}}|것|쪽)의 (이름을|이름|색과 모양을) {{tell}}.",
    (
        f"{{first}}(과/와|이랑/랑|하고) {{second}} (거리를|거리|얼마나 {{far}}) (비교해|재|따져|비교해) (봐|보고|"
        f"보면), {_WHICH_ONE} {{brief}}?"
    ),
    (
        f"{{which}} (순서로|쪽부터) (보면|따지면) {{first}}{_AND} {{second}} {_OUT_OF} (뭐가|어느 게|어느 것이) "
        f"먼저{{is_it}}?"
    ),
    f"{_BOTH} (어느 쪽|어느 것|뭐|어느 게|어떤 게) {{brief}}?",
    *(f"{_BOTH} {_WHICH_ONE} {{more}}?",) * 10,
    *(f"{_FROM} {_BOTH} {_WHICH_ONE} {{more}}?",) * 2,
    f"{_BOTH} {_WHICH_ONE} {_FROM} {{more}}?",
    f"{{first}}{_AND} {{second}} {_OUT_OF} {_FROM} {{which}} {_THAT} (뭐|어느 쪽|어느 것|무엇|어느 거){{is_it}}?",
    *(f"{_WHICH_ONE} {{brief}}[?|,] {_EITHER_ONE}?",) * 2,
    f"{_WHICH_ONE} {{brief}}(, |? |: ){{first}} (아니면|또는|혹은|or|vs) {{second}}?",
    f"{_WHICH_ONE} {{brief}}: {{first}}, {{second}}?",
    *("{first}(이/가|이/가|) {twice}?",) * 3,
    *(f"{_BOTH} {{which}} {_THAT} (뭐|뭐|무엇|어느 것|어느 쪽|어느 거|어떤 거|어떤 것){{is_it}}?",) * 4,
    *(f"{_BOTH} {{which}} (것을|쪽을|물체를|걸|거|쪽|{{thing}}을/를|것) {{tell}}.",) * 2,
    f"{_BOTH} {{which}} (것|쪽|{{thing}}|거)(이/가|은/는) (뭔지|무엇인지|어느 것인지|어느 쪽인지|어느 건지) {{ask}}",
    (
        f"{_BOTH} {{which}} (것을|쪽을|물체를|걸|쪽|거) (골라 줘|골라 주세요|고르세요|고르시오|골라 봐|골라|"
        "선택해 줘|선택해 주세요|찾아 줘|찾으시오|짚어 줘|대 봐|말하시오)."
    ),
    f"{_BOTH} {_WHICH_ONE} {{whether}} {{ask}}",
    f"{_BOTH} {_WHICH_ONE} {{whether}} {{ask}}",
    *(f"{{which}} {_THAT} {_EITHER_ONE}?",) * 2,
    f"{_FROM} {{which}} {_THAT} {_EITHER_ONE}?",
    f"{{which}} {_THAT}[,] {{first}} (아니면|또는|혹은|vs) {{second}}?",
    (
        f"{{first}}(과/와|이랑/랑|하고) {{second}}(을/를 비교하면|을/를 비교했을 때|의 거리를 비교하면|을/를 놓고 "
        f"보면| 비교하면| 비교해서| 거리 비교하면|을/를 비교해 보면|의 거리를 재면|을/를 견주면) {_WHICH_ONE} "
        f"{{more}}?"
    ),
    (
        "(어느 물체가|둘 중 어느 것이|둘 중 뭐가|둘 중에|둘 중 어느 게|둘 중 어느 쪽이|두 물체 중 뭐가) "
        "{brief}? {first}(, | 아니면 |이랑/랑 |하고 | vs ){second}"
    ),
    f"{{first}}(,| vs| 대| 아니면|이랑/랑|하고) {{second}}(,| :|) {_WHICH_ONE} {{brief}}?",
    f"{{in_scene}} {_BOTH} {_WHICH_ONE} {{more}}?",
    (
        "{first}(까지의|까지) 거리(와|랑|하고) {second}(까지의|까지) 거리 중 (어느 쪽이|어느 게|뭐가|어느 "
        "것이) {length}?"
    ),
    (
        "{first}(하고|과/와|이랑/랑) {second} (중 거리상|중) {which} (쪽은|건|거|쪽|게)(| 뭐야| 뭐예요| "
        "어느 쪽이야| 뭐임)?"
    ),
    f"{_FROM} {{which}} (것은|건|게|쪽은|물체는|쪽이|거) {_BOTH} (뭐|어느 것|어느 쪽|무엇|어느 거){{is_it}}?",
    (
        f"{{first}}(은/는|이/가) {{second}}보다 {{brief}}? (아니면 {{second}}이/가 {{brief}}?|둘 중 {_WHICH_ONE} "
        f"{{brief}}?)"
    ),
    (
        f"(둘 중|둘 중에|두 개 중|두 물체 중|두 개 중에서) {{which}} {_THAT} (뭐|어느 쪽|무엇|어느 "
        f"것){{is_plain}}? {{first}}(, | 아니면 |이랑/랑 |하고 | 그리고 ){{second}}"
    ),
    f"{_BOTH} {{which}} (거|쪽|것|{{thing}}|게|쪽은|건)?",
)


def _comparison(ask: str) -> dict[str, tuple[str, ...]]:
    near = ask == "nearer"
    stem = "가까운" if near else "먼"
    brief = weighted(
        (4, "더 가까워, 더 가까워요, 더 가까운가요" if near else "더 멀어, 더 멀어요, 더 먼가요"),
        (
            2,
            (
                "더 가깝니, 더 가깝나요, 더 가깝습니까, 더 가까이 있어, 더 가까이 있나요, 더 가까이 있어요, 가까워, "
                "가까워요, 가까운가요"
            )
            if near
            else "더 멀니, 더 멀나요, 더 멉니까, 더 멀리 있어, 더 멀리 있나요, 더 멀리 있어요, 멀어, 멀어요, 먼가요",
        ),
        (
            1,
            ("더 가까울까, 더 가까움, 더 가깝지, 더 가깝죠, 더 가깝냐, 더 가까운 거야, 더 가까이 있음, 더 가까울까요")
            if near
            else (
                "더 멀까, 더 멀음, 더 멀지, 더 멀죠, 더 머냐, 더 먼 거야, 더 멀리 있음, 더 멀까요, 더 멀리 떨어져 "
                "있어, 더 멀리 떨어져 있나요"
            ),
        ),
    )
    twice = tuple(f"{end}[,] [아니면 ]{{second}}(이/가|) {end}" for end in brief)
    whether = tuple(
        f"{_MORE} {form}"
        for form in (
            *(f"{stem}지",) * 6,
            *(f"{stem}가",),
            *(f"{phrase} 있는지" for phrase in _LESS[ask]),
            f"{stem} 쪽인지",
            f"{stem} 거인지",
        )
    )
    which = (
        tuple(
            f"{more} {form}"
            for more in ("더", "더", "더", "좀 더", "가장", "제일", "훨씬", "보다")
            for form in (
                *(stem,) * 3,
                *(f"{phrase} 있는" for phrase in _LESS[ask]),
                f"{_LESS[ask][0]} 놓인",
                f"{_LESS[ask][0]} 위치한",
                f"거리가 {stem}",
            )
        )
        + (stem,) * 6
        + tuple(f"{phrase} 있는" for phrase in _LESS[ask]) * 2
    )
    length = (
        "(더 |)(짧나요|짧아|짧아요|짧은가요|가까워|가까운가요|가까워요)"
        if near
        else "(더 |)(머나요|멀어|멀어요|먼가요|긴가요|길어|길어요|깁니까|기나요)"
    )
    return {
        "more": _more(ask),
        "which": which,
        "whether": whether,
        "which_is": (stem, f"더 {stem}", f"제일 {stem}"),
        "far": ("먼지", "떨어져 있는지"),
        "brief": brief,
        "twice": twice,
        "length": (length,),
    }


DISTANCES = {ask: _comparison(ask) for ask in ("nearer", "farther")}
