"""The source text of the packages that are exported, found and read without running any of it."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

#: The packages whose code travels with an exported model; modules of the last one keep their own names.
PACKAGES = ("panollava_geometry", "panollava_losses", "panollava_core", "panollava_hf")


class FlattenError(ValueError):
    """Code that cannot be exported; the message names file, line and remedy."""


@dataclass(frozen=True)
class Source:
    """One module.

    Attributes:
        name: Dotted name.
        path: Its file.
        is_package: Whether it is an `__init__`.
    """

    name: str
    path: Path
    is_package: bool

    @cached_property
    def text(self) -> str:
        """The file's contents."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.text, filename=str(self.path))

    @property
    def relative_path(self) -> str:
        """The file as it is called in messages and headers: `package/module.py`."""
        depth = self.name.count(".") + self.is_package
        return "/".join(self.path.parts[-1 - depth :])

    def error(self, node: ast.AST, problem: str) -> FlattenError:
        """What to raise about a place in this module."""
        return FlattenError(f"{self.relative_path}:{getattr(node, 'lineno', 1)}: {problem}")


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements run at import, those inside `if` and `try` included."""
    for statement in body:
        yield statement
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statement, (ast.If, ast.Try, ast.With)):
                yield from statements(getattr(statement, field, []))
        for handler in getattr(statement, "handlers", []):
            yield from statements(handler.body)


def bound_names(tree: ast.Module) -> dict[str, ast.stmt]:
    """Names that a module binds when imported, and the statements that do it."""
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
    """The modules of some packages.

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
        """A module by its dotted name, None when there is no such module."""
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
        """Where `from module import name` gets the name from.

        Re-exports of a top-level package are followed to the module that defines the name, so that an export holds no
        more files than it needs. Sub-packages are kept as they are: importing one may register what it holds.

        Returns:
            The module to import from, and the name there (None: the module itself is what is imported).

        Raises:
            FlattenError: Nothing of that name is there to be seen without running code.
        """
        source = self.find(module)
        if source is None:
            raise asked_by.error(node, f"there is no module {module}")
        if not source.is_package:
            return module, name
        statement = bound_names(source.tree).get(name)
        if isinstance(statement, ast.ImportFrom) and absolute_module(source, statement) == module:
            statement = None  # a package that imports its own module
        if statement is None:
            if self.find(f"{module}.{name}") is not None:
                return f"{module}.{name}", None
            raise asked_by.error(node, f"{module} does not bind {name!r} itself: import it from the module that does")
        if "." in module or not isinstance(statement, ast.ImportFrom):
            return module, name
        for other in source.tree.body:
            if not _is_plain(other):
                raise source.error(other, f"{module} runs code at import, so its names cannot be followed")
        target = absolute_module(source, statement)
        original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
        if not self.owns(target):
            raise asked_by.error(node, f"{module} re-exports {name!r} from {target}: import it from there")
        return self.resolve(target, original, asked_by, node)


def absolute_module(source: Source, node: ast.ImportFrom) -> str:
    """The module that a `from … import` names, without leading dots."""
    if not node.level:
        return node.module or ""
    base = source.name.split(".")
    base = base[: len(base) - node.level + source.is_package]
    return ".".join([*base, node.module] if node.module else base)


def is_docstring(statement: ast.stmt) -> bool:
    """Whether a statement is a string and nothing else."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_plain(statement: ast.stmt) -> bool:
    """Docstrings, imports and assignments without calls: nothing is lost when they are not run."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)) or is_docstring(statement):
        return True
    calls = any(isinstance(node, ast.Call) for node in ast.walk(statement))
    return isinstance(statement, (ast.Assign, ast.AnnAssign)) and not calls


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FlattenError(f"the source of {package} cannot be found: install it as ordinary files (not zipped)")
    return Path(spec.origin).parent
