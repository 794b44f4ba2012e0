"""Ctrl-C at any moment is one line and exit code 130."""

import signal
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")
import typer
from panollava_geometry import ViewPlan
from panollava_geometry.cli import Interrupted, app, on_interrupt, run_app
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def interrupt(body, tmp_path, times=1, before=""):
    """Run a command whose body is `body` in a new process, and interrupt it at every line `READY` on its stdout."""
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent("""
            import sys, time, typer
            from panollava_geometry.cli import app as unused, exit_program, on_interrupt, run_app
            app = typer.Typer()

            def ready():
                print("READY", flush=True)
                time.sleep(20)
            """)
        + textwrap.dedent(before)
        + "\n@app.command()\ndef work():\n"
        + textwrap.indent(textwrap.dedent(body), "    ")
        + "\nexit_program(run_app(app, [], program='p'))\n"
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(times):
        assert process.stdout.readline() == "READY\n"
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "body",
    [
        "ready()",
        # What libraries make of an interrupt while they are imported or run.
        """
        try:
            ready()
        except KeyboardInterrupt:
            raise ImportError("cannot import name 'x' from partially initialized module 'torch'")
        """,
        """
        try:
            ready()
        except BaseException as error:
            raise SystemError("returned a result with an exception set") from error
        """,
        "exec('ready()')",
        """
        class Guard:
            def __del__(self):
                ready()
        Guard()
        time.sleep(20)
        """,
    ],
    ids=["sleep", "import", "system", "exec", "destructor"],
)
def test_an_interrupt_is_one_line(tmp_path, body):
    assert interrupt(body, tmp_path) == (130, "", "p: interrupted\n")


def test_the_line_says_what_is_complete(tmp_path):
    body = """
    done = 0
    with on_interrupt(lambda: f"{done} of 3 files are complete"):
        done = 2
        ready()
    """
    assert interrupt(body, tmp_path) == (130, "", "p: interrupted; 2 of 3 files are complete\n")


def test_a_second_interrupt_ends_the_process_at_once(tmp_path):
    body = """
    try:
        ready()
    finally:
        ready()
    """
    code, out, err = interrupt(body, tmp_path, times=2)
    assert (code, out, err.strip()) == (130, "", "p: interrupted")


def test_an_interrupt_of_the_shutdown_is_silent(tmp_path):
    assert interrupt("import atexit; atexit.register(ready)", tmp_path) == (0, "", "")


@pytest.mark.parametrize("program", ["panollava_geometry"])
def test_an_interrupt_of_the_first_imports_is_one_line(program):
    code = f"""
import builtins, runpy, sys
original = builtins.__import__
def interrupted(name, *arguments, **options):
    if name == "typer":
        raise KeyboardInterrupt
    return original(name, *arguments, **options)
builtins.__import__ = interrupted
sys.argv = ["{program}"]
runpy.run_module("{program}", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "panollava-geometry: interrupted\n")


def test_handlers_of_other_programs_stay():
    def own(signum, frame):
        raise AssertionError

    before = signal.signal(signal.SIGINT, own)
    try:
        seen = []
        looking = typer.Typer()
        looking.command()(lambda: seen.append(signal.getsignal(signal.SIGINT)))
        assert run_app(looking, [], program="p") == 0
        assert seen == [own]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert run_app(looking, [], program="p") == 0
        assert seen[1] not in (own, signal.default_int_handler)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_on_interrupt_leaves_other_exceptions_alone():
    with pytest.raises(KeyError), on_interrupt(lambda: pytest.fail("nothing was interrupted")):
        raise KeyError
    with pytest.raises(Interrupted, match="inner"), on_interrupt(lambda: "outer"), on_interrupt(lambda: "inner"):
        raise KeyboardInterrupt


def test_an_interrupted_crop_says_how_many_panoramas_are_complete(tmp_path):
    for name in "abcd":
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.effect_noise((64, 32), 60).convert("RGB").save(tmp_path / "in" / f"{name}.png")
    earlier = ["crop", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--size", "8", "--num-views", "9"]
    assert run_app(app, earlier, program="p") == 0
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent("""
            import sys, time
            from panollava_geometry._commands import _cropping
            from panollava_geometry.cli import app, exit_program, run_app

            def decode(source, *arguments):
                if source.endswith("c.png"):
                    print("READY", flush=True)
                    time.sleep(0.5)
                return original(source, *arguments)

            original, _cropping._decode = _cropping._decode, decode
            exit_program(run_app(app, sys.argv[1:], program="p"))
            """)
    )
    arguments = [*earlier[:-1], "4", "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "READY\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err == f"p: interrupted; 2 of 4 panoramas are complete in {tmp_path / 'out'}\n"
    for name, views in {"a": 5, "b": 5, "c": 10, "d": 10}.items():
        folder = tmp_path / "out" / name
        assert len(ViewPlan.from_json((folder / "plan.json").read_text())) == views
        assert len(list(folder.glob("view_*"))) == views
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b", "c", "d"]
