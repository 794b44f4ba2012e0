"""How a command line reports errors, and that it reports them before torch is imported."""

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")
import typer
from panollava_geometry import PanoramaError, PanoramaWarning, load_equirectangular
from panollava_geometry.cli import app, error_line, run_app

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
        (["crop", "x", "--workers", "0"], "'--workers': expected greater than or equal to 1, got '0' (see"),
        (["crop", "x", "--workers", "many"], "'--workers': expected a valid integer, got 'many' (see"),
        (["crop", "x", "--fov-deg", "9" * 999 + "°"], "'--fov-deg': expected a valid number, got '999"),
        (["crop", "x", "--eye", "up"], "'--eye': 'up' is not one of 'left', 'right' (see"),
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
    assert len(err) < 300
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


def app_of(function):
    made = typer.Typer()
    made.command()(function)
    return made


def test_panorama_warnings_are_notes_and_each_is_printed_once(capsys):
    def command() -> None:
        def warn():
            for name in ("a\n  [b].jpg", "c.jpg"):
                warnings.warn(PanoramaWarning(f"{name}: looks like\ta dual fisheye"), stacklevel=2)

        with ThreadPoolExecutor(2) as pool:
            for job in [pool.submit(warn) for _ in range(4)]:
                job.result()
        warn()

    assert run_app(app_of(command), [], program="p") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert sorted(err.splitlines()) == [
        "Note: a [b].jpg: looks like\ta dual fisheye",
        "Note: c.jpg: looks like\ta dual fisheye",
    ]
    assert run_app(app_of(command), [], program="p") == 0
    assert capsys.readouterr().err.count("Note: ") == 2, "once per run"


def test_other_warnings_are_shown_as_before():
    def command() -> None:
        warnings.warn("other", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="other"):
        assert run_app(app_of(command), [], program="p") == 0
    show = warnings.showwarning
    assert run_app(app_of(lambda: None), [], program="p") == 0
    assert warnings.showwarning is show


@pytest.mark.parametrize("name", ["caf\udce9.jpg", "\x1b[31m.jpg", "x" * 100_000, "[red]x[/]"])
def test_an_error_line_can_always_be_printed(tmp_path, name):
    code = (
        "import sys, typer; from panollava_geometry import PanoramaError; from panollava_geometry.cli import run_app\n"
        "app = typer.Typer()\n@app.command()\ndef work():\n"
        f"    raise PanoramaError({name!r} + ': no such file; check the path')\n"
        "sys.exit(run_app(app, [], program='p'))"
    )
    for encoding in ("utf-8", "ascii"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}
        )
        err = done.stderr.decode(encoding)
        assert done.returncode == 2
        assert err.startswith("p: ")
        assert err.endswith(": no such file; check the path\n")
        assert (err.count("\n"), "\x1b" in err) == (1, False)
        assert len(err) < 1100


def test_echo_prints_in_any_encoding():
    code = "from panollava_geometry.cli import echo; echo('보라색 \\udce9 caf\\xe9')"
    for encoding, expected in (("ascii", "\\ubcf4\\ub77c\\uc0c9 \\xe9 caf\\xe9\n"), ("utf-8", "보라색 \\xe9 café\n")):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
        assert (done.returncode, done.stdout.decode(encoding)) == (0, expected)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo('answer')", "standard output cannot be written (No space left on device)"),
        ("typer.echo('answer')", "the output cannot be written (No space left on device)"),
        ("open('/dev/full', 'w').write('x' * 10**6)", "the output cannot be written (No space left on device)"),
        ("raise OSError(30, 'Read-only file system', '/x/y.json')", "/x/y.json cannot be written (Read-only file sys"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_line(body, message):
    code = (
        "import sys, typer; from panollava_geometry.cli import echo, exit_program, run_app\n"
        f"app = typer.Typer()\n@app.command()\ndef work():\n    {body}\n"
        "exit_program(run_app(app, [], program='p'))"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"p: {message}")
    assert done.stderr.count("\n") == 1


def test_other_system_errors_keep_their_traceback():
    with pytest.raises(OSError, match="Bad address"):
        run_app(app_that_raises(OSError(14, "Bad address")), [], program="p")


def test_commands_may_print_names_that_are_not_utf8_by_themselves():
    code = (
        "import typer, json; from panollava_geometry.cli import exit_program, run_app\n"
        "app = typer.Typer()\n@app.command()\ndef work():\n"
        "    typer.echo('wrote caf\\udce9'); typer.echo(json.dumps('caf\\udce9', ensure_ascii=False))\n"
        "exit_program(run_app(app, [], program='p'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, 'wrote caf\\udce9\n"caf\\udce9"\n', "")


def test_a_closed_pipe_is_silent(tmp_path):
    code = (
        "import sys, typer; from panollava_geometry.cli import echo, run_app\n"
        "app = typer.Typer()\n@app.command()\ndef work():\n    while True: echo('x' * 1000)\n"
        "sys.exit(run_app(app, [], program='p'))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait(timeout=30)) == (b"", 141)


def test_remedies_are_spelled_for_the_command_line(tmp_path, capsys):
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "square.png")
    with pytest.raises(PanoramaError) as caught:
        load_equirectangular(tmp_path / "square.png")
    python = ["eye='left' (--eye left)", "hfov_deg (--hfov DEGREES)", "partial=True (--partial)"]
    assert all(words in str(caught.value) for words in python)
    assert run_app(app, ["crop", str(tmp_path / "square.png"), "-o", str(tmp_path / "out")], program="x") != 0
    err = capsys.readouterr().err
    assert "(then pass --eye left), or not a full panorama" in err
    assert "needs GPano metadata, --hfov DEGREES or --partial" in err
    assert not any(words in err for words in ("eye=", "hfov_deg", "partial="))


@pytest.mark.parametrize("text", ["smaller views (--view-size, --strategy)", "raise it (--budget)", "a_b (c)", "a=b"])
def test_other_parentheses_stay(text):
    assert error_line(text).endswith(f": {text}")
