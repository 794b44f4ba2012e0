"""The documentation site's own code; the site itself is built by `nox -s site`."""

import subprocess
import sys

import pytest

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


def test_every_public_name_has_one_place_in_the_reference():
    """Compared with the modules as Python imports them, in a process without the tests' environment."""
    pytest.importorskip("griffe")
    from tools.site.reference import WITHOUT_PAGE, modules, undocumented

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


def test_the_drawing_of_the_architecture_is_up_to_date():
    pytest.importorskip("grimp")
    command = [sys.executable, "-m", "tools.site.architecture", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
