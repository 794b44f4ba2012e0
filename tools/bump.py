"""Raise a package's version and turn its changelog's Unreleased section into that version's.

    python -m tools.bump losses minor        (or major, patch, or a version such as 0.2.0)

Then commit, and tag the commit `panollava-losses-v0.2.0` to release it. Standard library only.
"""

import argparse
import datetime
import os
import re
import sys
from pathlib import Path

from tools.check_release import PACKAGES, ROOT, VERSION, ReleaseError, changelog_section, numbers, project


def next_version(current: str, step: str) -> str:
    """The version after `current`: `major`, `minor` or `patch` up, or a higher one given in full.

    Raises:
        ReleaseError: The step is none of these, or does not go up.
    """
    major, minor, patch = numbers(current)
    steps = {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}
    if step in steps:
        return ".".join(map(str, steps[step]))
    if not re.fullmatch(VERSION, step):
        raise ReleaseError(f"{step!r} is neither major, minor, patch nor a version such as 0.2.0")
    if numbers(step) <= numbers(current):
        raise ReleaseError(f"{step} is not above the current version {current}")
    return step


def bump(root: Path, package: str, step: str, today: datetime.date) -> str:
    """Rewrite a package's pyproject.toml and CHANGELOG.md; return the new version. Nothing is written on an error.

    Raises:
        ReleaseError: The Unreleased section is absent or empty, or the version cannot be raised so.
    """
    current = project(root, package)["version"]
    version = next_version(current, step)
    folder = root / "packages" / f"panollava-{package}"
    changelog = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    section = changelog_section(changelog, "Unreleased")
    if section is None or not re.sub(r"^#+ .*$", "", section[1], flags=re.MULTILINE).strip():
        raise ReleaseError(
            f"{folder / 'CHANGELOG.md'} has nothing under '## [Unreleased]': write down what changed, then bump"
        )
    if changelog_section(changelog, version) is not None:
        raise ReleaseError(f"{folder / 'CHANGELOG.md'} already has a section [{version}]")
    settings = (folder / "pyproject.toml").read_text(encoding="utf-8")
    raised, count = re.subn(rf'^version = "{re.escape(current)}"$', f'version = "{version}"', settings, flags=re.M)
    if count != 1:
        raise ReleaseError(f'expected one line version = "{current}" in {folder / "pyproject.toml"}, found {count}')
    heading = "## [Unreleased]"
    dated = changelog.replace(f"{heading}\n", f"{heading}\n\n## [{version}] - {today.isoformat()}\n", 1)
    for name, text in (("CHANGELOG.md", dated), ("pyproject.toml", raised)):
        scratch = folder / f".{name}.{os.getpid()}"
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, folder / name)
    return version


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> None:
    """Bump the package on the command line."""
    parser = argparse.ArgumentParser(prog="bump", description=__doc__.splitlines()[0])
    parser.add_argument("package", choices=PACKAGES)
    parser.add_argument("step", metavar="STEP", help="major, minor, patch, or the new version")
    options = parser.parse_args(arguments)
    try:
        version = bump(root, options.package, options.step, datetime.date.today())
    except (ReleaseError, OSError) as error:
        print(f"bump: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"panollava-{options.package} is now {version}; commit, then tag panollava-{options.package}-v{version}")


if __name__ == "__main__":
    main()
