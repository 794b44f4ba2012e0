"""Which names of a module mean something outside of its functions and classes: what joining modules may change."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False)
class Scope:
    """The names of a module, a class, a function or a comprehension.

    Attributes:
        parent: The scope around it; None for a module.
        is_class: Whether it is a class, whose names its methods do not see.
        bound: The nodes that bind each name.
        outer: Names that a `global` statement takes from the module.
    """

    parent: "Scope | None"
    is_class: bool = False
    bound: dict[str, list[ast.AST]] = field(default_factory=dict)
    outer: set[str] = field(default_factory=set)

    @property
    def module(self) -> "Scope":
        """The scope of the whole module."""
        return self if self.parent is None else self.parent.module

    def find(self, name: str) -> "Scope":
        """The scope that a name belongs to; names that nothing binds, as builtins, belong to the module."""
        scope: Scope = self
        while scope.parent is not None:
            if name in scope.outer:
                return scope.module
            if name in scope.bound and (scope is self or not scope.is_class):
                return scope
            scope = scope.parent
        return scope


@dataclass(frozen=True)
class Use:
    """A place where a name is bound or read.

    Attributes:
        node: The node with the name.
        name: The name.
        scope: The scope that contains the place.
        home: The scope that the name belongs to.
        around: The nodes that contain the place, the outermost first.
    """

    node: ast.AST
    name: str
    scope: Scope
    home: Scope
    around: tuple[ast.AST, ...]

    @property
    def hidden(self) -> set[str]:
        """Names that mean something else here than in the module."""
        found: set[str] = set()
        scope: Scope = self.scope
        while scope.parent is not None:
            found |= scope.bound.keys() - scope.outer
            scope = scope.parent
        return found


def uses(tree: ast.Module) -> list[Use]:
    """All places of a module where a name is bound or read, in no particular order."""
    return list(_Walk().module(tree))


def _bind(scope: Scope, nodes: Iterable[ast.AST]) -> Scope:
    """Enter what some nodes bind in this scope, without what is inside of functions and classes."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        names: list[str | None] = []
        inner: Iterable[ast.AST] = ast.iter_child_nodes(node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names, inner = [node.name], ()
        elif isinstance(node, ast.Lambda):
            inner = ()
        elif isinstance(node, COMPREHENSIONS):  # `:=` in it binds outside of it
            inner = [part for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names = [node.id]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                scope.bound.setdefault(alias.asname or alias.name.split(".")[0], []).append(node)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            scope.outer.update(node.names if isinstance(node, ast.Global) else ())
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            names = [node.name]
        elif isinstance(node, ast.MatchMapping):
            names = [node.rest]
        elif isinstance(node, ast.arg):
            names = [node.arg]
        for name in names:
            if name is not None:
                scope.bound.setdefault(name, []).append(node)
        waiting.extend(inner)
    return scope


class _Walk:
    def __init__(self) -> None:
        self.around: tuple[ast.AST, ...] = ()

    def module(self, tree: ast.Module) -> Iterator[Use]:
        scope = _bind(Scope(None), tree.body)
        return self.each(tree.body, scope)

    def each(self, nodes: Iterable[ast.AST | None], scope: Scope) -> Iterator[Use]:
        for node in nodes:
            if node is not None:
                yield from self.visit(node, scope)

    def visit(self, node: ast.AST, scope: Scope) -> Iterator[Use]:
        outside = self.around
        if isinstance(node, ast.Name):
            yield Use(node, node.id, scope, scope.find(node.id), outside)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield Use(node, node.name, scope, scope.find(node.name), outside)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                name = alias.asname or alias.name.split(".")[0]
                yield Use(node, name, scope, scope.find(name), outside)
        elif isinstance(node, ast.Global):
            for name in node.names:
                yield Use(node, name, scope, scope.module, outside)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            yield Use(node, node.name, scope, scope.find(node.name), outside)
        self.around = (*outside, node)
        yield from self.inside(node, scope)
        self.around = outside

    def inside(self, node: ast.AST, scope: Scope) -> Iterator[Use]:
        if isinstance(node, FUNCTIONS):
            arguments = [arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)]
            if not isinstance(node, ast.Lambda):
                yield from self.each([*node.decorator_list, node.returns], scope)
            yield from self.each([*node.args.defaults, *node.args.kw_defaults], scope)
            yield from self.each([arg.annotation for arg in arguments], scope)
            body = [node.body] if isinstance(node, ast.Lambda) else node.body
            yield from self.each(body, _bind(Scope(scope), [*arguments, *body]))
        elif isinstance(node, ast.ClassDef):
            yield from self.each([*node.decorator_list, *node.bases, *(word.value for word in node.keywords)], scope)
            yield from self.each(node.body, _bind(Scope(scope, is_class=True), node.body))
        elif isinstance(node, COMPREHENSIONS):
            inner = _bind(Scope(scope), [part.target for part in node.generators])
            yield from self.visit(node.generators[0].iter, scope)
            for number, part in enumerate(node.generators):
                yield from self.each([part.target, part.iter if number else None, *part.ifs], inner)
            values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            yield from self.each(values, inner)
        else:
            yield from self.each(ast.iter_child_nodes(node), scope)
