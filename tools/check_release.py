"""Refuse a release whose tag, version and changelog disagree, or whose siblings' floors nothing satisfies.

    python -m tools.check_release panollava-losses-v0.1.0

prints `package=` and `version=` lines (fit for a workflow's outputs), or says what is wrong and ends with code 2.
Standard library only.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("geometry", "losses", "core", "hf")
VERSION = r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)"
SIBLING = re.compile(r"panollava-(?P<name>\w+)(?:\[[\w,-]+\])?\s*(?P<rest>.*)")


class ReleaseError(ValueError):
    """A release that must not go out; the message says why and what to do."""


def project(root: Path, package: str) -> dict[str, Any]:
    """The `[project]` table of a package.

    Raises:
        ReleaseError: There is no such package, or its file cannot be read.
    """
    path = root / "packages" / f"panollava-{package}" / "pyproject.toml"
    if package not in PACKAGES:
        raise ReleaseError(f"there is no package panollava-{package}: choose from {', '.join(PACKAGES)}")
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise ReleaseError(f"{path} holds no readable [project] table: {error}") from error
    return table


def numbers(version: str) -> tuple[int, ...]:
    """`0.1` and `0.1.0` as comparable numbers."""
    parts = tuple(map(int, version.split(".")))
    return parts + (0,) * (3 - len(parts))


def changelog_section(text: str, title: str) -> tuple[str, str] | None:
    """What follows the title on the line `## [title]`, and the section's text up to the next one."""
    match = re.search(rf"^## \[{re.escape(title)}\](.*)\n((?:(?!## ).*(?:\n|\Z))*)", text, re.MULTILINE)
    return match and (match[1].strip(), match[2].strip())


def check_siblings(root: Path, table: dict[str, Any]) -> None:
    """Every sibling is required with one floor that the version in this checkout satisfies.

    Raises:
        ReleaseError: A requirement is not a plain floor, or its floor is above the sibling's version.
    """
    extras = table.get("optional-dependencies", {}).values()
    for requirement in [*table.get("dependencies", []), *(r for extra in extras for r in extra)]:
        match = SIBLING.fullmatch(requirement)
        if match is None:
            continue
        floor = re.fullmatch(r">=\s*(\d+(?:\.\d+){0,2})", match["rest"])
        if floor is None:
            raise ReleaseError(f"{table['name']} requires {requirement!r}: siblings take one floor, like '>=0.1'")
        sibling = project(root, match["name"])["version"]
        if numbers(floor[1]) > numbers(sibling):
            raise ReleaseError(
                f"{table['name']} requires {requirement!r}, but panollava-{match['name']} is at {sibling}: "
                "release the sibling first, or lower the floor"
            )


def check(root: Path, tag: str) -> tuple[str, str]:
    """The package's short name and version that a tag stands for, if everything agrees.

    Raises:
        ReleaseError: Something disagrees.
    """
    match = re.fullmatch(rf"panollava-([a-z]+)-v({VERSION})", tag)
    if match is None:
        raise ReleaseError(f"tag {tag!r} is not of the form panollava-<name>-vX.Y.Z")
    package, version = match.groups()
    table = project(root, package)
    if table.get("version") != version:
        raise ReleaseError(
            f"tag {tag} stands for {version}, but panollava-{package}'s pyproject.toml says {table.get('version')}: "
            f"run `python -m tools.bump {package} {version}`, commit, and tag that commit"
        )
    path = root / "packages" / f"panollava-{package}" / "CHANGELOG.md"
    section = changelog_section(path.read_text(encoding="utf-8"), version) if path.is_file() else None
    if section is None:
        raise ReleaseError(f"{path} has no section '## [{version}] - date': run `python -m tools.bump`")
    date, text = section
    if not re.fullmatch(r"- \d{4}-\d{2}-\d{2}", date):
        raise ReleaseError(f"{path}: the heading of {version} has no date, expected '## [{version}] - YYYY-MM-DD'")
    if not text:
        raise ReleaseError(f"{path}: the section of {version} is empty: say what changed")
    check_siblings(root, table)
    return package, version


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> None:
    """Check the tag on the command line."""
    parser = argparse.ArgumentParser(prog="check_release", description=__doc__.splitlines()[0])
    parser.add_argument("tag", metavar="TAG", help="panollava-<name>-vX.Y.Z")
    try:
        package, version = check(root, parser.parse_args(arguments).tag)
    except ReleaseError as error:
        print(f"check_release: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"package={package}\nversion={version}")


if __name__ == "__main__":
    main()
