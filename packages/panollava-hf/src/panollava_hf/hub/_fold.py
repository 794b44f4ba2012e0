"""Join modules into one file for each package, with every name defined once and all imports at the top."""

import ast
import builtins
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from panollava_hf._errors import ExportError
from panollava_hf.hub._names import Use
from panollava_hf.hub._parts import Origin, Part, is_own, origins, own_imports, resolve, targets
from panollava_hf.hub._rewrite import LINE, from_import

RULE = "# " + "-" * (LINE - 2)
#: Names that a joined file does not define, since another module in it may mean the builtin.
BUILTINS = frozenset(dir(builtins))


@dataclass
class File:
    """One file of an export.

    Attributes:
        name: Its name without `.py`.
        parts: Its modules, in the order in which they run.
        names: The name in this file of everything that its modules use.
    """

    name: str
    parts: list[Part]
    names: dict[Origin, str] = field(default_factory=dict)

    @property
    def joined(self) -> bool:
        """Whether there are several modules in the file."""
        return len(self.parts) > 1


@dataclass(frozen=True)
class Place:
    """A use of a name that the module has at its top level or imports, and what it stands for."""

    use: Use
    node: ast.AST
    name: str | None
    origin: Origin


class Fold:
    """Joins modules.

    Args:
        parts: All modules by their flat names.
        files: The files that they are joined into, in the order in which they can be imported.
    """

    def __init__(self, parts: Mapping[str, Part], files: Sequence[File]) -> None:
        self.parts, self.files = parts, files
        self.file_of = {part.flat: file for file in files for part in file.parts}
        self.places = {name: self.find_places(part) for name, part in parts.items()}
        check_order(self)
        for file in files:
            self.choose_names(file)

    # What names stand for.

    def find_places(self, part: Part) -> list[Place]:
        around = {id(use.node): use for use in part.uses}
        found, accounted = [], set()
        for node in [use.around[-1] for use in part.uses if use.around and isinstance(use.around[-1], ast.Attribute)]:
            use = around[id(node.value)]
            origin = self.meaning(part, use)
            if origin is not None and origin.kind == "part":
                if not isinstance(node.ctx, ast.Load):
                    raise part.error(node, f"a name of the module {use.name!r} is changed: write a function there")
                accounted.add(id(use.node))
                found.append(Place(use, node, None, resolve(self.parts, origin.module, node.attr)))
        for use in part.uses:
            if id(use.node) in accounted or isinstance(use.node, (ast.Import, ast.ImportFrom)):
                continue
            origin = self.meaning(part, use)
            if origin is not None and origin.kind == "part":
                raise part.error(use.node, f"the module {use.name!r} is used as a value: use its names")
            if origin is not None:
                found.append(Place(use, use.node, use.name, origin))
        return found

    def meaning(self, part: Part, use: Use) -> Origin | None:
        """What a name stands for where it is used; None for local names and builtins."""
        if use.home.parent is None:
            return resolve(self.parts, part.flat, use.name) if use.name in part.scope.bound else None
        bound = use.home.bound[use.name]
        if not any(is_own(node) for node in bound):
            return None
        found = {
            origin
            for node in bound
            if isinstance(node, ast.ImportFrom) and node.level
            for shown, origin in origins(node)
            if shown == use.name
        }
        if len(found) > 1 or not all(is_own(node) for node in bound):
            raise part.error(bound[0], f"{use.name!r} is imported and also bound elsewhere: use two names")
        origin = found.pop()
        if origin.kind == "own":
            origin = resolve(self.parts, origin.module, origin.name)
        elsewhere = origin.kind == "own" and self.file_of[origin.module] is not self.file_of[part.flat]
        return None if elsewhere else origin  # an import from another file stays where it is

    # The names in a file.

    def choose_names(self, file: File) -> None:
        wanted: dict[Origin, list[Place]] = {}
        defined = [
            Origin("own", part.flat, name) for part in file.parts for name in part.scope.bound if name not in part.links
        ]
        if file.joined:
            defined = [origin for origin in defined if origin.name != "__all__"]
        imported = [
            resolve(self.parts, part.flat, name)
            for part in file.parts
            for name, origin in part.links.items()
            if origin.kind != "part"
        ]
        for origin in [*defined, *imported]:
            wanted.setdefault(origin, [])
        for part in file.parts:
            for place in self.places[part.flat]:
                if not (file.joined and place.origin.name == "__all__"):
                    wanted.setdefault(place.origin, []).append(place)
        taken = set(BUILTINS) if file.joined else set()
        for origin in sorted(wanted, key=lambda origin: self.rank(file, origin)):
            for name in self.candidates(file, origin, wanted[origin]):
                if name not in taken and all(
                    name == place.name or name not in place.use.hidden for place in wanted[origin]
                ):
                    break
            else:
                raise ExportError(f"{file.name}.py: no free name for {origin.name or origin.module}: rename it")
            file.names[origin] = name
            taken.add(name)

    def rank(self, file: File, origin: Origin) -> tuple[int, int, str, str]:
        """Who keeps a name that several modules use: a single module, other packages, public names, private names."""
        if origin.kind != "own":
            return 1, 0, origin.module, origin.name
        home = self.file_of[origin.module]
        place = [part.flat for part in home.parts].index(origin.module)
        own = 0 if not file.joined else 3 if origin.name.startswith("_") else 2
        return own if home is file else 4, place, origin.module, origin.name

    def candidates(self, file: File, origin: Origin, places: Sequence[Place]) -> list[str]:
        shown = [place.name for place in places if place.name]
        if origin.kind != "own":
            short = [alias for part in file.parts for alias, link in part.links.items() if link == origin]
            last = origin.module.rpartition(".")[2]
            return [*dict.fromkeys([*short, *shown]), f"{last}_{origin.name}", f"{origin.module.replace('.', '_')}_"]
        home = self.file_of[origin.module]
        name = home.names.get(origin, origin.name)
        module = self.parts[origin.module].source.name.split(".")
        longer = [styled(name, module[-depth:]) for depth in range(1, len(module) + 1)]
        return [name, *longer, *(f"{name}_{number}" for number in range(2, 100))]

    # The text of a file.

    def text(self, file: File) -> str:
        if not file.joined:
            (part,) = file.parts
            docstring = ast.get_source_segment(part.text, part.docstring) if part.docstring else None
            body = [self.body(file, part)]
        else:
            packages = sorted({part.source.name.split(".")[0] for part in file.parts})
            docstring = f'"""The {len(file.parts)} modules of {", ".join(packages)} that the model uses."""'
            body = [f"{section(part)}\n\n{self.body(file, part)}" for part in file.parts]
        imports = self.imports(file, "\n".join(body))
        top = "\n\n".join(piece for piece in (docstring, imports) if piece)
        close = not file.joined and not re.match(r"@|class |def |async def ", body[0])
        return (top + ("\n\n" if close else "\n\n\n") + "\n\n\n".join(body)).strip("\n") + "\n"

    def imports(self, file: File, body: str) -> str:
        """The import statements of a file, as Ruff sorts them."""
        plain: set[str] = set()
        names: dict[str, set[str]] = {}
        for part in file.parts:
            for node in part.gathered:
                if isinstance(node, ast.Import):
                    plain |= {alias.name for alias in node.names if alias.asname is None}
                elif node.module == "__future__" and not is_own(node):
                    if file.joined:
                        raise part.error(node, "a `__future__` import would apply to other modules too: avoid it")
        for origin, name in file.names.items():
            if origin.name == "TYPE_CHECKING" and not re.search(rf"\b{name}\b", body):
                continue
            if origin.kind == "module" and (name != origin.module or origin.module not in plain):
                plain.add(origin.module if name == origin.module else f"{origin.module} as {name}")
            elif origin.kind == "import":
                names.setdefault(origin.module, set()).add(as_name(origin.name, name))
            elif origin.kind == "own" and (home := self.file_of[origin.module]) is not file:
                names.setdefault("." + home.name, set()).add(as_name(home.names[origin], name))
        blocks: list[list[str]] = [[], [], [], []]
        for module in sorted(plain):
            blocks[block(module.split()[0])].append(f"import {module}")
        for module in sorted(names):
            found = sorted(names[module], key=lambda name: (not name.isupper(), not name[0].isupper(), name))
            statement = from_import(module.removeprefix("."), found)
            blocks[block(module)].append(statement if module[0] == "." else statement.replace("from .", "from ", 1))
        return "\n\n".join("\n".join(lines) for lines in blocks if lines)

    def body(self, file: File, part: Part) -> str:
        """The text of a module without docstring and imports, with the names of the file."""
        edits = Edits(part)
        if part.docstring:
            edits.drop(part.docstring)
        lazy = own_imports(part.tree, eager=False)
        for node in part.gathered:
            edits.drop(node)
        for statement in part.tree.body:
            if file.joined and assigns(statement, "__all__"):
                edits.drop(statement)
        for node in lazy:
            if node not in part.gathered:
                self.lazy_import(file, part, node, edits)
        for place in self.places[part.flat]:
            new = file.names.get(place.origin)
            if new is not None and new != place.name:
                edits.rename(place, new)
        return edits.done().strip("\n")

    def lazy_import(self, file: File, part: Part, node: ast.ImportFrom, edits: "Edits") -> None:
        """An import in a function: removed if the names are in the same file."""
        wanted: dict[str, list[str]] = {}
        for shown, origin in origins(node):
            found = resolve(self.parts, origin.module, origin.name) if origin.kind == "own" else origin
            home = self.file_of.get(found.module)
            if found.kind == "own" and home is not None and home is not file:
                wanted.setdefault(home.name, []).append(as_name(home.names[found], shown))
        indent = " " * node.col_offset
        if wanted:
            edits.replace(node, f"\n{indent}".join(from_import(name, wanted[name], indent) for name in sorted(wanted)))
        else:
            edits.drop(node)


