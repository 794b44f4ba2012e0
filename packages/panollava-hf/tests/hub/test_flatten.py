"""`flatten` on toy packages: what it must follow, rewrite, guard and refuse."""

import ast
import builtins
import subprocess
import sys
import textwrap
from graphlib import TopologicalSorter

import pytest
from panollava_hf._auto import AUTO_CLASSES
from panollava_hf._errors import ExportError
from panollava_hf.hub._export import EMBEDDING_CLASSES, entries
from panollava_hf.hub._flatten import flatten
from panollava_hf.hub._library import Library


@pytest.fixture
def toy(tmp_path):
    """Write `{"lib._part": "text"}` as packages `lib` and `app`, and flatten `app.entry`."""

    def build(modules, entries=("app.entry",)):
        for name in ("lib", "app"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "__init__.py").touch()
        for name, text in modules.items():
            path = tmp_path.joinpath(*name.split("."))
            file = path / "__init__.py" if path.is_dir() or name.endswith("sub") else path.with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        return flatten(entries, Library({"lib": tmp_path / "lib", "app": tmp_path / "app"}))

    return build


def run(files, folder, code):
    """Run code in a process in which the flat files are the modules of a package `flat`."""
    package = folder / "flat"
    package.mkdir()
    for name, text in files.items():
        (package / name).write_text(text)
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_imports_of_every_shape_are_followed_and_still_work(toy, tmp_path):
    files = toy(
        {
            "lib": "from lib._deep import value as renamed\n__all__ = ['renamed']\n",
            "lib._deep": "from lib.sub import table\nvalue = table['x'] * 2\n",
            "lib.sub": "from lib.sub import first\nfrom lib.sub._table import table\n__all__ = ['table']\n",
            "lib.sub._table": "table = {}\n",
            "lib.sub.first": "from lib.sub._table import table\ntable['x'] = 21\n",  # registers itself when imported
            "lib.alone": "answer = 1\n",
            "app.helper": "from .other import late\n",
            "app.other": "def late():\n    from lib.alone import answer\n    return answer\n",
            "app.entry": """\
                from __future__ import annotations

                import lib.alone as alone
                from app import helper
                from app.helper import late
                from lib import renamed
                from lib.sub import (  # on several lines
                    table,
                )
                result = renamed, late(), helper.late(), alone.answer, sorted(table)
                """,
        }
    )
    assert set(files) == {"entry.py", "helper.py", "other.py", "lib.py"}  # `app` keeps public modules
    assert "from .lib import answer, table, value" in files["entry.py"]
    assert run(files, tmp_path, "from flat.entry import result; print(result)") == "(42, 1, 1, 1, ['x'])"


def test_an_entry_imports_all_other_files_since_some_releases_copy_only_those(toy):
    files = toy({"lib._a": "from lib._b import b\n", "lib._b": "b = 1\n", "app.entry": "from lib._a import b\n"})
    named = [node.module for node in ast.walk(ast.parse(files["entry.py"])) if isinstance(node, ast.ImportFrom)]
    assert sorted(named) == ["lib"]
    files = toy({"lib._a": "a = 1\n", "app._b": "from lib._a import a\n", "app.entry": "from app._b import a as c\n"})
    assert set(files) == {"app.py", "entry.py", "lib.py"}
    named = [node.module for node in ast.walk(ast.parse(files["entry.py"])) if isinstance(node, ast.ImportFrom)]
    assert sorted(named) == ["app", "lib"]


LAZY = """
    from importlib import import_module
    from typing import TYPE_CHECKING

    if TYPE_CHECKING:
        from lib._first import first
        from lib._second import Second as Renamed

    __all__ = ["Renamed", "first"]
    _MODULES = {"first": "_first", "Renamed": "_second"}


    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(name)
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


    def __dir__() -> list[str]:
        return sorted(_MODULES)
    """
#: The same with the functions in the `else:` of `if TYPE_CHECKING:`.
LAZY_ELSE = """
    import typing
    from importlib import import_module

    if typing.TYPE_CHECKING:
        from lib._first import first
        from lib._second import Second as Renamed
    else:

        def __getattr__(name):
            return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

    _MODULES: dict[str, str] = {"first": "_first", "Renamed": "_second"}
    """


