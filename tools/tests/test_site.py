"""The documentation site's own code; the site itself is built by `nox -s site`."""

import re
import subprocess
import sys

import pytest

from tools.console_blocks import LIMIT
from tools.site.line_breaks import with_name_parts, with_whole_words
from tools.site.pages import PACKAGES, ROOT, BrokenLink, outside_targets, place, site_text


@pytest.mark.parametrize(
    ("page", "written", "expected"),
    [
        ("geometry.md", "[a](conventions.md#signs)", "[a](conventions.md#signs)"),
        ("geometry.md", "[a](../packages/panollava-hf/README.md)", "[a](packages/hf.md)"),
        ("packages/hf.md", "[a](../../docs/jobs.md#resume)", "[a](../jobs.md#resume)"),
        ("packages/hf.md", "![a view](../../docs/assets/readme.jpg)", "![a view](../assets/readme.jpg)"),
        ("packages/hf.md", "[all](../../README.md)", "[all](../index.md)"),
        ("index.md", "[a](../CONTRIBUTING.md) [b](../noxfile.py)", "[a](contributing.md) [b](source/noxfile.py)"),
        ("index.md", "[a](https://example.org/b.md) [c](#d)", "[a](https://example.org/b.md) [c](#d)"),
        ("index.md", "[![a](assets/readme.jpg)](demo.md)", "[![a](assets/readme.jpg)](demo.md)"),
        ("index.md", "```python\nrows[0](jobs.md)\n```\n", "```python\nrows[0](jobs.md)\n```\n"),
        ("index.md", "```python notest\npass\n```\n", "```python\npass\n```\n"),
    ],
)  # fmt: skip
def test_links_hold_in_the_site(page, written, expected):
    assert site_text(written, page) == expected


def test_a_link_to_nothing_is_an_error_that_names_the_page():
    with pytest.raises(BrokenLink, match=r"docs/index.md links to nothing.md: there is no docs/nothing.md"):
        site_text("[a](nothing.md)", "index.md")


def test_files_that_are_no_pages_are_copied():
    text = "[a](../noxfile.py) [b](jobs.md) [c](../packages/panollava-core/README.md)"
    assert outside_targets(text, "index.md") == {"noxfile.py"}
    assert place("noxfile.py") == "source/noxfile.py"


@pytest.mark.parametrize(
    ("page", "held"),
    [
        ("<p><code>ask --base-url URL</code> and <code>a-b</code></p>", ["--base-url", "a-b"]),
        ("<p>a-b <a href='x-y'><code>top-down</code></a></p>", ["top-down"]),
        ("<pre><code>a-b</code></pre>", []),
        ("<pre><span></span><code><span class='n'>a</span> --b\n</code></pre>", []),
        (f"<code>{'long-' * 10}</code>", []),
    ],
)
def test_marks_against_breaks_change_no_text(page, held):
    marked = with_whole_words(page)
    assert re.sub(r'<span class="whole">([^<]*)</span>', r"\1", marked) == page
    assert re.findall(r'<span class="whole">([^<]*)</span>', marked) == held


def test_a_name_in_a_heading_breaks_between_its_parts():
    heading = '<h2><span class="doc doc-object-name doc-class-name">PanoLLaVaForFeatureExtraction</span></h2>'
    broken = with_name_parts(f"<h1>panollava_hf.data</h1>{heading}<h2>other_name</h2>")
    assert broken.replace("<wbr>", "") == f"<h1>panollava_hf.data</h1>{heading}<h2>other_name</h2>"
    assert "_<wbr>hf.<wbr>data" in broken
    assert "For<wbr>Feature<wbr>Extraction" in broken


def test_every_public_name_has_one_place_in_the_reference():
    """Compared with the modules as Python imports them, in a process without the tests' environment."""
    pytest.importorskip("griffe")
    from tools.site.reference import WITHOUT_PAGE, modules, not_imported, undocumented

    found = modules()
    listed = {f"{module.name}.{name}" for module in found for name in module.names}
    assert len(listed) == sum(len(module.names) for module in found)
    program = (
        "import importlib, sys; [print(f'{m}.{n}') for m in sys.argv[1:] for n in importlib.import_module(m).__all__]"
    )
    names = [f"panollava_{package}" for package in PACKAGES]
    faces = subprocess.run(
        [sys.executable, "-c", program, *names], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert set(faces.stdout.split()) <= listed
    assert WITHOUT_PAGE.isdisjoint(module.name for module in found)
    assert undocumented(found) == []
    assert not_imported(found) == []


def test_the_drawing_of_the_architecture_is_up_to_date():
    pytest.importorskip("grimp")
    command = [sys.executable, "-m", "tools.site.architecture", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


TUTORIALS = sorted(page for page in (ROOT / "docs" / "tutorials").glob("*.md") if page.name != "index.md")


def made_notebook(page):
    nbformat = pytest.importorskip("nbformat")
    from tools.site.notebooks import notebook

    path = f"tutorials/{page.name}"
    written = notebook(site_text(page.read_text(encoding="utf-8"), path), f"https://example.org/tutorials/{page.stem}/")
    found = nbformat.reads(written, as_version=4)
    nbformat.validate(found)
    return found


def typed(page):
    """What a reader of a page types, in order: Python blocks, and the commands of console blocks; read line by line."""
    found, language, lines = [], None, []
    for line in page.read_text(encoding="utf-8").splitlines():
        if language is None and line.startswith("```"):
            language, lines = line[3:].split(" ")[0], []
        elif line == "```":
            if language == "python":
                found.append("\n".join(lines))
            elif language == "console":
                found.append("\n".join(shell_lines(lines)))
            language = None
        else:
            lines.append(line)
    return found


def shell_lines(lines):
    continued = False
    commands = []
    for line in lines:
        if continued:
            commands[-1] += line.strip()
        elif line.startswith("$ "):
            commands.append(line[2:])
        else:
            continue
        continued = line.endswith("\\")
        commands[-1] = commands[-1].removesuffix("\\")
    commands = [command.partition("  # exit code")[0] for command in commands]
    return [f"{'%' if command.startswith('pip install') else '!'}{command}" for command in commands]


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_notebook_of_a_tutorial_is_the_page(page):
    found = made_notebook(page)
    assert [cell.source for cell in found.cells if cell.cell_type == "code"] == typed(page)
    text = "\n".join(cell.source for cell in found.cells if cell.cell_type == "markdown")
    assert "https://example.org/" in text, "links are whole addresses"
    assert "](../" not in text


def test_the_notebook_of_a_tutorial_runs_alone(tmp_path):
    """That of the geometry, which has no commands: in a folder without the files of the repository."""
    found = made_notebook(ROOT / "docs" / "tutorials" / "geometry.md")
    program = tmp_path / "cells.py"
    program.write_text("\n".join(cell.source for cell in found.cells if cell.cell_type == "code"), encoding="utf-8")
    command = [sys.executable, program.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    assert "True torch.Size([3, 512, 1024])" in done.stdout
