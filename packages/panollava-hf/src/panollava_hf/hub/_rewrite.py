"""Rewrite one module for a flat folder. Only the changed spans differ; comments and layout stay."""

import ast
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from panollava_hf.hub._library import Library, Source, absolute_module, is_type_checking

#: Third-party packages that exported code may import: they are installed wherever transformers and torch are.
ALLOWED = frozenset({"torch", "numpy", "PIL", "transformers", "huggingface_hub", "safetensors", "tokenizers"})
#: Standard modules that look for files next to the code, or for installed packages; an export has neither.
NEEDS_INSTALLATION = ("importlib.resources", "importlib.metadata", "pkgutil")
#: Own modules that may import a module by a computed name: of a class that is already loaded, see there.
IMPORT_BY_NAME = frozenset({"panollava_hf._pickling"})
LINE = 120


def is_allowed(module: str) -> bool:
    """Whether exported code may import a module at its top level."""
    top = module.split(".")[0]
    return top in ALLOWED or top in sys.stdlib_module_names


@dataclass
class Rewritten:
    """A rewritten module.

    Attributes:
        text: The new text.
        needs: Dotted names of the modules it imports.
        hinted: The modules among them that are imported as modules (`from . import module`). transformers does not see
            such imports, so another line must name these modules.
    """

    text: str = ""
    needs: set[str] = field(default_factory=set)
    hinted: set[str] = field(default_factory=set)


def rewrite(library: Library, source: Source, flat_name: Callable[[str], str]) -> Rewritten:
    """Rewrite a module's imports to one-dot imports and remove its jaxtyping annotations.

    Args:
        library: The packages that are exported.
        source: The module.
        flat_name: Maps a dotted module name to its name in the flat folder.

    Raises:
        ExportError: The module contains something that does not work in a flat folder.
    """
    visitor = _Rewriter(library, source, flat_name)
    visitor.visit(source.tree)
    visitor.result.text = visitor.edited()
    return visitor.result


