"""Check everything that training and evaluation will need of a source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from panollava_hf._errors import TableError
from panollava_hf.checking._images import Images, find_equal_files, look_at_images
from panollava_hf.checking._report import Panoramas, Problems, Report, TableReport, numbers
from panollava_hf.checking._samples import samples_of
from panollava_hf.checking._splits import add_equal_files, add_shared
from panollava_hf.checking._tables import USUAL, Found, read_table, splits_of
from panollava_hf.checking._texts import Measure, look_at_texts, word_counts
from panollava_hf.data._tables import Table

#: Called with what is done, how much of it, and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """How a source is checked.

    Attributes:
        split: The split of a folder or dataset; None checks all.
        columns: Names of the columns `image`, `question` and `answer` if they differ from the usual ones.
        limit: Largest number of rows of each table.
        decode: Whether the pixels of all panoramas are decoded, too; otherwise their headers are read.
        urls: Whether URLs are downloaded.
        private_redirects: Whether URLs can redirect from a public address to a private one.
        tokenizer: A checkpoint or language model whose tokens are counted; None counts words.
        samples: Whether some panoramas are kept for a page.
        fix: Whether rows that can be repaired are notes instead of errors.
    """

    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    decode: bool = False
    urls: bool = False
    private_redirects: bool = False
    tokenizer: str | None = None
    samples: bool = False
    fix: bool = False


def check_data(
    source: str | Path,
    options: Options | None = None,
    *,
    progress: Progress = lambda what, done, total: None,
    repaired: list[Table] | None = None,
) -> Report:
    r"""Check a table, folder or dataset before training or evaluation.

    Args:
        source: As `data.source` of a recipe and `--data` of `panollava eval`: a file, a folder with splits, or the id
            of a dataset on the Hub.
        options: How to check; default: `Options()`.
        progress: Called while panoramas are looked at.
        repaired: CSV files with broken rows are added here as they would be repaired.

    Returns:
        Figures of each table, and problems with their lines.

    Raises:
        TableError: There is no such source, or a table cannot be read or has other columns.
        ModelError: The tokenizer cannot be loaded.

    Example:
        >>> from pathlib import Path
        >>> import tempfile
        >>> from panollava_hf.checking import check_data
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "table.csv").write_text("image;question;answer\nroom.jpg;What is this?;A room.\n")
        >>> report = check_data(folder / "table.csv")
        >>> report.tables[0].format, report.problems[0].kind
        ('CSV with semicolons, UTF-8', 'missing image')
    """
    options = options or Options()
    measure: Measure = word_counts
    unit, collator = "words", None
    if options.tokenizer is not None:
        from panollava_hf.checking._tokens import add_long_rows, token_counts

        (measure, collator), unit = token_counts(options.tokenizer), "tokens"
    problems = Problems()
    tables: list[tuple[Found, Images]] = []
    reports: list[TableReport] = []
    splits = splits_of(str(source), options.split)
    for split in splits:
        try:
            found, table = read_table(str(source), split, options.columns, options.limit, problems, fix=options.fix)
        except TableError as error:
            if len(splits) == 1 or split in USUAL:
                raise
            problems.add("note", "other file", f"{source}", f"not looked at: {error}")
            continue
        if table is not None and repaired is not None:
            repaired.append(table)
        if found is None:
            continue

        def show(done: int, total: int, name: str = found.name) -> None:
            progress(name, done, total)

        images = look_at_images(
            found,
            problems,
            show,
            decode=options.decode,
            urls=options.urls,
            private_redirects=options.private_redirects,
        )
        texts = look_at_texts(found, images, problems, measure, unit)
        if collator is not None:
            add_long_rows(found, collator, problems)
        tables.append((found, images))
        examples = found.examples
        widths = numbers([one.width for one in images.panoramas if one.width is not None])
        taken = set(examples.columns.values()) | set(examples.option_columns)
        reports.append(
            TableReport(
                name=found.name,
                split=found.split,
                format=found.format,
                rows=len(examples),
                unusable=examples.unusable.count,
                columns=dict(examples.columns),
                others=tuple(name for name in examples.rows.column_names if name not in taken)[:100],
                multiple_choice=found.multiple_choice,
                panoramas=Panoramas(
                    count=len(images.panoramas),
                    **images.kinds(),
                    widths=widths,
                    questions=numbers([one.rows for one in images.panoramas]),
                ),
                questions=texts[0],
                answers=texts[1],
                samples=tuple(samples_of(found, images)) if options.samples else (),
            )
        )
    equal = find_equal_files([one for _, images in tables for one in images.panoramas])
    for found, images in tables:
        add_equal_files(found, images, equal, problems)
    add_shared(tables, equal, problems)
    return Report(str(source), tuple(reports), tuple(problems.kept), dict(problems.counts))
