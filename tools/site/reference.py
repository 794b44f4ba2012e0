"""The reference: a page for each public module, with every public name that no page before it has.

Names come from `__all__`. Their docstrings are read from the sources, without importing anything.
"""

import ast
import builtins
import doctest
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import griffe

from tools.site.pages import PACKAGES, ROOT

#: Modules without a page: their names are commands or internal to the packages.
WITHOUT_PAGE = {"panollava_geometry.cli", "panollava_hf.cli", "panollava_hf.outside", "panollava_hf.serving"}


@dataclass(frozen=True)
class Module:
    """A public module.

    Attributes:
        name: Its dotted name.
        names: Its public names.
        elsewhere: Public names that have their place on another page, with that module's name.
    """

    name: str
    names: tuple[str, ...]
    elsewhere: dict[str, str]

    @property
    def page(self) -> str:
        """Path of its page in the site's sources."""
        return f"reference/{self.name}.md"


def modules() -> list[Module]:
    """All public modules with public names, the packages first, each followed by its folders."""
    found: list[Module] = []
    homes: dict[tuple[str, str], str] = {}
    for name, file in sorted(_public_files(), key=lambda item: (_rank(item[0]), item[0])):
        exported = _exported(file)
        if not exported or name in WITHOUT_PAGE:
            continue
        package = name.partition(".")[0]
        elsewhere = {n: homes[package, n] for n in exported if (package, n) in homes}
        homes.update({(package, n): name for n in exported if n not in elsewhere})
        if own := tuple(n for n in exported if n not in elsewhere):
            found.append(Module(name, own, elsewhere))
    return found


def page_text(module: Module) -> str:
    """The Markdown of a module's page; mkdocstrings fills in the docstrings."""
    lines = [f"# {module.name}", "", f"::: {module.name}", "    options:", "      show_root_heading: false"]
    lines += ["      show_root_toc_entry: false", "      members: false", ""]
    for name in module.names:
        lines += [f"::: {module.name}.{name}", ""]
    if module.elsewhere:
        others = ", ".join(f"[`{name}`][{home}.{name}]" for name, home in sorted(module.elsewhere.items()))
        lines += ["## Also in this module", "", others, ""]
    return "\n".join(lines)


def index_text(found: list[Module]) -> str:
    """The Markdown of the reference's first page: every public name."""
    lines = ["# Reference", "", "Every public name of the four packages. All others may change without notice.", ""]
    for module in found:
        title = f"[`{module.name}`]({module.page.removeprefix('reference/')})"
        lines += [f"{title}: " + ", ".join(f"[`{n}`][{module.name}.{n}]" for n in module.names), ""]
    return "\n".join(lines)


def undocumented(found: list[Module]) -> list[str]:
    """Public names, and public members of public classes, that have no docstring of their own or inherited."""
    return [name for name, thing in _documented(found) if not thing.docstring]


def not_imported(found: list[Module]) -> list[str]:
    """Names that an example uses and does not import: who copies it from the page gets a NameError."""
    missing = []
    for name, thing in _documented(found):
        if thing.docstring:
            examples = doctest.DocTestParser().get_examples(thing.docstring.value)
            missing += [f"{name}: {free}" for free in free_names("".join(example.source for example in examples))]
    return missing


def free_names(source: str) -> list[str]:
    r"""Names that a program reads and nowhere defines or imports.

    >>> free_names("import math\ndef half(x): return x / two\nprint(half(math.pi), y)")
    ['two', 'y']
    """
    defined, read = set(dir(builtins)), set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names) | ast.ImportFrom(names=names):
                defined.update((alias.asname or alias.name).partition(".")[0] for alias in names)
            case ast.Name(name, ast.Load()):
                read.add(name)
            case ast.Name(name) | ast.FunctionDef(name) | ast.ClassDef(name) | ast.arg(name):
                defined.add(name)
    return sorted(read - defined)


def _documented(found: list[Module]) -> Iterator[tuple[str, griffe.Object | griffe.Alias]]:
    """Public names and the public methods of public classes."""
    read = _read_sources()
    for module in found:
        for name in module.names:
            thing = read[f"{module.name}.{name}"]
            yield f"{module.name}.{name}", thing
            if thing.is_class:
                yield from ((f"{module.name}.{name}.{m.name}", m) for m in _own_methods(thing))


@cache
def _read_sources() -> griffe.ModulesCollection:
    """The four packages; the sources do not change while a site is built."""
    extensions = griffe.load_extensions("griffe_sphinx")
    paths = [str(_source(p)) for p in PACKAGES]
    loader = griffe.GriffeLoader(search_paths=paths, extensions=extensions, allow_inspection=False)
    for package in PACKAGES:
        loader.load(f"panollava_{package}")
    loader.resolve_aliases(implicit=True, external=False)
    return loader.modules_collection


def _own_methods(thing: griffe.Class | griffe.Alias) -> Iterator[griffe.Object | griffe.Alias]:
    """Public methods that no class of the standard library or of another package defines."""
    inherited = {name for base in thing.resolved_bases for name in base.all_members}
    for name, member in thing.members.items():
        if (
            member.is_function
            and not name.startswith("_")
            and name not in inherited
            and "override" not in member.labels
        ):
            yield member


def _source(package: str) -> Path:
    return ROOT / "packages" / f"panollava-{package}" / "src"


def _public_files() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for file in _source(package).rglob("*.py"):
            parts = file.relative_to(_source(package)).with_suffix("").parts
            dotted = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in dotted):
                yield ".".join(dotted), file


def _rank(name: str) -> tuple[int, int]:
    package = name.partition(".")[0].removeprefix("panollava_")
    return PACKAGES.index(package), name.count(".") > 0


def _exported(file: Path) -> list[str]:
    """The strings of `__all__`, in order."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return sorted(ast.literal_eval(node.value), key=str.lower)
    return []
