"""Write the code of several packages as one flat folder, the only form that `trust_remote_code` can load.

transformers downloads the file that `auto_map` names and the files that it imports with one dot
(`from .module import name`), and nothing else: no subfolders, no packages. So `panollava_core._fusion` becomes
`panollava_core_fusion.py` and imports change accordingly. jaxtyping annotations are removed, because transformers
refuses code that imports a package which is not installed.
"""

from collections.abc import Iterable

from panollava_hf._errors import ExportError
from panollava_hf.hub._library import Library, Source
from panollava_hf.hub._lint import check_flat
from panollava_hf.hub._rewrite import Rewritten, from_import, rewrite

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