def check_order(fold: Fold) -> None:
    """Check that no two files import each other, also in functions: transformers would follow them for ever.

    Raises:
        ExportError: They do; the message names the modules.
    """
    numbers = {file.name: number for number, file in enumerate(fold.files)}
    for file in fold.files:
        for part in file.parts:
            for target in targets(own_imports(part.tree, eager=False)):
                home = fold.file_of[target]
                if numbers[home.name] > numbers[file.name]:
                    raise ExportError(
                        f"{part.source.relative_path} imports {fold.parts[target].source.relative_path}, but "
                        f"{home.name}.py of an export needs {file.name}.py: move the code between the two modules"
                    )


def styled(name: str, module: Sequence[str]) -> str:
    """A longer name, in the style of the name: `_listed` of `_decoding` becomes `_decoding_listed`."""
    words = [word for part in module for word in part.split("_") if word]
    bare = name.lstrip("_")
    before = name[: len(name) - len(bare)]
    if bare.isupper():
        return before + "_".join([*words, bare]).upper()
    if bare[:1].isupper():
        return before + "".join(word.capitalize() for word in words) + bare
    return before + "_".join([*words, bare])


def as_name(name: str, shown: str) -> str:
    """A name in an import statement."""
    return name if name == shown else f"{name} as {shown}"


