"""`flatten` on toy packages: what it must follow, rewrite, guard and refuse."""

import ast
import subprocess
import sys
import textwrap

import pytest
from panollava_hf._errors import ExportError
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
    assert set(files) == {
        *("entry.py", "helper.py", "other.py", "lib_alone.py", "lib_deep.py"),
        *("lib_sub.py", "lib_sub_first.py", "lib_sub_table.py"),
    }
    assert "from . import lib_alone as alone" in files["entry.py"]
    assert run(files, tmp_path, "from flat.entry import result; print(result)") == "(42, 1, 1, 1, ['x'])"


def test_an_entry_imports_all_other_files_since_some_releases_copy_only_those(toy):
    files = toy({"lib._a": "from lib._b import b\n", "lib._b": "b = 1\n", "app.entry": "from lib._a import b\n"})
    named = [node.module for node in ast.walk(ast.parse(files["entry.py"])) if isinstance(node, ast.ImportFrom)]
    assert sorted(named) == ["lib_a", "lib_b"]


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
    assert set(files) == {"entry.py", "lib_first.py", "lib_second.py"}
    assert "from .lib_second import Second as Renamed" in files["entry.py"]
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
    assert set(files) == {"entry.py", "lib_sub.py", "lib_sub_linear.py", "lib_sub_registry.py"}
    assert "from .lib_sub import build" in files["entry.py"]
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


def test_two_modules_with_the_same_flat_name_are_refused(toy):
    modules = {
        "app.lib_x": "a = 1\n",
        "lib.x": "a = 1\n",
        "app.entry": "from app.lib_x import a\nfrom lib.x import a\n",
    }
    with pytest.raises(ExportError, match=r"would both be written to lib_x\.py"):
        toy(modules)


def test_re_exports_of_a_package_that_runs_code_at_import_are_refused(toy):
    modules = {"lib": "from lib.other import x\nprint('side effect')\n", "lib.other": "x = 1\n"}
    with pytest.raises(ExportError, match="runs code at import"):
        toy({**modules, "app.entry": "from lib import x\n"})
