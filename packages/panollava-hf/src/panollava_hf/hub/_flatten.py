"""Write the code of several packages as one flat folder, the only form that `trust_remote_code` can load.

transformers downloads the file that `auto_map` names and the files that it imports with one dot
(`from .module import name`), and nothing else: no subfolders, no packages. So `panollava_core._fusion` becomes
`panollava_core_fusion.py` and imports change accordingly. jaxtyping annotations are removed, because transformers
refuses code that imports a package which is not installed.
"""

import ast
from collections.abc import Iterable, Mapping

from panollava_hf._errors import ExportError
from panollava_hf.hub._library import Library, Source, bound_names
from panollava_hf.hub._rewrite import Rewritten, from_import, is_allowed, rewrite


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
# Written by `panollava export` from {path}; edit the original instead.
"""

HINTS = """

if False:  # Never runs. transformers copies the files that these lines import; some releases copy no others.
{imports}
"""


def flatten(entries: Iterable[str], library: Library | None = None) -> dict[str, str]:
    """Flatten some modules and everything that they import.

    Args:
        entries: Dotted names of the modules that `auto_map` will name. Each of them imports every other file of the
            result, so that all releases of transformers copy all files.
        library: The packages whose modules may be included; default: the four installed PanoLLaVA packages.

    Returns:
        The text of each file, by file name.

    Raises:
        ExportError: A module cannot be flattened; the message names file and line.

    Example:
        >>> sorted(flatten(["panollava_hf._outputs"]))
        ['outputs.py']
    """
    library = Library() if library is None else library
    names = _FlatNames(main=list(library.roots)[-1])
    entries = list(entries)
    done: dict[str, tuple[Source, Rewritten]] = {}
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        if module in done:
            continue
        source = library.find(module)
        if source is None:
            raise ExportError(f"there is no module {module}")
        done[module] = source, rewrite(library, source, names.of)
        waiting.extend(sorted(done[module][1].needs))
    files = {}
    for module, (source, rewritten) in sorted(done.items()):
        text = HEADER.format(path=source.relative_path) + rewritten.text
        hinted = rewritten.hinted
        if module in entries:
            hinted = set(done) - rewritten.needs - {module} | hinted
        if hinted:
            imports = [from_import(name, ["__name__ as _"]) for name in sorted(map(names.of, hinted))]
            text += HINTS.format(imports="\n".join(f"    {line}" for line in imports))
        files[f"{names.of(module)}.py"] = text
    check_flat(files)
    return files


class _FlatNames:
    """The file name of each module; modules of the main package keep their own names."""

    def __init__(self, main: str) -> None:
        self.main = main
        self.modules: dict[str, str] = {}

    def of(self, module: str) -> str:
        parts = module.split(".")
        parts = parts[1:] if parts[0] == self.main and len(parts) > 1 else parts
        name = "_".join(part.strip("_") for part in parts)
        if self.modules.setdefault(name, module) != module:
            raise ExportError(
                f"{module} and {self.modules[name]} would both be written to {name}.py: rename one of them"
            )
        return name