@pytest.mark.parametrize("init", [LAZY, LAZY_ELSE], ids=["functions", "else"])
def test_a_lazy_package_is_followed_to_the_modules_that_define_its_names(toy, tmp_path, init):
    files = toy(
        {
            "lib": init,
            "lib._first": "first = 1\n",
            "lib._second": "class Second:\n    value = 2\n",
            "lib._unused": "unused = 3\n",
            "app.entry": "from lib import Renamed, first\nresult = first, Renamed.value\n",
        }
    )
    assert set(files) == {"entry.py", "lib.py"}
    assert "unused = 3" not in files["lib.py"]
    assert run(files, tmp_path, "from flat.entry import result; print(result)") == "(1, 2)"


@pytest.mark.parametrize(
    "init",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lib._first import first\nelse:\n    print(1)\n",
        "from lib._first import first\n\ndef __getattr__(name, homes=dict(x=1)):\n    return homes\n",
        "from lib._first import first\nimport functools\n\n@functools.cache\ndef __getattr__(name):\n    return 1\n",
        "from lib._first import first\n_MODULES = dict(first=1)\n",
        "from lib._first import first\nclass Thing:\n    x = print(1)\n",
    ],
    ids=["else", "default", "decorator", "assignment", "class"],
)
def test_a_package_whose_init_runs_code_is_refused(toy, init):
    with pytest.raises(ExportError, match=r"^lib/__init__\.py:\d+: lib runs code at import"):
        toy({"lib": init, "lib._first": "first = 1\n", "app.entry": "from lib import first\n"})


def test_a_registry_filled_by_decorators_is_complete(toy, tmp_path):
    """As resamplers register: the sub-package imports its modules, and their classes register themselves."""
    files = toy(
        {
            "lib": "from lib.sub import build\n",
            "lib.sub": """\
                from lib.sub._registry import build, register
                from lib.sub.linear import Linear

                __all__ = ["Linear", "build", "register"]
                """,
            "lib.sub._registry": """\
                KINDS = {}

                def register(name):
                    def add(kind):
                        KINDS[name] = kind
                        return kind
                    return add

                def build(name, **options):
                    return KINDS[name](**options)
                """,
            "lib.sub.linear": """\
                from dataclasses import dataclass

                from jaxtyping import Float
                from lib.sub._registry import register

                @register("linear")
                @dataclass(frozen=True, kw_only=True)
                class Linear:
                    size: int = 3

                    def forward(self, x: Float[list, "n"]) -> Float[list, "n"]:
                        return x * self.size
                """,
            "app.entry": "from lib import build\nmade = build('linear', size=2)\n",
        }
    )
    assert set(files) == {"entry.py", "lib.py"}
    assert "from .lib import build" in files["entry.py"]
    found = run(files, tmp_path, "from flat.entry import made; print(made, made.forward([1]))")
    assert found == "Linear(size=2) [1, 1]"


def test_jaxtyping_is_removed_and_everything_else_kept(toy):
    files = toy(
        {
            "app.entry": '''\
                """Degrees: 90°."""

                from jaxtyping import Float, Int
                from numpy import ndarray
                from torch import Tensor

                Rays = Float[ndarray, "*grid 3"]  # a comment with °


                def f(
                    x: Float[Tensor, "a b"],  # why
                    y: "int" = 0,
                    *,
                    z: Float[Tensor, "é"] | None = None,
                ) -> tuple[Int[Tensor, " n"], Float[Tensor | ndarray, ""]]:
                    return x
                '''
        }
    )
    assert files["entry.py"].split("edit the original instead.\n")[1] == textwrap.dedent('''\
        """Degrees: 90°."""

        from numpy import ndarray
        from torch import Tensor

        Rays = ndarray  # a comment with °


        def f(
            x: Tensor,  # why
            y: "int" = 0,
            *,
            z: Tensor | None = None,
        ) -> tuple[Tensor, Tensor | ndarray]:
            return x
        ''')


