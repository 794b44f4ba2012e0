"""How a command line reports errors, and that it reports them before torch is imported."""

import subprocess
import sys

import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")
import typer
from panollava_geometry import PanoramaError
from panollava_geometry.cli import app, run_app

#: Modules that are slow to import. `--help` and errors in the arguments must not need any of them.
SLOW = ("torch", "numpy", "jaxtyping", "PIL", "scipy", "cv2", "py360convert")


def run_and_list_modules(arguments, folder, entry="run_app(app, ARGUMENTS, program='panollava-geometry')"):
    """Run a command line in a new process. Returns its exit code, stdout, stderr, and the slow modules it imported."""
    code = (
        f"import sys; from panollava_geometry.cli import app, run_app; ARGUMENTS = {arguments!r}; code = {entry}; "
        f"print('MODULES', *(name for name in {SLOW!r} if name in sys.modules)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    out, _, modules = done.stdout.rpartition("MODULES")
    return done.returncode, out, done.stderr, modules.split()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--help"], 0, "crop"),
        (["crop", "--help"], 0, "Cut panoramas into views."),
        (["cropp", "x"], 2, "No such command 'cropp'"),
        (["crop", "x", "--sise", "8"], 2, "No such option"),
        (["crop", "x", "--size", "many"], 2, "--size"),
    ],
)
def test_help_and_usage_errors_import_nothing_slow(tmp_path, arguments, code, text):
    returned, out, err, modules = run_and_list_modules(arguments, tmp_path)
    assert returned == code
    assert text in (err if code else out)
    assert modules == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["crop", "gone.jpg"], "gone.jpg: no such file; check the path"),
        (["crop", ".", "--plan", "gone.json"], "the folder contains no images"),
        (["crop", "empty.jpg", "--plan", "gone.json"], "gone.json: the plan cannot be read"),
        (["crop", "empty.jpg", "--fov-deg", "200"], "fov_deg must be between 0 and 180 degrees, got 200.0"),
    ],
)
def test_files_and_options_are_checked_before_torch_is_imported(tmp_path, arguments, message):
    if "empty.jpg" in arguments:
        (tmp_path / "empty.jpg").touch()
    returned, out, err, modules = run_and_list_modules(arguments, tmp_path)
    assert (returned, out) == (2, "")
    assert err.startswith("panollava-geometry: ")
    assert message in err
    assert err.count("\n") == 1
    assert not {"torch", "scipy", "cv2"} & set(modules)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cropp", "x"], "No such command 'cropp'"),
        (["crop"], "Missing argument"),
        (["crop", "x", "--size", "0"], "--size"),
        (["crop", "x", "--strategy", "spiral"], "spiral"),
        ([], "Missing command"),
    ],
)
def test_a_usage_error_is_one_line_and_code_2(arguments, message, capsys):
    assert run_app(app, arguments, program="panollava-geometry") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("panollava-geometry: ")
    assert message in err


def app_that_raises(error):
    failing = typer.Typer()

    @failing.command()
    def command() -> None:
        raise error

    return failing


def test_an_error_on_several_lines_is_printed_on_one(capsys):
    assert run_app(app_that_raises(PanoramaError("first\n  second")), [], program="p") == 2
    assert capsys.readouterr().err == "p: first second\n"


def test_other_errors_and_their_old_name(capsys):
    failing = app_that_raises(KeyError("k"))
    assert run_app(failing, [], program="p", errors=(KeyError,)) == 2
    with pytest.warns(DeprecationWarning, match="now called `errors`"):
        assert run_app(failing, [], program="p", mistakes=(KeyError,)) == 2
    with pytest.raises(KeyError):
        run_app(failing, [], program="p")


def test_an_interrupt_is_130():
    assert run_app(app_that_raises(KeyboardInterrupt()), [], program="p") == 130


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import panollava_geometry.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    message = "panollava-geometry: the command line needs typer and rich: pip install 'panollava-geometry[cli]'\n"
    assert done.stderr == message
