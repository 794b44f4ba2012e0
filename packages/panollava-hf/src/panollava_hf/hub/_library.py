"""Find and read the source of the exported packages without running any of it."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from panollava_hf._errors import ExportError

#: The packages whose code is exported with a model; modules of the last one keep their own names.
PACKAGES = ("panollava_geometry", "panollava_losses", "panollava_core", "panollava_hf")


@dataclass(frozen=True)
class Source:
    """One module.

    Attributes:
        name: Dotted name.
        path: Its file.
        is_package: Whether the file is an `__init__.py`.
    """

    name: str
    path: Path
    is_package: bool

    @cached_property
    def text(self) -> str:
        """The text of the file."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.text, filename=str(self.path))

    @property
    def relative_path(self) -> str:
        """The file as messages and headers name it: `package/module.py`."""
        depth = self.name.count(".") + self.is_package
        return "/".join(self.path.parts[-1 - depth :])

    def error(self, node: ast.AST, problem: str) -> ExportError:
        """The error to raise about a statement of this module."""
        return ExportError(f"{self.relative_path}:{getattr(node, 'lineno', 1)}: {problem}")


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module's top level, including those inside `if`, `try` and `with`."""
    for statement in body:
        yield statement
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statement, (ast.If, ast.Try, ast.With)):
                yield from statements(getattr(statement, field, []))
        for handler in getattr(statement, "handlers", []):
            yield from statements(handler.body)


def bound_names(tree: ast.Module) -> dict[str, ast.stmt]:
    """The names that a module binds at its top level, each with the statement that binds it."""
    bound: dict[str, ast.stmt] = {}
    for statement in statements(tree.body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound[statement.name] = statement
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            for alias in statement.names:
                bound[alias.asname or alias.name.split(".")[0]] = statement
        elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.For, ast.With)):
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    bound[node.id] = statement
    return bound


class Library:
    """The modules of some packages, read from their files.

    Args:
        roots: Folder of each package by its name; default: the four installed PanoLLaVA packages.
    """

    def __init__(self, roots: Mapping[str, Path] | None = None) -> None:
        self.roots = dict(roots) if roots is not None else {name: _folder(name) for name in PACKAGES}
        self._found: dict[str, Source | None] = {}

    def owns(self, name: str) -> bool:
        """Whether a dotted name belongs to these packages."""
        return name.split(".")[0] in self.roots

    def find(self, name: str) -> Source | None:
        """A module by its dotted name; None if it does not exist."""
        if name not in self._found:
            package, *parts = name.split(".")
            folder = self.roots[package].joinpath(*parts)
            if (folder / "__init__.py").is_file():
                self._found[name] = Source(name, folder / "__init__.py", is_package=True)
            elif parts and folder.with_suffix(".py").is_file():
                self._found[name] = Source(name, folder.with_suffix(".py"), is_package=False)
            else:
                self._found[name] = None
        return self._found[name]

    def resolve(self, module: str, name: str, asked_by: Source, node: ast.AST) -> tuple[str, str | None]:
        """Find the module that `from module import name` takes the name from.

        Re-exports of a top-level package are followed to the module that defines the name, so that an export contains
        only the files it needs. The package may import its names eagerly, or lazily: under `if TYPE_CHECKING:`, with a
        module `__getattr__` (PEP 562). Sub-packages are kept as they are, because importing one may register things.

        Args:
            module: The module named in the import statement.
            name: The imported name.
            asked_by: The module that contains the import statement, for messages.
            node: The import statement, for messages.

        Returns:
            The module to import from, and the name there; None as name means that the module itself is imported.

        Raises:
            ExportError: The name cannot be found without running code.
        """
        source = self.find(module)
        if source is None:
            raise asked_by.error(node, f"there is no module {module}")
        if not source.is_package:
            return module, name
        statement = bound_names(source.tree).get(name)
        if isinstance(statement, ast.ImportFrom) and absolute_module(source, statement) == module:
            statement = None  # a package that imports one of its own modules
        if statement is None:
            if self.find(f"{module}.{name}") is not None:
                return f"{module}.{name}", None
            raise asked_by.error(node, f"{module} does not define {name!r}: import it from the module that does")
        if "." in module or not isinstance(statement, ast.ImportFrom):
            return module, name
        require_plain_init(source)
        target = absolute_module(source, statement)
        original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
        if not self.owns(target):
            raise asked_by.error(node, f"{module} re-exports {name!r} from {target}: import it from {target}")
        return self.resolve(target, original, asked_by, node)


def absolute_module(source: Source, node: ast.ImportFrom) -> str:
    """The module that a `from … import` names, without leading dots."""
    if not node.level:
        return node.module or ""
    base = source.name.split(".")
    base = base[: len(base) - node.level + source.is_package]
    return ".".join([*base, node.module] if node.module else base)


def require_plain_init(source: Source) -> None:
    """Check that nothing is lost if the `__init__.py` of a package does not run.

    Raises:
        ExportError: It runs code at import: anything other than docstrings, imports, assignments without calls, and
            plain functions (`__getattr__` of a lazy package), also inside `if TYPE_CHECKING:` and its `else:`.
    """
    for statement in source.tree.body:
        inner = [statement]
        if is_type_checking(statement):
            assert isinstance(statement, ast.If)
            inner = [*statement.body, *statement.orelse]
        for part in inner:
            if not _is_plain(part):
                raise source.error(part, f"{source.name} runs code at import, so its re-exports cannot be followed")


def is_type_checking(statement: ast.stmt) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`."""
    names = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in names


def _is_plain(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)  # a docstring
    if isinstance(statement, ast.FunctionDef):  # its defaults, annotations and decorators run at import, its body not
        return not statement.decorator_list and not _has_call(statement.args) and not _has_call(statement.returns)
    return isinstance(statement, (ast.Assign, ast.AnnAssign)) and not _has_call(statement)


def _has_call(node: ast.AST | None) -> bool:
    return node is not None and any(isinstance(inner, ast.Call) for inner in ast.walk(node))


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ExportError(f"the source of {package} cannot be found: install the package as ordinary files, not zipped")
    return Path(spec.origin).parent
