"""Write docs/licences.md, the licences of all direct dependencies: `python -m tools.licences`.

The licences come from the metadata of the installed packages; CONTRIBUTING.md says when to run this.
"""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution

from tools.check_release import PACKAGES, ROOT, project

PAGE = ROOT / "docs" / "licences.md"
HEAD = """\
# Licences of the dependencies

All four packages have the MIT licence. These are the licences that their direct dependencies state in their metadata;
what those depend on in turn is not listed (`pip-licenses` lists everything that is installed). An extra is installed on
request, as in `pip install 'panollava-hf[train]'`. Written by `python -m tools.licences`.

| package | dependency | licence |
|---|---|---|
"""
#: Where the metadata says less than the licence file of the package.
STATED = {
    "pycocoevalcap": "BSD-2-Clause",  # license.txt of its repository; the metadata says UNKNOWN
    "OpenEXR": "BSD-3-Clause",  # LICENSE.md in its wheel; the metadata says nothing
    # LICENSE.txt and LICENSES_bundled.txt in its wheel: the wheel contains libheif and libde265
    "pi-heif": "BSD-3-Clause, binary wheels LGPL-3.0",
}
#: Names of licences in classifiers and licence fields, and their identifiers.
IDENTIFIERS = {
    "Apache Software License": "Apache-2.0",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "PSF": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def dependencies() -> Iterator[tuple[str, str]]:
    """Each package or extra, and the name of a package that it requires; siblings are left out."""
    for package in PACKAGES:
        table = project(ROOT, package)
        groups = {table["name"]: table["dependencies"]}
        groups |= {
            f"{table['name']}[{extra}]": found for extra, found in table.get("optional-dependencies", {}).items()
        }
        for owner, requirements in groups.items():
            for requirement in requirements:
                name = re.match(r"[\w.-]+", requirement)
                if name is not None and not name[0].startswith("panollava"):
                    yield owner, name[0]


def licence(found: Distribution) -> str:
    """The licence that a package states: its SPDX expression, or else its classifiers or a short licence field."""
    fields = found.metadata
    if expression := fields.get("License-Expression"):
        return str(expression)
    classifiers = [text.split(" :: ")[-1] for text in fields.get_all("Classifier", []) if text.startswith("License ::")]
    names = classifiers or [(fields.get("License") or "unknown").strip().split("\n")[0][:60]]
    return " and ".join(IDENTIFIERS.get(name, name) for name in names)


def page() -> str:
    """The text of the page."""
    rows = (
        f"| {owner} | {name} | {STATED.get(name) or licence(distribution(name))} |" for owner, name in dependencies()
    )
    return HEAD + "\n".join(rows) + "\n"


def listed(text: str) -> list[tuple[str, str]]:
    """The packages and dependencies that a page lists."""
    return [(row[1], row[2]) for row in re.finditer(r"^\| (panollava\S*) \| (\S+) \| .+ \|$", text, re.M)]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