def test_optional_packages_are_guarded_where_transformers_would_require_them(toy):
    files = toy(
        {
            "app.entry": """\
                from typing import TYPE_CHECKING

                if TYPE_CHECKING:
                    from app.heavy import Heavy

                def f():
                    import cv2  # fast
                    return cv2

                def g():
                    try:
                        import timm
                    except ImportError:
                        return None
                    return timm
                """,
            "app.heavy": "import cv2\n",
        }
    )
    assert list(files) == ["entry.py"]
    guarded = [
        node for node in ast.walk(ast.parse(files["entry.py"])) if isinstance(node, ast.Try) for node in node.body
    ]
    assert [alias.name for node in guarded for alias in node.names] == ["cv2", "timm"]
    assert "heavy" not in files["entry.py"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("import lib.other\n", 1, "`import lib.other` cannot be flattened"),
        ("from lib.other import *\n", 1, "star import"),
        ("from lib.nothing import x\n", 1, "there is no module lib.nothing"),
        ("from lib import x\n", 1, "lib does not define 'x'"),
        ("from lib.other import missing\n", None, "does not define 'missing'"),
        ("\nimport cv2\n", 2, "needs 'cv2' at import"),
        ("from importlib.resources import files\n", 1, "needs an installed package"),
        ("import importlib\nx = importlib.import_module('lib.other')\n", 2, "not a literal"),
        ("x = 1\ny = __file__\n", 2, "__file__"),
        ("import jaxtyping\n", 1, "`import jaxtyping` cannot be removed"),
        ("from jaxtyping import Float\nx: Float\n", 2, "used as a value"),
        ("from jaxtyping import Float\nx: 'Float[int, \"a\"]'\n", 2, "in quotes"),
        ("from jaxtyping import Float\nx: Float[int]\n", 2, r"expected Float\[array"),
        ('"""Text.\n\nfrom .x import y\n"""\n', 3, "would read this line of text as an import"),
        ("x = 1; from lib.other import x\n", 1, "move it to its own line"),
        ("from a.b import c\n", 1, "needs 'a' at import"),
    ],
)
def test_code_that_cannot_be_flattened_is_refused_with_file_and_line(toy, text, line, message):
    with pytest.raises(ExportError, match=message) as caught:
        toy({"lib.other": "x = 1\n", "app.entry": text})
    assert line is None or str(caught.value).startswith(f"app/entry.py:{line}: ")


def test_two_modules_with_the_same_file_name_are_refused(toy):
    modules = {"app.lib": "from lib.x import a\n", "lib.x": "a = 1\n", "lib.y": "a = 2\n"}
    with pytest.raises(ExportError, match=r"would both be written to lib\.py"):
        toy(modules, ["app.lib"])


