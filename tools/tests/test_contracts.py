"""The import contracts hold, and each of them fails when an import that it forbids is added."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.check_release import PACKAGES, ROOT

LINTER = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def copy(tmp_path):
    """The packages' sources and the root settings, to be changed at will."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        source = ROOT / "packages" / f"panollava-{package}" / "src"
        shutil.copytree(source, tmp_path / "src", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    return tmp_path


def lint(folder):
    return subprocess.run(
        [LINTER, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_contracts_hold(copy):
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("losses", "panollava_geometry"),
        ("losses", "panollava_core"),
        ("losses", "numpy"),
        ("losses", "transformers"),
        ("geometry", "panollava_losses"),
        ("geometry", "panollava_hf"),
        ("geometry", "transformers"),
        ("core", "panollava_geometry"),
        ("core", "panollava_losses"),
        ("core", "PIL"),
    ],
)
def test_a_forbidden_import_breaks_a_contract(copy, package, forbidden):
    module = copy / "src" / f"panollava_{package}" / "_added.py"
    module.write_text(f"import {forbidden}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 broken" not in done.stdout
    assert f"panollava_{package}._added -> {forbidden}" in done.stdout