class _Rewriter(ast.NodeVisitor):
    def __init__(self, library: Library, source: Source, flat_name: Callable[[str], str]) -> None:
        self.library, self.source, self.flat_name = library, source, flat_name
        self.lines = source.text.encode().splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.edits: list[tuple[int, int, bytes]] = []
        self.result = Rewritten()
        self.functions = self.guards = self.checking = 0
        self.array_types = {
            alias.asname or alias.name
            for node in ast.walk(source.tree)
            if isinstance(node, ast.ImportFrom) and node.module == "jaxtyping"
            for alias in node.names
        }
        self.quoted_array = re.compile(rf"\b({'|'.join(map(re.escape, self.array_types)) or '(?!)'})\[")

    # Spans. The syntax tree counts columns in bytes, so all edits are made on bytes.

    def span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0  # the parser sets both
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[end_line - 1] + end_column

    def text_of(self, node: ast.stmt | ast.expr) -> str:
        start, end = self.span(node)
        return b"".join(self.lines)[start:end].decode()

    def replace(self, node: ast.stmt | ast.expr, text: str) -> None:
        self.edits.append((*self.span(node), text.encode()))

    def indent(self, node: ast.stmt) -> str:
        before = self.lines[node.lineno - 1][: node.col_offset].decode()
        if before.strip():
            raise self.source.error(node, "an import shares its line with other code: move it to its own line")
        return before

    def drop(self, node: ast.stmt) -> None:
        """Remove a statement; inside a block, write `pass` instead, since the block may not be empty."""
        if node.col_offset:
            self.replace(node, "pass")
        else:
            self.edits.append((self.starts[node.lineno - 1], self.starts[node.end_lineno or node.lineno], b""))

    def edited(self) -> str:
        data = b"".join(self.lines)
        for start, end, text in sorted(self.edits, reverse=True):
            data = data[:start] + text + data[end:]
        return data.decode()

    # Blocks: an import is treated differently inside functions, `try` and `if TYPE_CHECKING:`.

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.functions += 1
        self.generic_visit(node)
        self.functions -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Try(self, node: ast.Try) -> None:
        self.guards += 1
        for statement in node.body:
            self.visit(statement)
        self.guards -= 1
        for rest in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(rest)

    def visit_If(self, node: ast.If) -> None:
        if not is_type_checking(node):
            self.generic_visit(node)
        elif not node.orelse and not node.col_offset:
            self.drop(node)
        else:
            self.checking += 1
            for statement in node.body:
                self.visit(statement)
            self.checking -= 1
            for statement in node.orelse:
                self.visit(statement)

    # Imports.

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.split(".")[0] == "jaxtyping":
                raise self.source.error(node, "`import jaxtyping` cannot be removed: use `from jaxtyping import …`")
            if not self.library.owns(alias.name):
                continue
            if alias.asname is None:
                raise self.source.error(node, f"`import {alias.name}` cannot be flattened: use `from … import …`")
            if len(node.names) > 1:
                raise self.source.error(node, "one statement imports several modules: write one statement for each")
            if self.checking:
                return self.drop(node)
            if self.library.find(alias.name) is None:
                raise self.source.error(node, f"there is no module {alias.name}")
            return self.replace(node, self.module_import(alias.name, alias.asname))
        return self.external(node, [alias.name for alias in node.names])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = absolute_module(self.source, node)
        if module == "jaxtyping":
            self.drop(node)
        elif not self.library.owns(module):
            self.external(node, [module, *(f"{module}.{alias.name}" for alias in node.names)])
        elif self.checking:
            self.drop(node)
        else:
            self.own(node, module)

    def own(self, node: ast.ImportFrom, module: str) -> None:
        """Write one import statement for each module that the names come from."""
        indent = self.indent(node)
        names: dict[str, list[str]] = {}
        lines: list[str] = []
        for alias in node.names:
            if alias.name == "*":
                raise self.source.error(node, f"star import from {module}: list the names instead")
            target, name = self.library.resolve(module, alias.name, self.source, node)
            if name is None:
                lines.append(self.module_import(target, alias.asname or alias.name))
                continue
            shown = alias.asname or alias.name
            names.setdefault(target, []).append(name if name == shown else f"{name} as {shown}")
        for target, wanted in names.items():
            self.result.needs.add(target)
            lines.append(from_import(self.flat_name(target), wanted, indent))
        self.replace(node, f"\n{indent}".join(lines))

    def module_import(self, module: str, shown: str) -> str:
        self.result.needs.add(module)
        self.result.hinted.add(module)
        flat = self.flat_name(module)
        return f"from . import {flat}" + ("" if flat == shown else f" as {shown}")

    def external(self, node: ast.Import | ast.ImportFrom, modules: list[str]) -> None:
        """Imports of third-party packages: kept, guarded by `try`, or refused."""
        for module in modules:
            if module in NEEDS_INSTALLATION:
                raise self.source.error(node, f"{module} needs an installed package; exported code cannot use it")
        if all(is_allowed(module) for module in modules) or self.guards:
            return
        if self.checking:
            return self.drop(node)
        name = next(module for module in modules if not is_allowed(module)).split(".")[0]
        if not self.functions:
            raise self.source.error(
                node, f"needs {name!r} at import, which users of an export may not have: import it in a function"
            )
        # transformers requires every package that is imported outside of `try`, even inside a function.
        indent = self.indent(node)
        guarded = f"try:\n{indent}    {self.text_of(node)}\n{indent}except ImportError:\n{indent}    raise"
        return self.replace(node, guarded)

    # Annotations.

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not (isinstance(node.value, ast.Name) and node.value.id in self.array_types):
            self.generic_visit(node)
            return
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        if len(parts) != 2 or not isinstance(parts[1], ast.Constant):
            raise self.source.error(node, f"expected {node.value.id}[array, 'axes']")
        if any(isinstance(n, ast.Name) and n.id in self.array_types for n in ast.walk(parts[0])):
            raise self.source.error(node, "one jaxtyping annotation contains another: write a single one")
        self.replace(node, self.text_of(parts[0]))

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self.array_types:
            raise self.source.error(node, f"jaxtyping's {node.id} is used as a value; exports have no jaxtyping")
        if node.id == "__file__":
            raise self.source.error(node, "__file__ is a different path in an export: avoid it")

    def visit_Constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, str):
            return
        if "\n" not in node.value and self.quoted_array.search(node.value):
            raise self.source.error(node, "a jaxtyping annotation in quotes cannot be removed: remove the quotes")
        for offset, line in enumerate(node.value.split("\n")):
            if re.match(r"\s*(from\s+\.\S+\s+import|import\s+\.\S)", line):
                at = ast.Constant("", lineno=node.lineno + offset)
                raise self.source.error(at, "transformers would read this line of text as an import: reword it")

    def visit_Call(self, node: ast.Call) -> None:
        importers = ("importlib.import_module", "import_module", "__import__")
        if ast.unparse(node.func) in importers and self.source.name not in IMPORT_BY_NAME:
            argument = node.args[0] if node.args else None
            name = argument.value if isinstance(argument, ast.Constant) else None
            if not isinstance(name, str) or self.library.owns(name) or name.startswith("."):
                raise self.source.error(
                    node, "a module is imported by a name that is not a literal: write an import statement"
                )
        self.generic_visit(node)


def from_import(module: str, names: list[str], indent: str = "") -> str:
    """`from .module import names`, on several lines if it does not fit on one."""
    line = f"from .{module} import {', '.join(names)}"
    if len(indent) + len(line) <= LINE:
        return line
    return f"from .{module} import (\n" + "".join(f"{indent}    {name},\n" for name in names) + f"{indent})"
