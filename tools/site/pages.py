"""Which file of the repository is which page of the site, and links between them.

Pages are written for readers of the repository, so their links are paths in it. The site has other paths: the README of
a package is not in docs/, and the source files that some pages name are not pages.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("geometry", "losses", "core", "hf")

#: Pages that are not in docs/: path in the repository → path in the site's sources.
OUTSIDE = {
    **{f"packages/panollava-{p}/README.md": f"packages/{p}.md" for p in PACKAGES},
    **{f"packages/panollava-{p}/CHANGELOG.md": f"changelogs/{p}.md" for p in PACKAGES},
    "CONTRIBUTING.md": "contributing.md",
    ".github/CODE_OF_CONDUCT.md": "code-of-conduct.md",
    ".github/SECURITY.md": "security.md",
}
#: Other files that pages link to are copied to this folder of the site.
COPIES = "source"

_LINK = re.compile(r"(?P<open>!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\()(?P<target>[^()\s]+)(?P<close>(?:\s+\"[^\"]*\")?\))")
_MARK = re.compile(r"^( *```\w+) (?:notest)$", re.MULTILINE)
_FENCE = re.compile(r"^\s*(```|~~~)")


class BrokenLink(ValueError):
    """A page links to a file that the repository does not have."""


def origin(site_path: str) -> str:
    """Path in the repository of a page of the site.

    >>> origin("packages/hf.md"), origin("geometry.md")
    ('packages/panollava-hf/README.md', 'docs/geometry.md')
    """
    return next((path for path, page in OUTSIDE.items() if page == site_path), f"docs/{site_path}")


def place(repository_path: str) -> str:
    """Path in the site of a file of the repository.

    >>> place("packages/panollava-hf/README.md"), place("docs/core.md"), place("noxfile.py")
    ('packages/hf.md', 'core.md', 'source/noxfile.py')
    """
    if repository_path in OUTSIDE:
        return OUTSIDE[repository_path]
    if repository_path == "README.md":
        return "index.md"  # the site's first page says the same
    if repository_path.startswith("docs/"):
        return repository_path.removeprefix("docs/")
    return f"{COPIES}/{repository_path}"


def outside_targets(text: str, page: str) -> set[str]:
    """Files of the repository, neither in docs/ nor pages, that a page links to; `page` is its path in the site."""
    found = set()

    def note(target: str) -> str:
        if (path := _resolved(target, page)) and place(path).startswith(f"{COPIES}/"):
            found.add(path)
        return target

    rewrite(text, note)
    return found


def site_text(text: str, page: str) -> str:
    """The text of a page with links that hold in the site, and without marks for the block runner.

    Raises:
        BrokenLink: A link names a file that does not exist.
    """

    def moved(target: str) -> str:
        path = _resolved(target, page)
        if path is None:
            return target
        _, hash_, anchor = target.partition("#")
        return posixpath.relpath(place(path), posixpath.dirname(page) or ".") + hash_ + anchor

    return _MARK.sub(r"\1", rewrite(text, moved))


def rewrite(text: str, change: Callable[[str], str]) -> str:
    """The text with each link's target changed, except in fenced code."""
    return "".join(
        line if fenced else _LINK.sub(lambda m: m["open"] + change(m["target"]) + m["close"], line)
        for fenced, line in _lines(text)
    )


def _lines(text: str) -> Iterator[tuple[bool, str]]:
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
            yield True, line
        else:
            yield bool(fence), line
            if mark and mark[1] == fence:
                fence = ""


def _resolved(target: str, page: str) -> str | None:
    """The path in the repository that a link means; None for addresses and for anchors of the same page."""
    path = target.partition("#")[0]
    if not path or re.match(r"[a-z][a-z0-9+.-]*:", path):
        return None
    resolved = posixpath.normpath(posixpath.join(posixpath.dirname(origin(page)), path))
    if place(resolved).startswith("reference/") or (ROOT / resolved).exists():
        return resolved  # the reference is made, so it is not in the repository
    raise BrokenLink(f"{origin(page)} links to {target}: there is no {resolved}")