def block(module: str) -> int:
    """Where an import belongs: `__future__`, standard library, other packages, this folder."""
    top = module.split(".")[0]
    return 3 if not top else 0 if top == "__future__" else 1 if top in sys.stdlib_module_names else 2


def assigns(node: ast.stmt, name: str) -> bool:
    """Whether a statement gives a value to one name."""
    found = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == name for target in found)


def section(part: Part) -> str:
    """The comment before a module: its path, and its docstring."""
    text = ast.get_docstring(part.tree) or ""
    lines = [f"# {part.source.relative_path}"] + (["#"] if text else [])
    for line in text.splitlines():
        lines += [f"# {piece}" for piece in textwrap.wrap(line, LINE - 2, subsequent_indent="  ")] or ["#"]
        if len(line) <= LINE - 2 and line.strip():
            lines[-1:] = [f"# {line}"]  # keeps the spaces of lists and examples
    return "\n".join([RULE, *lines, RULE])


class Edits:
    """Changes of a module's text. The syntax tree counts columns in bytes, so all edits are made on bytes."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.data = part.text.encode()
        self.starts = [0]
        for line in self.data.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.edits: set[tuple[int, int, bytes]] = set()
        self.dropped: list[ast.stmt] = []

    def span(self, node: ast.AST) -> tuple[int, int]:
        line, column, end, stop = (
            getattr(node, f"{at}") for at in ("lineno", "col_offset", "end_lineno", "end_col_offset")
        )
        return self.starts[line - 1] + column, self.starts[end - 1] + stop

    def replace(self, node: ast.AST, text: str) -> None:
        self.edits.add((*self.span(node), text.encode()))

    def drop(self, node: ast.stmt) -> None:
        """Remove the lines of a statement."""
        start, end = self.span(node)
        first, last = self.starts[node.lineno - 1], self.starts[node.end_lineno or node.lineno]
        after = self.data[end:last].strip()
        if self.data[first:start].strip() or (after and not after.startswith(b"#")):
            raise self.part.error(node, "a statement shares its line with other code: move it to its own line")
        self.dropped.append(node)

    def remove(self) -> None:
        """Remove what was dropped; where a block would be empty, `pass` stays."""
        dropped = {id(node) for node in self.dropped}
        for parent in ast.walk(self.part.tree):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(parent, name, None)
                if not isinstance(block, list) or not block or isinstance(parent, ast.Module):
                    continue
                if all(id(node) in dropped for node in block):
                    self.replace(block[0], "pass")
                    dropped.remove(id(block[0]))
        for node in self.dropped:
            if id(node) in dropped:
                start, end = self.starts[node.lineno - 1], self.starts[node.end_lineno or node.lineno]
                while node.col_offset and self.data[end : end + 1] == b"\n":  # the empty line after such imports
                    end += 1
                self.edits.add((start, end, b""))

    def rename(self, place: Place, new: str) -> None:
        """Write another name at a place."""
        node, old = place.node, place.name
        quoted = next((outer for outer in place.use.around if isinstance(outer, ast.JoinedStr)), None)
        if quoted is not None:
            self.in_text(quoted, ast.unparse(node), new)
        elif isinstance(node, (ast.Name, ast.Attribute)):
            self.replace(node, new)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            start = self.span(node)[0]
            found = re.compile(rb"(?:async\s+)?(?:def|class)\s+").match(self.data, start)
            assert found is not None
            assert old is not None
            self.edits.add((found.end(), found.end() + len(old.encode()), new.encode()))
        elif isinstance(node, ast.Global):
            start, end = self.span(node)
            for found in re.finditer(rf"\b{old}\b".encode(), self.data[start:end]):
                self.edits.add((start + found.start(), start + found.end(), new.encode()))
        else:
            raise self.part.error(node, f"{old!r} has the name of something else in the export: rename it")

    def in_text(self, quoted: ast.AST, old: str, new: str) -> None:
        """Write another name in an f-string; the positions in it are not those of the text before Python 3.12."""
        start, end = self.span(quoted)
        text = self.data[start:end]
        depths = depth_of_braces(text)
        for found in re.finditer(rf"(?<![\w.'\"]){re.escape(old)}\b(?!\s*=[^=])".encode(), text):
            if depths[found.start()]:
                self.edits.add((start + found.start(), start + found.end(), new.encode()))

    def done(self) -> str:
        self.remove()
        data = self.data
        for start, end, text in sorted(self.edits, reverse=True):
            data = data[:start] + text + data[end:]
        return "\n".join(line if len(line) <= LINE else wrapped(line) for line in data.decode().split("\n"))


def depth_of_braces(text: bytes) -> list[int]:
    """How many braces are open before each byte of an f-string; `{{` and `}}` in its text open and close none."""
    depths: list[int] = []
    depth = 0
    while len(depths) < len(text):
        pair = text[len(depths) : len(depths) + 2]
        if not depth and pair in (b"{{", b"}}"):
            depths += [0, 0]
            continue
        depths.append(depth)
        depth += (pair[:1] == b"{") - (pair[:1] == b"}")
    return depths


def wrapped(line: str) -> str:
    """A statement that longer names made too long, on three lines if its last value is in brackets."""
    indent = line[: len(line) - len(line.lstrip())]
    try:
        (node,) = ast.parse(line.strip()).body
    except (SyntaxError, ValueError):  # a part of a statement, or text
        return line
    value = getattr(node, "value", None)
    inner = value.args + value.keywords if isinstance(value, ast.Call) else getattr(value, "elts", None)
    if not inner or getattr(value, "end_col_offset", 0) != len(line.strip().encode()):
        return line
    start, end = inner[0].col_offset, inner[-1].end_col_offset
    text = line.strip().encode()
    head, middle, tail = text[:start].decode(), text[start:end].decode(), text[end:].decode().lstrip(", ")
    if head[-1:] not in ("(", "[", "{"):
        return line
    return f"{head}\n{indent}    {middle},\n{indent}{tail}".replace(head, indent + head, 1)
