"""Draw the four packages, their rooms and the imports between these from the code: `python -m tools.site.architecture`.

A room is a folder or a public module of a package. Private modules outside the rooms are not drawn; an import through
them is drawn as an import. A small package is drawn with all its modules. An arrow that others imply is left out.
"""

import argparse
import ast
import html
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import grimp

from tools.site.pages import PACKAGES, ROOT

IMAGE = ROOT / "docs" / "assets" / "architecture.svg"
#: A package of at most so many children is drawn with its private modules.
WHOLE = 20
ROW, GAP, BOX, CHARACTER, MARGIN, TITLE = 74, 18, 40, 7.1, 22, 34


@dataclass(frozen=True)
class Room:
    """A box of the drawing.

    Attributes:
        name: Its name below the package.
        modules: Number of modules in it.
        idea: The first sentence of its docstring.
    """

    name: str
    modules: int
    idea: str


@dataclass(frozen=True)
class Package:
    """A package with its rooms in rows; each room imports from rows below its own only.

    Attributes:
        name: Its name.
        rows: The rooms, from the top row down.
        arrows: Names of the rooms that import, and that are imported.
    """

    name: str
    rows: list[list[Room]]
    arrows: set[tuple[str, str]]


def read_package(package: str) -> Package:
    """The rooms of a package and the imports between them."""
    name = f"panollava_{package}"
    graph = grimp.build_graph(name, exclude_type_checking_imports=True, cache_dir=None)
    children = sorted(graph.find_children(name))
    rooms = set(children) if len(children) <= WHOLE else {child for child in children if _is_room(child)}
    direct = {child: _imports(graph, child, children) for child in children}
    needs = {room: _reached(direct, room, rooms) for room in rooms}
    depth: dict[str, int] = {}
    for room in sorted(rooms):
        _depth(room, needs, depth)
    rows = [
        [_room(graph, name, room) for room in sorted(rooms) if depth[room] == level]
        for level in sorted(set(depth.values()), reverse=True)
    ]
    arrows = {(a, b) for a in rooms for b in needs[a] if not any(b in _closure(needs, c) for c in needs[a] - {b})}
    short = {room: room.removeprefix(f"{name}.") for room in rooms}
    between = {(short[a], short[b]) for a, b in arrows}
    return Package(name, _untangled(rows, between), between)


def _untangled(rows: list[list[Room]], arrows: set[tuple[str, str]]) -> list[list[Room]]:
    """The rows with each room below the rooms that import it, as far as its row allows."""
    place: dict[str, float] = {}
    ordered = []
    for row in rows:
        wanted = {}
        for room in row:
            above = [place[a] for a, b in arrows if b == room.name]
            wanted[room.name] = sum(above) / len(above) if above else 0.5
        row = sorted(row, key=lambda room: (wanted[room.name], room.name))
        place.update({room.name: (number + 1) / (len(row) + 1) for number, room in enumerate(row)})
        ordered.append(row)
    return ordered


def draw(packages: list[Package]) -> str:
    """The drawing as SVG: the first package above, the others side by side below it."""
    above, *below = packages
    sizes = {p.name: _size(p) for p in packages}
    width = max(sizes[above.name][0], sum(sizes[p.name][0] for p in below) + GAP * (len(below) - 1)) + 2 * MARGIN
    lower = MARGIN + sizes[above.name][1] + 58
    height = lower + max(sizes[p.name][1] for p in below) + MARGIN
    parts = [_package(above, MARGIN, MARGIN, width - 2 * MARGIN, sizes[above.name][1])]
    left = MARGIN
    spare = (width - 2 * MARGIN - sum(sizes[p.name][0] for p in below) - GAP * (len(below) - 1)) / len(below)
    for package in below:
        wide = sizes[package.name][0] + spare
        middle = left + wide / 2
        parts.append(_arrow(middle, lower - 58, middle, lower, "between"))
        parts.append(_package(package, left, lower, wide, sizes[package.name][1]))
        left += wide + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="The rooms of the four packages and the imports between them">\n{_STYLE}\n'
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


_STYLE = """<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#5e687d"/></marker></defs>
<style>
text { font: 13px system-ui, sans-serif; fill: #0c121a; text-anchor: middle; }
.title { font-weight: 600; font-size: 15px; }
.count { font-size: 10.5px; fill: #5e6875; }
.package { fill: #f4f6fa; stroke: #c3cad6; }
.room { fill: #fff; stroke: #3f51b5; }
.arrow { fill: none; stroke: #5e687d; stroke-width: 1; opacity: .65; }
.between { fill: none; stroke: #5e687d; stroke-width: 2.5; }
</style>"""


