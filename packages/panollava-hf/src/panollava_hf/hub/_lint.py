"""Check the text of a flat folder the way transformers reads it."""

import ast
from collections.abc import Mapping

from panollava_hf._errors import ExportError
from panollava_hf.hub._library import bound_names
from panollava_hf.hub._rewrite import is_allowed


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