def test_names_that_several_modules_use_stay_apart(toy, tmp_path):
    """Private names, constants, classes, imports, builtins; by alias and module; in functions and f-strings."""
    files = toy(
        {
            "lib._one": """\
                from typing import Any

                import numpy as np
                __all__ = ["first"]
                LIMIT = 1
                _count = 0


                class _Kind:
                    LIMIT = 5
                    own = LIMIT


                def first(sizes: Any = LIMIT) -> list:
                    global _count
                    _count += 1
                    return [_count, _Kind.own, LIMIT, f"{LIMIT}/{_count!r} LIMIT", [LIMIT for LIMIT in (7,)]]
                """,
            "lib._two": """\
                import json as np
                from lib import _one
                from lib._one import LIMIT as FIRST, first as again
                __all__ = ["second"]
                LIMIT = FIRST + 1
                _count = 100


                class _Kind:
                    pass


                def len(x):
                    return -1


                def second():
                    from lib._late import late as found, late_len
                    first = "local"
                    made: "_Kind" = _Kind()
                    LIMITS = {"a": LIMIT}
                    return [first, again()[0], _one.first()[0], _one.LIMIT, LIMIT, _count, found(), late_len([1, 2]),
                            type(made).__name__, f"{len('x')} {LIMIT:>{FIRST}} {{LIMIT}}", LIMITS["a"], np.dumps([1])]
                """,
            "lib._late": "def late():\n    from lib._two import LIMIT\n    return LIMIT\n\ndef late_len(x):\n"
            "    return len(x)\n",
            "app._part": "from lib import _one as one\n\ndef third():\n    LIMIT = 9\n    return one.LIMIT + LIMIT\n",
            "app.entry": "from app._part import third\nfrom lib._one import first\nfrom lib._two import second\n"
            "result = [first(), second(), third()]\n",
        }
    )
    assert set(files) == {"app.py", "entry.py", "lib.py"}
    first = [1, 5, 1, "1/1 LIMIT", [7]]
    second = ["local", 2, 3, 1, 2, 100, 2, 2, "_TwoKind", "-1 2 {LIMIT}", 2, "[1]"]
    assert run(files, tmp_path, "from flat.entry import result; print(result)") == str([first, second, 10])


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"app.entry": "from lib import _x\ny = _x\n"}, r"app/entry\.py:\d+: the module '_x' is used as a value"),
        ({"app.entry": "from lib import _x\n_x.a = 2\n"}, r"app/entry\.py:\d+: a name of the module '_x' is changed"),
        ({"app.entry": "from lib._x import a\na = 2\n"}, r"app/entry\.py:\d+: 'a' is imported and also bound"),
        ({"lib._x": "import os; a = 1\n"}, r"lib/_x\.py:1: a statement shares its line"),
        ({"app._y": "def f():\n    from app.entry import a\n    return a\n"}, "move the code between the two modules"),
    ],
    ids=["value", "changed", "bound twice", "line", "circle"],
)
def test_code_that_cannot_be_joined_is_refused(toy, modules, message):
    other = {"lib._x": "a = 1\n", "app._y": "b = 1\n", "app.entry": "from lib._x import a\nfrom app._y import f, b\n"}
    if "app._y" not in modules:
        other["app.entry"] = "from lib._x import a\n"
    with pytest.raises(ExportError, match=message):
        toy({**other, **modules})


@pytest.fixture(scope="module", params=["everything", "embedding"])
def code(request):
    return flatten(entries(AUTO_CLASSES if request.param == "everything" else EMBEDDING_CLASSES))


def test_an_export_is_at_most_ten_readable_files(code):
    assert len(code) <= 10
    for name, text in code.items():
        compile(text, name, "exec")
        head = text.splitlines()[:4]
        assert head[0] == "# SPDX-License-Identifier: MIT"
        assert "`panollava export` wrote this file from" in head[2]
        assert "https://pypi.org/project/panollava-" in head[3]
        assert [line for line in text.splitlines() if len(line) > 120] == [], name
        body = ast.parse(text).body
        defined = [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        defined += [
            node.id for part in body if isinstance(part, ast.Assign) for node in part.targets if hasattr(node, "id")
        ]
        bound = defined + [
            alias.asname or alias.name
            for node in body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
        ]
        overloads = {node.name for node in body if "overload" in map(ast.unparse, getattr(node, "decorator_list", ()))}
        bound = [name for name in bound if name not in {"_", *overloads}]
        assert len(bound) == len(set(bound)), name
        if name.startswith("panollava_"):
            assert not set(defined) & set(dir(builtins))


def test_files_import_each_other_in_one_direction(code):
    needs = {
        name.removesuffix(".py"): {
            node.module
            for part in ast.parse(text).body
            if not isinstance(part, ast.If)
            for node in ast.walk(part)
            if isinstance(node, ast.ImportFrom) and node.level
        }
        for name, text in code.items()
    }
    assert list(TopologicalSorter(needs).static_order())


def test_every_export_is_the_same(code):
    assert code in (flatten(entries(AUTO_CLASSES)), flatten(entries(EMBEDDING_CLASSES)))


def test_re_exports_of_a_package_that_runs_code_at_import_are_refused(toy):
    modules = {"lib": "from lib.other import x\nprint('side effect')\n", "lib.other": "x = 1\n"}
    with pytest.raises(ExportError, match="runs code at import"):
        toy({**modules, "app.entry": "from lib import x\n"})
