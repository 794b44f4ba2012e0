"""Check that words which readers stumbled over do not come back: `python -m tools.terminology [FILE …]`.

Looks through every tracked text and Python file. A finding is one line on stdout; the exit code is 1 if there is any.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".md", ".py", ".yaml", ".yml", ".toml", ".jinja", ".sh"}

#: What is found, and what to write instead. Letters around a word count, underscores do not: `_picture` is found.
PROSE = {
    r"pictures?": "image (a plot is a figure)",
    r"(is|was|gets|been|are|were) told|told (in|apart|that|what|by|so|before|here|how)": "reported, printed",
    r"(?<!there )(?<!here )(is|are) no (?!longer|more\b|\w+er\b)\w+": "is not a …, are not …",
    r"learnt|learns?(?= (from|only|nothing|in full|besides|after))": "is trained, trained",
    r"data sets?": "dataset",
    r"fates?": "status",
    r"accounts?(?! can| on)": "report",
    r"mistakes?": "usage error, error",
    r"knows? (no|nothing)\b": "was trained on … only; does not support …",
    r"tears? apart|torn apart": "are split across",
    r"mend(s|ed|ing)?": "repair, fix",
    r"pass(es|ed|ing)? over": "skip",
    r"shall": "must, should",
    r"lest": "so that … does not",
    r"beside": "next to",
    r"so that no(body|thing)?": "to avoid …, so that … does not",
    r"nobody's business": "private",
    r"whoever": "anyone who",
    r"who has\b|who have\b": "if you have",
}
#: Names in Python code that have better ones.
NAMES = {
    "told": "message",
    "favour": "sampling_weights",
    "easy_first": "curriculum",
    "by_energy": "grad_energy",
    "pull": "grad_invariance",
    "every_k": "all_keys",
    "looks": "has_cross_attention",
    "Mistake": "UsageError",
    "fate": "status",
    "why": "reason",
}
#: Files that must name an old word: this one, its test, and those that keep old names working for one release.
ALLOWED: dict[str, set[str]] = {
    "tools/terminology.py": {"*"},
    "tools/tests/test_terminology.py": {"*"},
    "packages/panollava-geometry/src/panollava_geometry/_commands/_command_line.py": {"mistakes"},
    "packages/panollava-geometry/tests/_commands/test_command_line.py": {"mistakes"},
    "packages/panollava-geometry/CHANGELOG.md": {"mistakes"},
    "packages/panollava-hf/src/panollava_hf/conversion/__init__.py": {"account"},
    "packages/panollava-hf/src/panollava_hf/conversion/_convert.py": {"account"},
    "packages/panollava-hf/src/panollava_hf/conversion/_report.py": {"fate", "why"},
    "packages/panollava-hf/tests/conversion/test_report.py": {"account", "accounts", "fate", "why"},
    "packages/panollava-hf/CHANGELOG.md": {"account", "fate"},
    "packages/panollava-hf/src/panollava_hf/training/_trainer.py": {"beside"},  # a file name in checkpoints
    # Words that people type:
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_attributes.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_captions.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_comparisons.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_counts.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_directions.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_fillers.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_habits.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_names.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_places.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_english_words.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/asking/_common_words.py": {"*"},
    "packages/panollava-hf/src/panollava_hf/panoshapes/wordings/_topics.py": {"*"},
    "tools/held_out_wordings/_english.py": {"*"},
    "tools/held_out_wordings/_unknown.py": {"*"},
    "tools/held_out_wordings/_first_english.py": {"*"},
    "tools/held_out_wordings/_first_unknown.py": {"*"},
    "tools/held_out_wordings/_second_english.py": {"*"},
    "tools/held_out_wordings/_second_unknown.py": {"*"},
    "tools/held_out_wordings/_third_english.py": {"*"},
    "tools/held_out_wordings/_third_unknown.py": {"*"},
}

_PROSE = [(re.compile(rf"(?<![a-z])(?:{word})(?![a-z])", re.IGNORECASE), better) for word, better in PROSE.items()]


def findings(name: str, text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, word, and what to write instead, for each word of a file that should not be there.

    Args:
        name: The file's path from the root, which decides how it is read and what is allowed.
        text: Its contents.
    """
    allowed = ALLOWED.get(name, set())
    if "*" in allowed:
        return
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, better in _PROSE:
            found = pattern.search(line)
            if found is not None and found[0].lower() not in allowed:
                yield number, found[0], better
    if name.endswith(".py"):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME and token.string in NAMES and token.string not in allowed:
                yield token.start[0], token.string, NAMES[token.string]


def tracked() -> list[str]:
    """Paths of the files under version control, and of new ones that are not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in listed if Path(name).suffix in SUFFIXES and (ROOT / name).is_file()]


def main(names: Sequence[str]) -> int:
    """Check the named files, or all."""
    count = 0
    for name in names or tracked():
        for number, word, better in findings(name, (ROOT / name).read_text(encoding="utf-8")):
            print(f"{name}:{number}: {word!r}: write {better}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
