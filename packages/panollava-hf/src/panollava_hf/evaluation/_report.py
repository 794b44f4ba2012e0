"""Figures of an evaluation, and the Markdown that shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

from panollava_hf.evaluation._captions import NEEDS, caption_scores, missing_library
from panollava_hf.evaluation._rows import Row

Entries = Mapping[int, dict[str, Any]]


def exact_match(rows: Sequence[Row], entries: Entries) -> dict[str, Any]:
    """Exact match over all questions with one right answer, and by family; captions are left out."""
    families: dict[str, list[bool]] = {}
    for row in rows:
        if row.index in entries and not row.is_caption:
            families.setdefault(row.family, []).append(bool(entries[row.index]["correct"]))
    everything = [correct for outcomes in families.values() for correct in outcomes]
    return {**_share(everything), "families": {name: _share(families[name]) for name in sorted(families)}}


def _share(outcomes: Sequence[bool]) -> dict[str, Any]:
    return {"exact_match": sum(outcomes) / len(outcomes) if outcomes else None, "count": len(outcomes)}


def captions(rows: Sequence[Row], entries: Entries) -> dict[str, Any] | None:
    """Caption metrics, or None without captions.

    Rows that ask the same of the same picture are one caption with several references.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.is_caption and row.index in entries:
            groups.setdefault((row.key, row.question), []).append(row)
    if not groups:
        return None
    counted = {"count": len(groups), "references": sum(map(len, groups.values()))}
    missing = missing_library()
    if missing is not None:
        return {**counted, "needs": f"{missing}: {NEEDS}"}
    predictions = [entries[group[0].index]["prediction"] for group in groups.values()]
    scores = caption_scores(predictions, [[row.answer for row in group] for group in groups.values()])
    return {**scores, **counted, "meteor_stages": ["exact", "stem"]}


def markdown(results: Mapping[str, Any]) -> str:
    """The results as Markdown tables."""
    model, data = results["model"], results["data"]
    split = f" ({data['split']})" if data["split"] else ""
    lines = [
        f"# {model['name']} on {data['source']}{split}",
        "",
        f"{data['rows']} questions about {data['images']} panoramas; exact match in %, after normalisation.",
    ]
    if results["skipped"]["rows"]:
        skipped = results["skipped"]
        lines[-1] += f" {skipped['rows']} questions about {len(skipped['images'])} unreadable panoramas were left out."
    lines += ["", *_families(results)]
    if results["captions"] is not None:
        lines += ["", "## Captions", "", *_captions(results["captions"])]
    if results["places"] is not None:
        lines += ["", "## Where the object asked about is", "", *_places(results["places"])]
    if "rotated" in results:
        lines += ["", "## Rolled panoramas", "", *_rotated(results["rotated"])]
    return "\n".join(lines) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table: names on the left, figures on the right."""
    aligned = "|".join(["---", *["---:"] * (len(header) - 1)])
    return [f"| {' | '.join(header)} |", f"|{aligned}|", *(f"| {' | '.join(row)} |" for row in rows)]


def percent(share: float | None) -> str:
    """A share in per cent, or a dash."""
    return "–" if share is None else f"{100 * share:.1f}"


def _families(results: Mapping[str, Any]) -> list[str]:
    header = ["family", "questions", "exact match", "answer prior"]
    prior, other = results["answer_prior"], results.get("shuffled_images")
    if other is not None:
        header.append("another's image")
    rows = []
    for name, figures in [("**all**", results), *results["families"].items()]:
        of_all = figures is results
        line = [name, str(figures["count"]), percent(figures["exact_match"])]
        line.append(percent(prior["exact_match"] if of_all else prior["families"].get(name)))
        if other is not None:
            line.append(percent((other if of_all else other["families"].get(name, {})).get("exact_match")))
        rows.append(line)
    return table(header, rows)


def _captions(scores: Mapping[str, Any]) -> list[str]:
    if "needs" in scores:
        return [f"{scores['count']} captions, not scored: needs {scores['needs']}"]
    figures = [f"{scores[name]:.3f}" if scores[name] is not None else "–" for name in CAPTION_METRICS]
    return table(["captions", *CAPTION_METRICS.values()], [[str(scores["count"]), *figures]])


CAPTION_METRICS = {"bleu4": "BLEU-4", "meteor": "METEOR (exact, stem)", "rouge_l": "ROUGE-L", "cider": "CIDEr"}


def _places(places: Mapping[str, Any]) -> list[str]:
    rows = [
        [name, str(found["count"]), percent(found["exact_match"]), percent(found.get("elsewhere_alike"))]
        for name, found in places.items()
    ]
    return table(["place", "questions", "exact match", "elsewhere, same families"], rows)


def _rotated(found: Mapping[str, Any]) -> list[str]:
    rows = [
        [name, str(figures["count"]), percent(figures["exact_match"]), percent(figures["consistency"])]
        for name, figures in [
            ("**all**", found),
            ("answers that change", found["changing"]),
            *found["families"].items(),
        ]
    ]
    return table(["family", "questions", "exact match", "consistent"], rows)
