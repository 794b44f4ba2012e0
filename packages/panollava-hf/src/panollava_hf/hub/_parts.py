"""One rewritten module as a part of an exported file: what its names stand for, and the order of parts."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from panollava_hf._errors import ExportError
from panollava_hf.hub._library import Source
from panollava_hf.hub._names import Scope, Use, uses


@dataclass(frozen=True, order=True)
class Origin:
    """What a name stands for.

    Attributes:
        kind: `own` for a name that a part defines, `part` for a part itself, `import` for a name of another package,
            `module` for a module of another package.
        module: The part, or the module of another package.
        name: The name there; empty for a module.
    """

    kind: str
    module: str
    name: str = ""


@dataclass(frozen=True)
class Part:
    """A module whose imports of our packages have one dot.

    Attributes:
        flat: Its name in those imports.
        source: Where it comes from.
        text: The rewritten text.
    """

    flat: str
    source: Source
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed text."""
        return ast.parse(self.text, filename=self.source.relative_path)

    @cached_property
    def uses(self) -> list[Use]:
        """All places where a name is bound or read."""
        return uses(self.tree)

    @cached_property
    def scope(self) -> Scope:
        """The names of the module."""
        return self.uses[0].scope.module if self.uses else Scope(None)

    @cached_property
    def gathered(self) -> list[ast.Import | ast.ImportFrom]:
        """The imports that move to the top of the file: all outside of blocks and functions, and all of own parts."""
        found = [node for node in self.tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        inner = [node for node in own_imports(self.tree, eager=True) if node not in found]
        return [*found, *inner]

    @cached_property
    def links(self) -> dict[str, Origin]:
        """What the imported names of the module stand for."""
        found = {}
        for node in self.gathered:
            for shown, origin in origins(node):
                if len({id(other) for other in self.scope.bound[shown]}) == 1:
                    found[shown] = origin
                elif is_own(node):
                    raise self.error(node, f"{shown!r} is imported and also bound elsewhere: use two names")
        return found

    @cached_property
    def docstring(self) -> ast.Expr | None:
        """The statement with the module's docstring."""
        first = self.tree.body[0] if self.tree.body else None
        return first if isinstance(first, ast.Expr) and ast.get_docstring(self.tree) is not None else None

    def error(self, node: ast.AST, problem: str) -> ExportError:
        """The error to raise about a place of this module; its line may be moved a little by the rewriting."""
        return ExportError(f"{self.source.relative_path}:{getattr(node, 'lineno', 1)}: {problem}")


def is_own(node: ast.AST) -> bool:
    """Whether a statement imports from another part."""
    return isinstance(node, ast.ImportFrom) and node.level > 0


def own_imports(node: ast.AST, *, eager: bool) -> list[ast.ImportFrom]:
    """The imports of other parts in the order of the text; with `eager`, those that run when the module is imported."""
    found: list[ast.ImportFrom] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom) and child.level:
            found.append(child)
        if isinstance(child, ast.stmt | ast.ExceptHandler) and not (
            eager and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        ):
            found += own_imports(child, eager=eager)
    return found


def origins(node: ast.Import | ast.ImportFrom) -> list[tuple[str, Origin]]:
    """The names that an import binds, and what they stand for."""
    if isinstance(node, ast.Import):
        return [
            (alias.asname, Origin("module", alias.name))
            if alias.asname
            else (alias.name.split(".")[0], Origin("module", alias.name.split(".")[0]))
            for alias in node.names
        ]
    if node.level and node.module is None:
        return [(alias.asname or alias.name, Origin("part", alias.name)) for alias in node.names]
    kind = "own" if node.level else "import"
    return [(alias.asname or alias.name, Origin(kind, node.module or "", alias.name)) for alias in node.names]


def targets(nodes: Iterable[ast.ImportFrom]) -> list[str]:
    """The parts that some imports name."""
    return [name for node in nodes for name in ([node.module] if node.module else [a.name for a in node.names])]


def resolve(parts: Mapping[str, Part], part: str, name: str, seen: frozenset[tuple[str, str]] = frozenset()) -> Origin:
    """What a name of a part stands for, through all re-exports.

    Raises:
        ExportError: The part does not define the name.
    """
    found = parts[part].links.get(name)
    if found is None or (part, name) in seen:
        if name not in parts[part].scope.bound:
            raise ExportError(f"{parts[part].source.relative_path}: it does not define {name!r}, which others import")
        return Origin("own", part, name)
    return resolve(parts, found.module, found.name, seen | {(part, name)}) if found.kind == "own" else found


def in_order(parts: Mapping[str, Part], entries: Iterable[str]) -> list[str]:
    """All parts, each after those that it imports when it is imported; as Python would run them."""
    done: dict[str, None] = {}

    def run(name: str, running: tuple[str, ...]) -> None:
        if name in done or name in running:
            return
        for target in targets(own_imports(parts[name].tree, eager=True)):
            run(target, (*running, name))
        done[name] = None

    for name in (*entries, *sorted(parts)):
        run(name, ())
    return list(done)


#: A comment for our linters, and the reason after it.
PRAGMA = re.compile(r"# *(?:noqa|type: *ignore|pragma)\b(?::[ \w,]*|\[[\w, -]*\])?(?: +[-#] +(?P<reason>.*)| *)$")


def without_pragmas(text: str) -> str:
    """A module's text without the comments that are for our linters; the reasons in them stay."""
    lines = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (found := PRAGMA.match(token.string)):
            row, column = token.start
            reason = f"  # {found['reason']}" if found["reason"] else ""
            lines[row - 1] = lines[row - 1][:column].rstrip() + reason + "\n"
    return "".join(lines)