def _is_room(module: str) -> bool:
    last = module.rpartition(".")[2]
    file = _file(module)
    return (file.name == "__init__.py" and last != "tests") or not last.startswith("_")


def _file(module: str) -> Path:
    package, *parts = module.split(".")
    base = ROOT / "packages" / package.replace("_", "-") / "src" / package
    folder = base.joinpath(*parts)
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _imports(graph: grimp.ImportGraph, child: str, children: Iterable[str]) -> set[str]:
    """The other children that a child, or a module in it, imports from."""
    inside = {child, *graph.find_descendants(child)}
    imported = {target for module in inside for target in graph.find_modules_directly_imported_by(module)}
    return {
        other
        for other in children
        if other != child and any(target == other or target.startswith(f"{other}.") for target in imported)
    }


def _reached(direct: dict[str, set[str]], start: str, rooms: set[str]) -> set[str]:
    """The rooms that a room imports from, directly or through private modules."""
    found, seen, waiting = set(), {start}, [start]
    while waiting:
        for other in direct[waiting.pop()] - seen:
            seen.add(other)
            (found.add if other in rooms else waiting.append)(other)
    return found


def _depth(room: str, needs: dict[str, set[str]], depth: dict[str, int], above: tuple[str, ...] = ()) -> int:
    if room in above:
        raise ValueError(f"rooms import each other in a circle: {' → '.join([*above, room])}")
    if room not in depth:
        depth[room] = max((1 + _depth(other, needs, depth, (*above, room)) for other in sorted(needs[room])), default=0)
    return depth[room]


def _closure(needs: dict[str, set[str]], room: str) -> set[str]:
    return needs[room].union(*(_closure(needs, other) for other in needs[room]))


def _room(graph: grimp.ImportGraph, package: str, room: str) -> Room:
    docstring = ast.get_docstring(ast.parse(_file(room).read_text(encoding="utf-8"))) or ""
    modules = len([m for m in graph.find_descendants(room) if _file(m).name != "__init__.py"])
    return Room(room.removeprefix(f"{package}."), max(modules, 1), docstring.split("\n\n")[0].replace("\n", " "))


def _width(room: Room) -> float:
    return max(len(room.name) * CHARACTER + 26, 78)


def _size(package: Package) -> tuple[float, float]:
    widest = max(sum(_width(r) for r in row) + GAP * (len(row) - 1) for row in package.rows)
    return max(widest, len(package.name) * 9) + 2 * GAP, TITLE + len(package.rows) * ROW


def _package(package: Package, left: float, top: float, width: float, height: float) -> str:
    centres: dict[str, tuple[float, float]] = {}
    boxes = []
    for number, row in enumerate(package.rows):
        total = sum(_width(r) for r in row)
        space = (width - total) / (len(row) + 1)
        x, y = left + space, top + TITLE + number * ROW + 8
        for room in row:
            wide = _width(room)
            centres[room.name] = (x + wide / 2, y)
            count = f"{room.modules} module{'s' if room.modules > 1 else ''}"
            boxes.append(
                f"<g><title>{html.escape(room.idea)}</title>"
                f'<rect class="room" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{BOX}" rx="6"/>'
                f'<text x="{x + wide / 2:.1f}" y="{y + 17:.1f}">{html.escape(room.name)}</text>'
                f'<text class="count" x="{x + wide / 2:.1f}" y="{y + 32:.1f}">{count}</text></g>'
            )
            x += wide + space
    arrows = [
        _arrow(centres[a][0], centres[a][1] + BOX, centres[b][0], centres[b][1], "arrow")
        for a, b in sorted(package.arrows)
    ]
    return "\n".join(
        [
            f'<rect class="package" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="10"/>',
            f'<text class="title" x="{left + width / 2:.1f}" y="{top + 23:.1f}">{package.name}</text>',
            *arrows,
            *boxes,
        ]
    )


def _arrow(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    bend = (y1 - y0) / 2
    return (
        f'<path class="{kind}" marker-end="url(#head)" '
        f'd="M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} {x1:.1f} {y1:.1f}"/>'
    )


def main() -> None:
    """Write the image, or say with exit code 1 that it is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the image is out of date")
    check = parser.parse_args().check
    sys.path[:0] = [str(ROOT / "packages" / f"panollava-{p}" / "src") for p in PACKAGES]
    image = draw([read_package(p) for p in ("hf", *(p for p in PACKAGES if p != "hf"))])
    if not check:
        IMAGE.write_text(image, encoding="utf-8")
    elif not IMAGE.exists() or IMAGE.read_text(encoding="utf-8") != image:
        raise SystemExit(f"{os.path.relpath(IMAGE, ROOT)} is out of date: run `python -m tools.site.architecture`")


if __name__ == "__main__":
    main()
