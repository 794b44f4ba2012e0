"""Frames of English questions about two objects: left or right, nearer or farther.

The small language is that of `_patterns`. The slots are the phrases of the program, see `_english`, and the general
words of `_english_words.COMMON`. "a" also stands for "an". Each frame is drawn as often as every other one.
"""

RELATIVE = (
    "Is the {first} to the left or to the right of the {second}?",
    "Is the {first} left or right of the {second}?",
    "Is the {first} right or left of the {second}?",
    "Is the {first} (on|to|at) the left or (on |to |at |)the right[ side] of the {second}?",
    "Is the {first} (on|to|at) the right or (on |to |at |)the left[ side] of the {second}?",
    (
        "On (which|what) side of the {second} (is|lies|sits|stands|do you see|do I find|can I find|is "
        "located) the {first}?"
    ),
    "(Which|What) side of the {second} is the {first}[ on| at]?",
    "To (which|what) side of the {second} (is|lies|stands) the {first}?",
    "Where is the {first}, left or right of the {second}?",
    (
        "Where is the {first} (relative to|compared to|compared with|with respect to|in relation to|from|"
        "seen from|with regard to) the {second}[, left or right|: left or right]?"
    ),
    (
        "(Relative to|Compared to|Compared with|With respect to|In relation to|Seen from|From|Starting from) "
        "the {second}, (where is|on which side is|is|which side is|which way is) the {first}[, left or right|"
        " left or right|: left or right]?"
    ),
    (
        "Does the {first} (lie|sit|stand|appear|float|rest) (left or right|to the left or right|to the left "
        "or to the right|on the left or on the right|on the left or right side|right or left) of the "
        "{second}?"
    ),
    "Which way from the {second} is the {first}[, left or right]?",
    (
        "Which way (do|should|must|would) I (turn|look|go|move) from the {second} to (see|reach|find|get to) "
        "the {first}[, left or right]?"
    ),
    (
        "If I (look at|face|am facing|see|stare at) the {second}, (is|where is|on which side is|which side "
        "is) the {first} [to the left or right|left or right|on my left or on my right]?"
    ),
    (
        "Facing the {second}, is the {first} (left or right|to the left or to the right|on the left or right|"
        "on my left or my right)?"
    ),
    "The {first} is (left or right|on which side|to which side|right or left|on what side) of the {second}?",
    "The {first}: (left or right|right or left) of the {second}?",
    "Left or right of the {second}: (where is |)the {first}?",
    "Left or right: where is the {first} (relative to|compared to|from) the {second}?",
    (
        "{tell} (if|whether) the {first} is (left or right|to the left or right|right or left|to the left or "
        "to the right) of the {second}."
    ),
    "{tell} (on|to) which side of the {second} the {first} (is|lies|stands).",
    "In (which|what) direction from the {second} is the {first}[, left or right]?",
    "Would you say the {first} is (left or right|to the left or to the right|to the left or right) of the {second}?",
    "Going from the {second} to the {first}, do I (go|turn|move) left or right?",
    "From the {second}, do I (go|turn|move|look) left or right to (see|reach|find|get to) the {first}?",
    (
        "I see the {second}. Is the {first} (to its left or right|left or right of it|on its left or right|"
        "to the left or to the right of it)?"
    ),
    (
        "Is the {first} (further|farther|more) (left or right|to the left or to the right|to the left or "
        "right) than the {second}?"
    ),
    "Do you (see|find|have) the {first} (left or right|to the left or right|on the left or right) of the {second}?",
    "Which side is the {first} on, relative to the {second}?",
    "(Which|What) side is the {first} (of|from) the {second}?",
    "Left or right? The {first} is seen from the {second}.",
    "Between left and right, where is the {first} from the {second}?",
    "Compare the {first} with the {second}: is it left or right?",
    "Next to the {second}, is the {first} (left or right|on the left or on the right)?",
    "Is the position of the {first} left or right of the {second}?",
    "Starting at the {second}, is the {first} left or right?",
    "Is the {first} on the left hand or the right hand side of the {second}?",
    (
        "{know_if} the {first} is (left or right|to the left or right|to the left or to the right|on the left or on "
        "the right|right or left) of the {second}."
    ),
    "{know} (which|what|on which|on what) side of the {second} the {first} (is|is on|lies|is located).",
    (
        "{know} where the {first} is (relative to|compared to|seen from|with respect to) the {second}[, left or "
        "right|: left or right]."
    ),
    (
        "Do I (turn|go|look|move|have to turn|need to turn) left or right from the {second} to (see|reach|find|get "
        "to|face) the {first}?"
    ),
    (
        "To (see|reach|find|get to|go to) the {first} from the {second}, (do|should|must|would) I "
        "(turn|go|look|move) left or right?"
    ),
    (
        "To get from the {second} to the {first}, (do|should|must|would) I (turn|go|look|move) (left or right|right "
        "or left|to the left or to the right)?"
    ),
    (
        "(When|If) (my eyes|I) (move|go|turn|look) from the {second} to the {first}, is that (left or right|to the "
        "left or to the right)?"
    ),
    "(Which|What) (side|way|direction) of the {second}: (where is |)the {first}?",
    "The {first} (vs|versus|compared to|relative to|from|next to) the {second}: (left or right|which side)?",
    "the {first} is left or right (to|from|of|than) the {second}?",
    "{first} left or right of {second}?",
    "Is {first} on left or right (of|from|side of) {second}?",
    "The {first} is to the left of the {second}, or (is it |)to the (right|other side)?",
    "Is the {first} left of the {second} or (is it |)right of it?",
    (
        "Is the {first} (standing|sitting|lying|located|placed|positioned|hanging|floating) (left or right|to the "
        "left or to the right|on the left or the right) of the {second}?"
    ),
    (
        "With the {second} (in front of me|ahead of me|before me|as the reference), is the {first} (left or "
        "right|to the left or right|on the left or on the right|on my left or right)?"
    ),
    (
        "Standing before the {second}, (do|would|will) I (see|find|have) the {first} (left or right|on my left or "
        "on my right|to the left or right)?"
    ),
    "Which is it: the {first} left of the {second} or right of it?",
    "Left or right of the {second} is the {first}?",
    "On what hand of the {second} is the {first}, left or right?",
    "Does the {first} come left or right of the {second}?",
    "Where do you see the {first}, left or right of the {second}?",
    (
        "Where does the {first} (lie|stand|sit) (relative to|compared to|from|with respect to) the {second}[, left "
        "or right]?"
    ),
)

