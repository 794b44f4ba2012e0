"""Write the figures of the embedded checkpoint into the pages: `python -m tools.embedded_model.page WORK`.

WORK is the folder of `python -m tools.embedded_model`, with `results` and `targets.md`. Written are the tables of
docs/evaluation.md between its marks, docs/assets/directions.png, and the overall figure in the other pages.
"""

import argparse
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from panollava_hf.evaluation.metrics._directions_figure import draw_directions
from panollava_hf.evaluation.metrics._rotation import ROTATED
from panollava_hf.evaluation.metrics._without_image import SHUFFLED
from PIL import Image

from tools.embedded_model.data import HELD_OUT, UNKNOWN
from tools.embedded_model.evaluation import Outcome, outcome
from tools.embedded_model.targets import mean

ROOT = Path(__file__).resolve().parents[2]
PAGE, FIGURE = Path("docs/evaluation.md"), Path("docs/assets/directions.png")
BEGIN, END = "<!-- embedded: begin -->", "<!-- embedded: end -->"
#: Where else the overall figure is: the text before and after it.
ELSEWHERE = {
    "packages/panollava-hf/README.md": (r"\| questions about 1,000 unseen PanoShapes scenes \| ", r" % \|"),
    "docs/training.md": (r"\(the embedded checkpoint\) \| [^|]*\| ", r" % on unseen scenes"),
}
#: Width of the figure in pixels.
_WIDTH = 1024
_LANGUAGES = {"en": "English", "ko": "Korean"}
_WRITERS = {
    "author": "the author of the training grammar",
    "first": "the first writer",
    "second": "the second writer",
    "third": "the third writer",
}
_PHOTOGRAPHS = r"\| questions about photographs reported \| ([\d.]+)% \|"


def main() -> None:
    """Write all places, or none."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work
    known = json.loads((work / "results" / "known" / "results.json").read_text(encoding="utf-8"))
    others = {split: read(work / "results" / split) for split in (*HELD_OUT, *UNKNOWN)}
    found = re.search(_PHOTOGRAPHS, (work / "targets.md").read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit(
            f"{work / 'targets.md'} has no row about photographs; run python -m tools.embedded_model again"
        )
    pages = {PAGE: between_marks((ROOT / PAGE).read_text(encoding="utf-8"), tables(known, others, float(found[1])))}
    for name, around in ELSEWHERE.items():
        pages[Path(name)] = with_figure((ROOT / name).read_text(encoding="utf-8"), name, around, known["exact_match"])
    for path, text in pages.items():
        (ROOT / path).write_text(text, encoding="utf-8")
    (ROOT / FIGURE).write_bytes(figure(known))


def read(folder: Path) -> Outcome:
    """An evaluation from its folder."""
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return outcome({}, [json.loads(line) for line in lines])


def tables(known: Mapping[str, Any], others: Mapping[str, Outcome], photographs: float) -> str:
    """The part of the page between the marks."""
    parts = _families(known), _places(known), _wordings(others), _unknown(others, photographs)
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _families(known: Mapping[str, Any]) -> list[str]:
    prior, shuffled, rotated = known["answer_prior"], known[SHUFFLED], known[ROTATED]
    lines = [
        "| family | questions | exact match | answer prior | another's image | rotated | consistent |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in (None, *sorted(known["families"])):
        one, without, turned = (part if name is None else part["families"][name] for part in (known, shuffled, rotated))
        always = prior["exact_match"] if name is None else prior["families"][name]
        shares = (one["exact_match"], always, without["exact_match"], turned["exact_match"], turned["consistency"])
        lines.append(f"| {name or '**all**'} | {one['count']} | {' | '.join(map(_percent, shares))} |")
    return lines


def _places(known: Mapping[str, Any]) -> list[str]:
    names = {"back seam": "at the back seam", "poles": "near a pole"}
    captions = known["captions"]
    return [
        "| the object asked about is | questions | exact match | elsewhere, same families |",
        "|---|---:|---:|---:|",
        *(
            f"| {title} | {one['count']} | {_percent(one['exact_match'])} | {_percent(one['elsewhere_alike'])} |"
            for name, title in names.items()
            for one in [known["places"][name]]
        ),
        "",
        f"Captions: BLEU-4 {captions['bleu4']:.3f}, METEOR {captions['meteor']:.3f}, "
        f"ROUGE-L {captions['rouge_l']:.3f}, CIDEr {captions['cider']:.2f}.",
    ]


def _wordings(others: Mapping[str, Outcome]) -> list[str]:
    lines = [
        "| wordings of | language | questions | reported as unknown | right, of all | right, of the answered |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for split, (language, writer) in HELD_OUT.items():
        one = others[split]
        shares = (one.unknown, mean(one.correct), mean(one.answered))
        name = f"{_WRITERS[writer]} | {_LANGUAGES[language]}"
        lines.append(f"| {name} | {one.count} | {' | '.join(map(_percent, shares))} |")
    return lines


def _unknown(others: Mapping[str, Outcome], photographs: float) -> list[str]:
    return [
        "| nothing to answer | questions | reported as unknown |",
        "|---|---:|---:|",
        *(
            f"| questions of {_WRITERS[writer]} that no scene answers | {others[split].count} | "
            f"{_percent(others[split].unknown)} |"
            for split, writer in UNKNOWN.items()
        ),
        f"| known questions about photographs | 6 about each | {photographs:.1f} |",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def between_marks(page: str, made: str) -> str:
    """The page with these tables between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE}: expected the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{made}{END}{after}"


def with_figure(page: str, name: str, around: tuple[str, str], share: float) -> str:
    """The page with the overall figure in its place."""
    changed, count = re.subn(rf"({around[0]})[\d.]+({around[1]})", rf"\g<1>{_percent(share)}\g<2>", page)
    if count != 1:
        raise SystemExit(f"{name}: expected one figure after {around[0]!r}, found {count}")
    return changed


def figure(known: Mapping[str, Any]) -> bytes:
    """The figure of directions, in the size of the page."""
    counted = known["directions"]
    subject = "model: embedded, data: PanoShapes"
    drawn = Image.open(io.BytesIO(draw_directions(counted["labels"], counted["counts"], subject)))
    image = drawn.convert("RGB").resize((_WIDTH, round(drawn.height * _WIDTH / drawn.width)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.quantize(64).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


if __name__ == "__main__":
    main()
