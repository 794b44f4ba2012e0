"""The flattener on toy packages: what it must follow, rewrite, guard and refuse."""

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
    """Run code in a process where the flat files are the modules of a package `flat`."""
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


def test_an_entry_names_every_other_file_for_releases_that_copy_only_those(toy):
    files = toy({"lib._a": "from lib._b import b\n", "lib._b": "b = 1\n", "app.entry": "from lib._a import b\n"})
    named = [node.module for node in ast.walk(ast.parse(files["entry.py"])) if isinstance(node, ast.ImportFrom)]
    assert sorted(named) == ["lib_a", "lib_b"]


def test_a_facade_adopts_the_classes_it_re_exports(toy, tmp_path):
    facade = "from app.inner import Thing\n__all__ = ['Thing']\n"
    files = toy({"app.inner": "class Thing:\n    pass\n", "app.entry": facade})
    assert run(files, tmp_path, "from flat.entry import Thing; print(Thing.__module__)") == "flat.entry"


def test_jaxtyping_goes_and_everything_else_stays(toy):
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
    assert files["entry.py"].split("change it there.\n")[1] == textwrap.dedent('''\
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


def test_optional_packages_are_guarded_where_transformers_would_demand_them(toy):
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
        ("from lib import x\n", 1, "lib does not bind 'x'"),
        ("from lib.other import missing\n", None, "does not bind 'missing'"),
        ("\nimport cv2\n", 2, "needs 'cv2' at import"),
        ("from importlib.resources import files\n", 1, "looks beside the code"),
        ("import importlib\nx = importlib.import_module('lib.other')\n", 2, "computed name"),
        ("x = 1\ny = __file__\n", 2, "__file__"),
        ("import jaxtyping\n", 1, "imported whole"),
        ("from jaxtyping import Float\nx: Float\n", 2, "used as a value"),
        ("from jaxtyping import Float\nx: 'Float[int, \"a\"]'\n", 2, "in quotes"),
        ("from jaxtyping import Float\nx: Float[int]\n", 2, r"expected Float\[array"),
        ('"""Text.\n\nfrom .x import y\n"""\n', 3, "takes this line of text for an import"),
        ("x = 1; from lib.other import x\n", 1, "a line of its own"),
        ("from a.b import c\n", 1, "needs 'a' at import"),
    ],
)
def test_what_cannot_be_flattened_is_refused_with_file_and_line(toy, text, line, message):
    with pytest.raises(ExportError, match=message) as caught:
        toy({"lib.other": "x = 1\n", "app.entry": text})
    assert line is None or str(caught.value).startswith(f"app/entry.py:{line}: ")


def test_two_modules_of_one_flat_name_are_refused(toy):
    modules = {
        "app.lib_x": "a = 1\n",
        "lib.x": "a = 1\n",
        "app.entry": "from app.lib_x import a\nfrom lib.x import a\n",
    }
    with pytest.raises(ExportError, match=r"would both be lib_x\.py"):
        toy(modules)


def test_names_behind_code_that_runs_at_import_are_refused(toy):
    modules = {"lib": "from lib.other import x\nprint('side effect')\n", "lib.other": "x = 1\n"}
    with pytest.raises(ExportError, match="runs code at import"):
        toy({**modules, "app.entry": "from lib import x\n"})
