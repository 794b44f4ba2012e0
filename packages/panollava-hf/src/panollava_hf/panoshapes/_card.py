"""The data set card, whose header tells `datasets` where the splits are."""

from pathlib import Path

from panollava_hf.panoshapes._vocabulary import SPLITS

_TITLE = "# PanoShapes"
_BODY = """
Rendered 360° panoramas (equirectangular; yaw 0 is the middle column, positive to the right) of one to six solids, and
questions about them with exact answers. Written by `panollava data panoshapes`.

`<split>.jsonl` has a row for each question: `image` (path in this folder), `question`, `answer`, `family`, `scene`,
`objects` (how many there are), `difficulty` and `aside` (for curricula), `program` (what is asked, as JSON).
`scenes-<split>.jsonl` has what is in each picture.
"""


def write_card(path: Path, splits: list[str]) -> None:
    """Write a card that names these splits."""
    files = "".join(f"  - split: {split}\n    path: {split}.jsonl\n" for split in splits)
    header = (
        "---\npretty_name: PanoShapes\nlanguage: en\nlicense: mit\ntask_categories:\n- visual-question-answering\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}---\n"
    )
    path.write_text(f"{header}\n{_TITLE}\n{_BODY}", encoding="utf-8")


def is_card(path: Path) -> bool:
    """Whether this file is a card of ours."""
    return path.is_file() and f"\n{_TITLE}\n" in path.read_text(encoding="utf-8", errors="replace")


def read_splits(path: Path) -> list[str]:
    """The splits that a card names."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [split for split in SPLITS if f"  - split: {split}" in lines]
