"""A report as lines of text for the terminal."""

from collections.abc import Iterator

from panollava_hf._shown import listed, shortened
from panollava_hf.checking._report import Panoramas, Report, TableReport, Texts

#: Most problems of one kind that are printed.
PRINTED = 100
#: Longest name of a column.
_NAME = 30


def problem_lines(report: Report) -> Iterator[str]:
    """One line for each problem, errors first; a row as written or repaired follows in its own line."""
    for level in ("error", "note"):
        printed: dict[str, int] = {}
        for problem in report.problems:
            if problem.level != level:
                continue
            printed[problem.kind] = printed.get(problem.kind, 0) + 1
            if printed[problem.kind] > PRINTED:
                continue
            yield f"{problem.where}: {level}: {problem.text}"
            if problem.detail:
                yield f"    {problem.detail}"
        for (found, kind), count in report.counts.items():
            if found == level and count > PRINTED:
                yield f"{report.source}: {level}: and {count - PRINTED} more of this kind ({kind})"


def table_lines(table: TableReport) -> Iterator[str]:
    """What a table holds."""
    unusable = f", {table.unusable} more cannot be used" if table.unusable else ""
    yield f"{table.name}: {table.format}; {_count(table.rows, 'row')}{unusable}"
    panoramas = table.panoramas
    yield f"  image     {_column(table, 'image')}  {panoramas_text(panoramas)}"
    for role, texts in (("question", table.questions), ("answer", table.answers)):
        yield f"  {role:<9} {_column(table, role)}  {texts_text(texts)}"
    if panoramas.questions is not None:
        yield f"  questions per panorama: {panoramas.questions}"
    if table.multiple_choice:
        yield f"  multiple choice: {_count(table.multiple_choice, 'question')}"
    if common := [f"{shortened(text, 30)!r} {count}" for text, count in table.answers.common[:5] if count > 1]:
        yield f"  most frequent answers: {', '.join(common)}"
    more = {role: name for role, name in table.columns.items() if role not in ("image", "question", "answer")}
    if more:
        yield f"  columns with a meaning: {', '.join(more.values())}"
    if table.others:
        yield f"  other columns: {listed([shortened(name, _NAME) for name in table.others], 20)}"


def summary(report: Report) -> str:
    """The outcome in one line."""
    errors, notes = report.count("error"), report.count("note")
    if not errors:
        return f"{report.source}: no errors, {_count(notes, 'note')}. Training and evaluation take it as it is."
    return (
        f"{report.source}: {_count(errors, 'error')}, {_count(notes, 'note')}. Training and evaluation refuse it, or "
        "leave such rows and images out with --skip-bad."
    )


def panoramas_text(panoramas: Panoramas) -> str:
    """Kinds and widths of panoramas."""
    kinds = ((panoramas.files, "file"), (panoramas.urls, "URL"), (panoramas.embedded, "embedded image"))
    what = [_count(count, name) for count, name in kinds if count]
    what += [f"{panoramas.missing:,} missing"] if panoramas.missing else []
    width = "" if panoramas.widths is None else f", {panoramas.widths} pixels wide"
    return f"{_count(panoramas.count, 'panorama')}: {', '.join(what)}{width}"


def _column(table: TableReport, role: str) -> str:
    width = max(len(shortened(table.columns[name], _NAME)) for name in ("image", "question", "answer"))
    return shortened(table.columns[role], _NAME).ljust(width)


def texts_text(texts: Texts) -> str:
    """Kinds, number and lengths of texts."""
    by_count = sorted(texts.kinds.items(), key=lambda pair: -pair[1])
    kinds = [f"{count:,} {kind}" if kind == "yes or no" else _count(count, kind) for kind, count in by_count]
    return f"{', '.join(kinds)}; {texts.different:,} different; {texts.unit}: {texts.lengths}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