NEARER = (
    "nearer",
    "closer",
    "nearer",
    "closer",
    "nearest",
    "closest",
    "less far",
    "less distant",
    "not as far",
    "less far away",
    "more near",
    "more close",
    "less remote",
    "less far off",
    "closer by",
    "not so far",
)
FARTHER = (
    "farther",
    "further",
    "farther away",
    "further away",
    "more distant",
    "farthest",
    "furthest",
    "more far away",
    "more remote",
    "farther off",
    "less near",
    "less close",
    "further off",
    "farther away",
    "more far",
    "most distant",
    "furthest away",
    "farthest away",
    "not as near",
    "not as close",
)

DISTANCE = (
    "Which is {more}[ to (me|us|you|the camera)], the {first} or the {second}?",
    "Which is {more}: the {first} or the {second}?",
    "Which (one|{thing}) is {more}[ to (me|us|you|the camera)], the {first} or the {second}?",
    "Which one of the two is {more}, the {first} or the {second}?",
    "What is {more}, the {first} or the {second}?",
    "What's {more}, the {first} or the {second}?",
    "Is the {first} or the {second} {more}[ to (me|us|you|the camera)]?",
    "Is the {first} {more} (or is the|or the) {second}?",
    "The {first} or the {second}, which (one |)is {more}?",
    "The {first} or the {second}: which (one |)is {more}?",
    "Between the {first} and the {second}, which (one |{thing} |)is {more}[ to (me|us|you|the camera)]?",
    "Of the {first} and the {second}, which (one |{thing} |)is {more}[ to (me|us|you|the camera)]?",
    "Compare the {first} and the {second}: which is {more}?",
    "Comparing the {first} with the {second}, which (one |)is {more}?",
    "{tell} which (one |{thing} |)is {more}, the {first} or the {second}.",
    "{tell} (if|whether) the {first} or the {second} is {more}.",
    "Which of these is {more}, the {first} or the {second}?",
    "Which of them is {more}[ to (me|us|you|the camera)]: the {first} or the {second}?",
    (
        "Which (one |{thing} |)(lies|sits|stands|appears|seems|looks|floats) {more}[ to (me|us|you|the "
        "camera)], the {first} or the {second}?"
    ),
    "Does the {first} or the {second} (lie|sit|stand|appear|seem|look|float) {more}?",
    "Given the {first} and the {second}, which is {more}?",
    "Who is {more}, the {first} or the {second}?",
    "{more}: the {first} or the {second}?",
    "{more}, the {first} or the {second}?",
    "I see the {first} and the {second}. Which (one |)is {more}?",
    "Look at the {first} and the {second}. Which (one |)is {more}?",
    "Would you say the {first} or the {second} is {more}?",
    "Which would be {more}, the {first} or the {second}?",
    "Among the {first} and the {second}, the {more} (one|{thing}) is which?",
    "Name the {more} (one|{thing}): the {first} or the {second}.",
    "Choose the {more} (one|{thing}): the {first} or the {second}.",
    "Pick the {more} (one|{thing}), the {first} or the {second}.",
    "Which is the {more} (one|{thing}), the {first} or the {second}?",
    "Which {thing} has the {distance} distance[ (to|from) (me|us|you|the camera)], the {first} or the {second}?",
    "Which has the {distance} distance[ (to|from) (me|us|you|the camera)], the {first} or the {second}?",
    "The {distance} distance (belongs to|is that of|has) which one, the {first} or the {second}?",
    "Which (one |)is {at_distance}, the {first} or the {second}?",
    "Which (one |)(do|would|will) I (reach|touch|get to|arrive at|bump into) {order}, the {first} or the {second}?",
    "The {first} and the {second}: which (one |)is {more}[ to (me|us|you|the camera)]?",
    "Which is {more}[ to (me|us|you|the camera)]? The {first}, or the {second}?",
    "Judging by distance, which is {more}, the {first} or the {second}?",
    "{know} (which|which one|which {thing}|what) is {more}[ to (me|us|you|the camera)], the {first} or the {second}.",
    "{know_if} the {first} or the {second} is {more}[ to (me|us|you|the camera)].",
    "{know} (which|which one) of the two is {more}: the {first} or the {second}.",
    "{know} which of the {first} and the {second} is {more}.",
    "(who|which|what) (is|be) {more} (to|from) me, {first} or {second}?",
    "{first} or {second}: (which|which one|who|what) is {more}?",
    "{first} or {second}, {more}?",
    "{first} vs {second}: (which|which one|what) is {more}?",
    "{first} versus {second}, which (one |)is {more}?",
    "Which is {more} (to|from) (me|us|the camera) - the {first} or the {second}?",
    "(Which|What) (one |{thing} |)(of |between |from |out of )the {first} and the {second} is {more}?",
    "Is it the {first} or the {second} (that is|that's|which is) {more}[ to (me|us|you|the camera)]?",
    (
        "(Which|What) (one |{thing} |)(do|would|will|could|can) I (reach|touch|get to|arrive at|bump into|grab|hit) "
        "{order}: the {first} or the {second}?"
    ),
    (
        "(Do|Would|Will|Could) I (reach|touch|get to|arrive at|bump into|walk into|hit) the {first} or the {second} "
        "{order}?"
    ),
    "(Which|What) (one |{thing} |)is (the |){walk} from (me|here|where I stand|us), the {first} or the {second}?",
    "(Which|What) (one |{thing} |)(do|would|must) I walk {steps} to (reach|get to), the {first} or the {second}?",
    "For which (one |{thing} |)is the (distance|way|path) {distance}, the {first} or the {second}?",
    "(Whose|Which one's) distance (to|from) (me|us|the camera) is {distance}, the {first}'s or the {second}'s?",
    "Is the distance (to|from) the {first} or (to |from |)the {second} {distance}?",
    "From (here|my position|where I stand|the camera), which (one |{thing} |)is {more}, the {first} or the {second}?",
    "Which (one |)(looks|seems|appears to be|seems to be) {more}: the {first} or the {second}?",
    "Which of the two, the {first} or the {second}, is {more}[ to (me|us|you|the camera)]?",
    "The {more} (one|{thing}) is (which|what|which one): the {first} or the {second}?",
    "Seen from (here|me|the camera|the viewer), is the {first} or the {second} {more}?",
)
#: What "nearer" and "farther" are in the frames above.
DISTANCES = {
    "nearer": {
        "more": NEARER,
        "distance": ("smaller", "shorter", "lesser", "smallest", "shortest"),
        "at_distance": (
            "at a smaller distance",
            "at a shorter distance",
            "at the shorter distance",
            "near",
            "close to me",
            "close by",
            "nearby",
            "within easier reach",
            "easier to reach",
            "a shorter way off",
            "fewer steps away",
            "closer at hand",
        ),
        "order": ("first", "sooner", "earlier", "in fewer steps", "quicker", "faster", "before the other"),
        "walk": ("shorter walk", "shorter way", "smaller walk", "shorter distance", "shorter path", "shortest walk"),
        "steps": ("fewer steps", "less far", "a shorter way", "fewer metres", "less"),
    },
    "farther": {
        "more": FARTHER,
        "distance": ("greater", "larger", "longer", "bigger", "greatest", "largest", "longest"),
        "at_distance": (
            "at a greater distance",
            "at a larger distance",
            "at the longer distance",
            "far away",
            "far off",
            "a longer way off",
            "far from me",
            "harder to reach",
            "more steps away",
            "way off",
            "in the distance",
        ),
        "order": ("last", "later", "second", "in more steps", "slower", "after the other"),
        "walk": ("longer walk", "longer way", "bigger walk", "longer distance", "longer path", "longest walk"),
        "steps": ("more steps", "farther", "further", "a longer way", "more metres", "more"),
    },
}
