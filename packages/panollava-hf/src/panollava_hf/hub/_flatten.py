"""The code of several packages as one flat folder, the only form that `trust_remote_code` can load.

transformers fetches the file that `auto_map` names and whatever that imports with one dot (`from .module import name`),
and nothing else: no sub-folders, no packages. So `panollava_core._fusion` becomes `panollava_core_fusion.py`, imports
follow, and jaxtyping annotations go, because transformers refuses code that imports what the user has not installed.
"""

import ast
from collections.abc import Iterable

from panollava_hf._errors import ExportError
from panollava_hf.hub._library import Library, Source, is_docstring
from panollava_hf.hub._lint import check_flat
from panollava_hf.hub._rewrite import Rewritten, from_import, rewrite

HEADER = """\
# SPDX-License-Identifier: MIT
# Copyright (c) The PanoLLaVA contributors
# Written by `panollava export` from {path}; change it there.
"""

HINTS = """

if False:  # never run: transformers copies the files that such lines name, some releases no others
{imports}
"""

ADOPT = """

# Saving a loaded model writes the file that its class says it comes from, and points `auto_map` there.
for _class in (
{names}
):
    _class.__module__ = __name__
"""


def flatten(entries: Iterable[str], library: Library | None = None) -> dict[str, str]:
    """Flatten some modules and all they import.

    Args:
        entries: Dotted names of the modules that `auto_map` will name; each names all files of the export.
        library: The packages that may be followed; default: the four installed PanoLLaVA packages.

    Returns:
        Text of each file by its name.

    Raises:
        ExportError: Something cannot be flattened; the message names file and line.

    Example:
        >>> sorted(flatten(["panollava_hf._outputs"]))
        ['outputs_panollava.py']
    """
    library = Library() if library is None else library
    main = list(library.roots)[-1]
    flat: dict[str, str] = {}

    def flat_name(module: str) -> str:
        parts = module.split(".")
        parts = parts[1:] if parts[0] == main and len(parts) > 1 else parts
        name = "_".join(part.strip("_") for part in parts)
        if flat.setdefault(name, module) != module:
            raise ExportError(f"{module} and {flat[name]} would both be {name}.py: rename one")
        return name

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
        done[module] = source, rewrite(library, source, flat_name)
        waiting.extend(sorted(done[module][1].needs))
    files = {}
    for module, (source, rewritten) in sorted(done.items()):
        text = HEADER.format(path=source.relative_path) + rewritten.text
        hinted = rewritten.hinted
        if module in entries:
            text += _adopt(source)
            hinted = set(done) - rewritten.needs - {module} | hinted
        if hinted:
            imports = [from_import(name, ["__name__ as _"]) for name in sorted(map(flat_name, hinted))]
            text += HINTS.format(imports="\n".join(f"    {line}" for line in imports))
        files[f"{flat_name(module)}.py"] = text
    check_flat(files)
    return files


def _adopt(source: Source) -> str:
    """For an entry that only re-exports: make its public classes say that they live there."""
    body = [statement for statement in source.tree.body if not is_docstring(statement)]
    public: list[str] = []
    for statement in body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            public = ast.literal_eval(statement.value)
        elif not isinstance(statement, ast.ImportFrom):
            return ""
    return ADOPT.format(names="\n".join(f"    {name}," for name in public)) if public else ""
