"""What the four packages and the top level must agree on."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools.check_release import PACKAGES, ROOT, VERSION, check_siblings, project

FOLDERS = [ROOT / "packages" / f"panollava-{package}" for package in PACKAGES]
SESSIONS = {"tests", "tests-isolated", "minimums", "compat", "hub-compat", "embedding-compat"}
SESSIONS |= {"lint", "types", "docs", "build", "install", "demo", "bench", "fuzz", "audit"}
SESSIONS |= {"browser", "coverage", "site", "suites", "vllm"}
#: Pages that show how to install from a checkout.
INSTALLED_FROM = ["README.md", "docs/index.md", *(f"packages/panollava-{p}/README.md" for p in PACKAGES)]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("package", PACKAGES)
def test_metadata(package):
    table = project(ROOT, package)
    assert table["name"] == f"panollava-{package}"
    assert re.fullmatch(VERSION, table["version"])
    assert "dynamic" not in table
    assert table["requires-python"] == ">=3.11"
    assert table["license"] == "MIT"
    assert table["license-files"] == ["LICENSE"]
    assert table["readme"] == "README.md"
    check_siblings(ROOT, table)
    extras = table.get("optional-dependencies", {}).values()
    for requirement in [*table["dependencies"], *(r for extra in extras for r in extra)]:
        assert re.fullmatch(r"[\w-]+(\[[\w,]+\])?>=[\d.]+(,<\d+)?", requirement), "a floor, and no path or address"


def test_floors_agree_between_packages():
    floors = {}
    for package in PACKAGES:
        for requirement in project(ROOT, package)["dependencies"]:
            name, floor = re.match(r"([\w-]+)[^>]*(>=.*)", requirement).groups()
            floors.setdefault(name, set()).add(floor)
    assert {name: found for name, found in floors.items() if len(found) > 1} == {}


@pytest.mark.parametrize("folder", FOLDERS, ids=PACKAGES)
def test_files(folder):
    module = folder.name.replace("-", "_")
    assert (folder / "src" / module / "py.typed").read_bytes() == b""
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / "CHANGELOG.md").is_file()
    assert list((folder / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("page", ["README.md", *(f"packages/panollava-{p}/README.md" for p in PACKAGES)])
def test_readme_order(page):
    """A sentence, an image, the installation, an example that is run; all of it before line 25."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    image = next(number for number, line in enumerate(lines) if line.startswith("!["))
    # A checkout's line comes first: before the first release it is the only one that works.
    install = next(number for number, line in enumerate(lines) if line.startswith("pip install ./packages/"))
    index = next(number for number, line in enumerate(lines) if re.search(r"`pip install panollava-\w+`", line))
    example = lines.index("```python")
    assert lines[0].startswith("# ")
    assert lines[2].endswith(".")
    assert 2 < image < install < index < example < 25
    assert (ROOT / page).parent.joinpath(re.search(r"\]\((.*)\)", lines[image])[1]).is_file()


@pytest.mark.parametrize("page", sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md")))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text(encoding="utf-8")):
        path = ((ROOT / page).parent / target).resolve()
        # The site makes the reference, and its strict build checks links to it.
        assert path.exists() or path.is_relative_to(ROOT / "docs" / "reference"), target


@pytest.mark.parametrize("page", INSTALLED_FROM)
def test_the_checkout_s_line_installs_a_package_with_its_siblings(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.search(r"^(?:\$ )?pip install ((?:\./packages/panollava-\w+ ?)+)", text, re.MULTILINE)[1].split()
    tables = [project(ROOT, folder.rpartition("-")[2]) for folder in named]
    required = {r for table in tables for r in table["dependencies"] if r.startswith("panollava-")}
    assert {table["name"] for table in tables} >= {re.match(r"[\w-]+", r)[0] for r in required}
    if page.startswith("packages/"):
        assert f"./{Path(page).parent.as_posix()}" in named


def sessions():
    """Names of the noxfile's sessions, with those of a session per package spelled out."""
    found = set()
    for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body:
        decorators = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
        named = [d for d in decorators if d.startswith("nox.session")]
        if named:
            explicit = re.search(r"name='([\w-]+)'", named[0])
            name = explicit[1] if explicit else node.name
            found.add(name)
            if any(d.startswith("nox.parametrize('package', PACKAGES") for d in decorators):
                found |= {f"{name}({package})" for package in PACKAGES}
    return found


def test_nox_sessions():
    assert {name for name in sessions() if "(" not in name} == SESSIONS


def test_continuous_integration_runs_sessions_that_exist():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    local = set(re.search(r"sessions=\((.*)\)$", script, re.MULTILINE)[1].replace('"', "").split())
    assert {"tests", "lint", "types", "docs", "tests-isolated(losses)", "tests-isolated(geometry)", "browser"} <= local
    hosted = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    matrix = set(hosted["jobs"]["session"]["strategy"]["matrix"]["session"])
    assert (local | matrix) <= sessions()
    assert matrix >= {s for s in sessions() if "(" in s}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_workflows_pin_actions_and_give_few_rights(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        rights = dict(job["permissions"])
        # Only a job that a protected environment guards may speak for the repository elsewhere.
        assert rights.pop("id-token", None) == ("write" if "environment" in job else None)
        assert rights.pop("pages", None) in (None, "write" if "environment" in job else "read")
        assert rights in ({}, {"contents": "read"})
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])


def run_blocks(page):
    """Run the blocks of a page outside the repository in a process of their own."""
    settings = page.with_name("pytest.ini")
    settings.write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tools.markdown_blocks", "-c", settings, page]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_markdown_blocks_run_and_can_fail(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nfrom pathlib import Path\nPath('made').touch()\nx = Path('panorama.jpg').exists()\n```\n"
        "```python\nassert x\n```\n```python notest\nassert False\n```\n```console\npip\n```\n"
        "```python\nassert not x\n```\n"
    )
    done = run_blocks(page)
    assert done.returncode == 1
    assert "1 failed, 2 passed" in done.stdout
    assert "page.md::line:15" in done.stdout
    assert not (ROOT / "made").exists()


def test_commands_of_tutorials_run_and_can_fail(tmp_path):
    page = tmp_path / "tutorials" / "page.md"
    page.parent.mkdir()
    page.write_text(
        "```python\nopen('made', 'w').close()\n```\n"
        "```console\n$ ls made\nmade\n$ echo one \\\n    two\none t...\n```\n"
        "```console\n$ ls absent  # exit code 2\nls: cannot access 'absent'...\n```\n"
        "```console notest\n$ false\n```\n"
        "```console\n$ echo one\ntwo\n```\n"
        "```console\n$ true  # exit code 1\n```\n"
        "```python\nprint('one', 'two')\n```\n```text\none t...\n```\n```text\ntwo\n```\n"
    )
    done = run_blocks(page)
    assert "3 failed, 5 passed" in done.stdout
    assert done.stdout.count("expected the output\ntwo") == 2
    assert "exit code 0, expected 1" in done.stdout
