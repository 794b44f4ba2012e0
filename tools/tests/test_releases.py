import datetime
import subprocess
import sys

import pytest

from tools import bump, check_release
from tools.check_release import PACKAGES, ROOT, ReleaseError, changelog_section, check

CHANGELOG = """# Changelog

## [Unreleased]

### Fixed

- A sign.

## [0.1.0] - 2026-01-02

### Added

- First release.
"""
TODAY = datetime.date(2026, 3, 4)


@pytest.fixture
def root(tmp_path):
    """A repository with losses 0.1.0, and an hf that requires it."""
    for name, lines in (("losses", ""), ("hf", 'dependencies = ["torch>=2", "panollava-losses[x]>=0.1"]')):
        folder = tmp_path / "packages" / f"panollava-{name}"
        folder.mkdir(parents=True)
        table = f'[project]\nname = "panollava-{name}"\nversion = "0.1.0"\n{lines}\n'
        (folder / "pyproject.toml").write_text(table)
        (folder / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def replace(root, package, name, old, new):
    path = root / "packages" / f"panollava-{package}" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("package", PACKAGES)
def test_this_repository_could_be_released_as_it_is(package):
    version = check_release.project(ROOT, package)["version"]
    assert check(ROOT, f"panollava-{package}-v{version}") == (package, version)


def test_agreement(root):
    assert check(root, "panollava-losses-v0.1.0") == ("losses", "0.1.0")
    assert check(root, "panollava-hf-v0.1.0") == ("hf", "0.1.0")


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("v0.1.0", "not of the form"),
        ("panollava-losses-v0.1", "not of the form"),
        ("panollava-losses-v0.1.0\n", "not of the form"),
        ("panollava-losses-v0.1.0; true", "not of the form"),
        ("panollava-other-v0.1.0", "no package panollava-other"),
        ("panollava-losses-v0.2.0", r"stands for 0\.2\.0, but .* says 0\.1\.0"),
    ],
)
def test_wrong_tags(root, tag, message):
    with pytest.raises(ReleaseError, match=message):
        check(root, tag)


@pytest.mark.parametrize(
    ("package", "name", "old", "new", "message"),
    [
        ("hf", "CHANGELOG.md", "## [0.1.0] - 2026-01-02", "## [0.0.9] - 2026-01-02", "has no section"),
        ("hf", "CHANGELOG.md", "0] - 2026-01-02", "0]", "has no date"),
        ("hf", "CHANGELOG.md", "### Added\n\n- First release.\n", "", "is empty"),
        ("hf", "pyproject.toml", ">=0.1", ">=0.2", r"panollava-losses is at 0\.1\.0"),
        ("hf", "pyproject.toml", "[x]>=0.1", " @ file:../losses", "one floor"),
        ("hf", "pyproject.toml", "[x]>=0.1", "==0.1.0", "one floor"),
        ("hf", "pyproject.toml", "[project]", "[other]", "no readable"),
    ],
)
def test_disagreements(root, package, name, old, new, message):
    replace(root, package, name, old, new)
    with pytest.raises(ReleaseError, match=message):
        check(root, f"panollava-{package}-v0.1.0")


def test_bump_dates_the_unreleased_section_and_the_result_can_be_released(root):
    assert bump.bump(root, "losses", "minor", TODAY) == "0.2.0"
    assert check(root, "panollava-losses-v0.2.0") == ("losses", "0.2.0")
    changelog = (root / "packages" / "panollava-losses" / "CHANGELOG.md").read_text()
    assert changelog_section(changelog, "0.2.0") == ("- 2026-03-04", "### Fixed\n\n- A sign.")
    assert changelog_section(changelog, "Unreleased") == ("", "")
    assert changelog_section(changelog, "0.1.0") == ("- 2026-01-02", "### Added\n\n- First release.")
    with pytest.raises(ReleaseError, match="nothing under"):
        bump.bump(root, "losses", "minor", TODAY)


@pytest.mark.parametrize(
    ("step", "version"), [("patch", "0.1.1"), ("minor", "0.2.0"), ("major", "1.0.0"), ("0.3.0", "0.3.0")]
)
def test_steps(root, step, version):
    assert bump.bump(root, "hf", step, TODAY) == version


@pytest.mark.parametrize(
    ("step", "message"), [("0.1.0", "not above"), ("0.0.9", "not above"), ("big", "neither"), ("1.0", "neither")]
)
def test_wrong_steps_change_nothing(root, step, message):
    with pytest.raises(ReleaseError, match=message):
        bump.bump(root, "hf", step, TODAY)
    assert check(root, "panollava-hf-v0.1.0")


@pytest.mark.parametrize("old", ["## [Unreleased]\n\n### Fixed\n\n- A sign.\n", "- A sign.\n"])
def test_nothing_unreleased_is_an_error(root, old):
    replace(root, "hf", "CHANGELOG.md", old, "")
    with pytest.raises(ReleaseError, match="write down what changed"):
        bump.bump(root, "hf", "patch", TODAY)


@pytest.mark.parametrize(
    ("tool", "arguments"), [("check_release", ["nonsense"]), ("bump", ["hf", "0.0.1"]), ("bump", ["nothing", "minor"])]
)
def test_usage_errors_are_clear_and_end_with_code_2(tool, arguments):
    done = subprocess.run(
        [sys.executable, "-m", f"tools.{tool}", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert f"{tool}: " in done.stderr


def test_check_release_prints_outputs(root, capsys):
    check_release.main(["panollava-hf-v0.1.0"], root=root)
    assert capsys.readouterr().out == "package=hf\nversion=0.1.0\n"
