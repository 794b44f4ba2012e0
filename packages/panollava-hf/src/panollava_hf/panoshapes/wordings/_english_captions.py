"""Frames of English questions that ask for everything in a scene.

The small language is that of `_patterns`. The slots are the phrases of the program, see `_english`, and the general
words of `_english_words.COMMON`. "a" also stands for "an". Each frame is drawn as often as every other one.
"""

CAPTION = (
    "Describe (the|this) {scene}.",
    "Describe (what is|what's|everything|all|the {things}|all the {things}|whatever is) around (me|us|you|the camera).",
    "Describe (what|everything|all that|whatever) (you|I|we) (can |){see}[ {in_scene}].",
    "Describe (everything|all the {things}|the {things}|it all)[ {in_scene}].",
    "Describe (my|our|the) surroundings.",
    "{tell} what is around (me|us|you).",
    "{tell} what (you|I|we) (can |){see}[ {in_scene}].",
    "{tell} everything (you|I|we) (can |){see}.",
    "{tell} all (the {things}|of the {things})[ and where they are| and their directions| and their positions].",
    "{tell} about (the|this) {scene}.",
    "What (do|can|could|did) (you|I|we|one) {see}[ {in_scene}]?",
    "What (all |)is (there |){in_scene}?",
    "What is (in|on) (the|this) {scene}?",
    "What's in (the|this) {scene}?",
    "What {things} are there[ {in_scene}]?",
    "What {things} (can|could|do|did) (you|I|we|one) {see}[ {in_scene}]?",
    "What {things} are {seen}?",
    "Which {things} are {seen}?",
    "Which {things} (can|could|do) (you|I|we|one) {see}[ {in_scene}]?",
    (
        "List (all|every|all of|each of|) (the |){things}[ {in_scene}][ and where they are| with their "
        "directions| with their positions]."
    ),
    "List (everything|all) (you|I|we) (can |){see}.",
    "List what is {in_scene}.",
    "Name (all|every|all of|) (the |){things}[ {in_scene}].",
    "Enumerate (all |)(the |){things}[ {in_scene}].",
    "What does (this|the) {scene} (show|contain|depict|display|look like|include|hold)?",
    "What is (shown|depicted|displayed|visible|going on|present|to be seen)[ {in_scene}]?",
    "What surrounds (me|us|you|the camera)?",
    "What am I (surrounded by|looking at|seeing)?",
    (
        "Give (me |)(a|an|the) (description|caption|overview|summary|list|account|full description|complete "
        "description|inventory) of (the|this) {scene}."
    ),
    (
        "Give (me |)(a|an|the) (description|overview|summary|list|account|inventory) of (all|everything|the "
        "{things}|my surroundings|what you see|what is around me)."
    ),
    "Caption (the|this) {scene}.",
    "Write a (caption|description|summary) (for|of) (the|this) {scene}.",
    "Make a (list|description|caption|inventory) of (the|all|all the) {things}.",
    "Summarise (the|this) {scene}.",
    "Summarize (the|this) {scene}.",
    "Explain (the|this) {scene}.",
    "Explain what (you|I|we) (can |){see}.",
    "How does (the|this) {scene} look?",
    "Can you describe (the|this) {scene}?",
    "Can you (list|name) (all |)the {things}?",
    "What is everything (around me|here|in the {scene})?",
    "Report (all|everything) (around me|you see|in the {scene}).",
    "Report the {scene}.",
    "Where is everything?",
    "Where are (all |)(the|these) {things}?",
    "Which {things} are where?",
    "What is where?",
    "Look around and (describe|tell me|report|list|say) what you see.",
    "Look around. What do you see?",
    "All {things} and (their|the) (directions|positions|places|locations).",
    "Say what you see.",
    "Scene description[, please].",
    "Paint me a picture of (the|this) {scene} in words.",
    "Walk me through (the|this) {scene}.",
    "Go through (all |)the {things}[ one by one].",
    "Where do (the|these|all the) {things} (lie|stand|sit)?",
    "What kinds of {things} are around (me|us|you)?",
    "I cannot see. What is around me?",
    "Describe.",
    "{know} what is (in|on) (the|this) {scene}.",
    (
        "{know} what (there is|is|you can {see}|I am looking at|{things} there are) (around me|here|in the "
        "{scene}|in all directions|all around)."
    ),
    "{know} (which|what) {things} (are {seen}|you {see}|surround me|there are).",
    "{want} (a|the) (description|summary|overview|list|inventory|rundown|caption) of (the|this) {scene}.",
    (
        "{want} (a|the) (list|full list|complete list|description|inventory) of (all|everything|the {things}|all "
        "the {things}|what you see|what is here)."
    ),
    "(whats|wats) (in|on) (the|this) {scene}?",
    "(whats|wats|what is all) around me?",
    "what u see[ {in_scene}]?",
    "What (there is|is there|do we have|do we got|have we got|has it|it has) (in|on) (the|this) {scene}?",
    "What all (is|do you see|can you see) (here|{in_scene})?",
    "What (kind of |sort of |)(stuff|things|{things}) (is|are) (here|around me|in the {scene}|{seen})?",
    "(Contents|Content|Summary|Overview|Inventory|Description|List) of (the|this) {scene}[, please].",
    "(Everything|All {things}|All the {things}) (around me|here|in the {scene}|you see)[, please].",
    (
        "(Be my eyes|I am_blind|I can't see|My eyes are closed)[ and|, so|:|.] (describe|tell me) (the {scene}|what "
        "is around me|what you see|everything around me)."
    ),
    (
        "(Describe|Explain|Tell me) (in detail|in words|briefly|in short|in one sentence) (what you see|what is "
        "around me|the {scene}|everything)."
    ),
    "(Describe|List|Name|Tell me) (each|every) {thing}[ and its (direction|position|place|location)].",
    (
        "(Tell me|Say|Describe) what(ever|) (surrounds me|is around me|is visible|you can make out|I would see if I "
        "looked around)."
    ),
    "If I (look|looked|turn|turned) (all |)around, what (do|would|will) I {see}?",
    "(Which|What) {things} (surround|are around|are near) (me|us|you|the camera)?",
    "Take (a look|a good look) around (and tell me what you see|and describe it|and list the {things}).",
    "(Take|Do) an inventory of (the {scene}|the {things}|everything here).",
    "(Run|Talk|Take|Guide) me through (the|this) {scene}.",
    "Where (is|are) (each|every|all|all of) (of the |the |){thing}[ located]?",
    "What (is|are) (the |all the |)(contents|{things}) of (the|this) {scene}?",
    "How would you (describe|caption|summarise|summarize) (the|this) {scene}?",
    "What (can|could|would) (be seen|you say about|you tell me about|you report about) {in_scene}?",
    (
        "(An|A quick|A short|A full|A brief) (overview|description|summary|caption) (of this {scene}|of the "
        "{scene}|please)."
    ),
    "(Say|Tell me) what you see in (each|every) direction.",
    "What is in (each|every) direction?",
    "What is on every side of me?",
)
