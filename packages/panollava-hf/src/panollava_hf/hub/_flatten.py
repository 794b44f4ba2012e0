"""Write the code of several packages as one flat folder, the only form that `trust_remote_code` can load.

transformers downloads the file that `auto_map` names and the files that it imports with one dot
(`from .module import name`), and nothing else: no subfolders, no packages. So the modules that `auto_map` names keep
their files, and the others are joined to one file for each package, `panollava_core.py` for example. jaxtyping
annotations are removed, because transformers refuses code that imports a package which is not installed.
"""

import ast
from collections.abc import Iterable, Mapping

from panollava_hf._errors import ExportError
from panollava_hf.hub._fold import File, Fold
from panollava_hf.hub._library import Library, bound_names
from panollava_hf.hub._parts import Part, in_order, own_imports, targets, without_pragmas
from panollava_hf.hub._rewrite import IMPORT_BY_NAME, from_import, is_allowed, rewrite


def check_flat(files: Mapping[str, str]) -> None:
    """Check the files of an export against each other.

    Args:
        files: Text by file name.

    Raises:
        ExportError: A file does not parse, imports a name that does not exist, or needs a package that users may not
            have.
    """
    trees = {}
    for name, text in files.items():
        try:
            trees[name.removesuffix(".py")] = ast.parse(text, filename=name)
        except SyntaxError as error:
            raise ExportError(f"{name}:{error.lineno}: the rewritten file does not parse: {error.msg}") from error
    bound = {name: set(bound_names(tree)) | {"__name__"} for name, tree in trees.items()}
    for name, tree in trees.items():
        _check(name, tree, bound)


def _check(name: str, node: ast.AST, bound: Mapping[str, set[str]]) -> None:
    if isinstance(node, ast.Try):  # transformers does not check these imports either
        return
    line = f"{name}.py:{getattr(node, 'lineno', 1)}"
    if isinstance(node, ast.ImportFrom) and node.level:
        if node.level > 1 or "." in (node.module or ""):
            raise ExportError(f"{line}: only `from .module import name` works in a flat folder")
        for alias in node.names:
            if node.module is None and alias.name not in bound:
                raise ExportError(f"{line}: the export has no file {alias.name}.py")
            if node.module is not None and alias.name not in bound.get(node.module, ()):
                raise ExportError(f"{line}: {node.module}.py of the export does not define {alias.name!r}")
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        for module in modules:
            if not is_allowed(module):
                raise ExportError(f"{line}: imports {module!r}, which users of the export may not have")
    for child in ast.iter_child_nodes(node):
        _check(name, child, bound)


HEADER = """\
# SPDX-License-Identifier: MIT
# Copyright (c) The PanoLLaVA contributors
# `panollava export` wrote this file from {paths}
# in the source of {packages}; edit the original instead.
"""

HINTS = """

if False:  # Never runs. transformers copies the files that these lines import; some releases copy no others.
{imports}
"""

#: Modules with a file of their own: a pickler that takes a function along takes its whole module.
APART = IMPORT_BY_NAME


def flatten(entries: Iterable[str], library: Library | None = None) -> dict[str, str]:
    """Flatten some modules and everything that they import.

    Args:
        entries: Dotted names of the modules that `auto_map` will name. Each of them has a file of its own, which names
            every other file of the result, so that all releases of transformers copy all files.
        library: The packages whose modules may be included; default: the four installed PanoLLaVA packages.

    Returns:
        The text of each file, by file name: one for each entry, and one for the other modules of each package.

    Raises:
        ExportError: A module cannot be flattened; the message names file and line.

    Example:
        >>> sorted(flatten(["panollava_hf._outputs"]))
        ['outputs.py']
    """
    library = Library() if library is None else library
    entries = list(entries)
    modules: dict[str, str] = {}  # by name in the imports of rewritten modules
    parts: dict[str, Part] = {}
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        if (flat := flat_name(module)) in parts:
            continue
        source = library.find(module)
        if source is None:
            raise ExportError(f"there is no module {module}")
        rewritten = rewrite(library, source, flat_name)
        parts[flat], modules[flat] = Part(flat, source, without_pragmas(rewritten.text)), module
        waiting.extend(sorted(rewritten.needs))
    grouped: dict[str, list[Part]] = {}
    owners: dict[str, str] = {}
    for flat in in_order(parts, map(flat_name, entries)):
        name, owner = file_name(modules[flat], entries, main=list(library.roots)[-1])
        if owners.setdefault(name, owner) != owner:
            raise ExportError(f"{owner} and {owners[name]} would both be written to {name}.py: rename one of them")
        grouped.setdefault(name, []).append(parts[flat])
    fold = Fold(parts, [File(name, grouped[name]) for name in _sorted_files(grouped)])
    files = {}
    for file in fold.files:
        text = header(file) + fold.text(file)
        if any(part.source.name in entries for part in file.parts):
            named = {file.name, *(node.module for node in own_imports(ast.parse(text), eager=False))}
            if hinted := sorted(grouped.keys() - named):
                imports = [f"    {from_import(name, ['__name__ as _'])}" for name in hinted]
                text += HINTS.format(imports="\n".join(imports))
        files[f"{file.name}.py"] = text
    check_flat(files)
    return dict(sorted(files.items()))


def header(file: File) -> str:
    """The comment at the beginning of a file: licence, and where the source is."""
    packages = sorted({part.source.name.split(".")[0].replace("_", "-") for part in file.parts})
    single = f"{file.parts[0].source.relative_path}" if not file.joined else f"{len(file.parts)} modules, named below,"
    return HEADER.format(paths=single, packages=", ".join(f"https://pypi.org/project/{name}/" for name in packages))


def flat_name(module: str) -> str:
    """The name of a module in the imports of rewritten modules, before they are joined."""
    return module.replace(".", "__dot__")


def file_name(module: str, entries: Iterable[str], main: str) -> tuple[str, str]:
    """The file that a module is written to, and what else may be written to it.

    Public modules of the main package keep their names, which are those that the Hub expects.
    """
    package, *inner = module.split(".")
    if module in entries or (package == main and len(inner) == 1 and not inner[0].startswith("_")):
        parts = inner if package == main and inner else [package, *inner]
        return "_".join(part.strip("_") for part in parts), module
    if module in APART:
        return f"{package.partition('_')[0]}_{inner[-1].strip('_')}", module
    return package, package


def _sorted_files(grouped: Mapping[str, list[Part]]) -> list[str]:
    """The files, each after those that it imports, also in functions."""
    home = {part.flat: name for name, parts in grouped.items() for part in parts}
    done: dict[str, None] = {}

    def visit(name: str, running: tuple[str, ...]) -> None:
        if name in done or name in running:
            return
        for part in grouped[name]:
            for target in sorted(targets(own_imports(part.tree, eager=False))):
                visit(home[target], (*running, name))
        done[name] = None

    for name in sorted(grouped):
        visit(name, ())
    return list(done)
