import functools
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import panollava_geometry
import pytest
import torch
from panollava_geometry import PanoramaError, plan_views
from panollava_geometry._commands import _cropping
from panollava_geometry.cli import printable
from panollava_hf import _console, _contact_sheet, cli
from panollava_hf._contact_sheet import save_views
from panollava_hf.cli import run
from PIL import Image
from rich.console import Console


@pytest.fixture(autouse=True)
def small_model(monkeypatch):
    """The default model is the subject of `cli/test_default_model.py`."""
    monkeypatch.setenv("PANOLLAVA_MODEL", "embedded")


def last_line(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    return err.strip().splitlines()


def test_answer_on_stdout_everything_else_on_stderr(scene_file, capsys):
    assert run(["ask", str(scene_file), "What is ahead?", "--max-new-tokens", "4"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "Note: the embedded checkpoint was trained on PanoShapes only" in err
    assert "Note" not in out


def test_an_untrained_connector_is_reported(checkpoint, scene_file, tmp_path, capsys):
    folder = shutil.copytree(checkpoint, tmp_path / "fresh")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "connector_trained": False}))
    assert run(["ask", str(scene_file), "What is ahead?", "--model", str(folder), "--max-new-tokens", "2"]) == 0
    assert "the connector of this checkpoint is untrained" in capsys.readouterr().err


def test_json_and_views(scene_file, tmp_path, capsys):
    folder = tmp_path / "views" / "deep"
    options = ["--json", "--save-views", str(folder), "--max-new-tokens", "4"]
    code = run(["ask", str(scene_file), "What is ahead?", *options])
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert report["trained"] is True
    assert report["question"] == "What is ahead?"
    assert report["answer"]
    assert len(report["views"]) == 6
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["contact_sheet.png", *[f"view_{i:02d}.png" for i in range(6)]]
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width > 6 * 240


@pytest.fixture
def served(scene_file):
    """The panorama's folder over HTTP on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=str(scene_file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_panorama_may_be_a_url(served, capsys):
    assert run(["ask", f"{served}/scene.png", "Where is the red cube?"]) == 0
    assert capsys.readouterr().out.strip()
    assert run(["ask", f"{served}/nothing.png", "What?"]) == 2
    (line,) = last_line(capsys)
    assert "nothing.png" in line
    assert "404" in line


def broken(tmp_path, kind):
    path = tmp_path / f"{kind}.jpg"
    if kind == "text":
        path.write_text("not an image")
    elif kind == "truncated":
        noise = Image.effect_noise((512, 256), 80).convert("RGB")
        noise.save(path, quality=95)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "wide":
        Image.new("RGB", (300, 100)).save(path)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0.jpg", "a/" * 3000])
def test_names_that_cannot_exist_are_missing_files(capsys, name):
    assert run(["ask", name, "What?"]) == 2
    (line,) = last_line(capsys)
    assert line.endswith(": no such file")
    assert len(line) < 1100


@pytest.mark.parametrize("kind", ["missing", "text", "truncated", "wide", "empty", "folder"])
def test_a_panorama_that_cannot_be_read_is_one_line_and_code_2(tmp_path, capsys, kind):
    path = broken(tmp_path, kind)
    assert run(["ask", str(path), "What?"]) == 2
    (line,) = last_line(capsys)
    assert line.startswith("panollava: ")
    assert path.name in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["aks", "x", "y"], "No such command 'aks'"),
        (["ask"], "Missing argument"),
        (["ask", "PANORAMA"], "there is no question"),
        (["ask", "PANORAMA", "What?", "--modle", "x"], "No such option"),
        (["ask", "PANORAMA", "What?", "--max-new-tokens", "0"], "expected greater than or equal to 1, got '0'"),
        (["ask", "PANORAMA", "  "], "question is empty"),
        (["ask", "PANORAMA", "What?", "--model", "no/such/model"], "--model no/such/model"),
        (["ask", "PANORAMA", "What?", "--device", "teapot"], "--device teapot"),
        (["ask", "PANORAMA", "What?", "--save-views", "PANORAMA"], "--save-views"),
    ],
)
def test_usage_errors_are_one_line_and_code_2(panorama_file, capsys, arguments, message):
    arguments = [str(panorama_file) if a == "PANORAMA" else a for a in arguments]
    assert run(arguments) == 2
    (line,) = last_line(capsys)
    assert line.startswith("panollava: ")
    assert message in line


def test_crop_is_the_command_of_the_geometry(panorama_file, tmp_path, capsys):
    assert run(["crop", str(panorama_file), "--output", str(tmp_path / "views"), "--size", "32"]) == 0
    assert "7 views" in capsys.readouterr().out
    assert len(list((tmp_path / "views").rglob("plan.json"))) == 1
    assert run(["crop", str(tmp_path / "nothing.jpg"), "--output", str(tmp_path / "none")]) == 2


def test_a_folder_that_is_no_checkpoint_is_named(panorama_file, tmp_path, capsys):
    assert run(["ask", str(panorama_file), "What?", "--model", str(tmp_path)]) == 2
    (line,) = last_line(capsys)
    assert str(tmp_path) in line


def test_the_installed_program_has_no_traceback(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "panollava_hf", "ask", str(tmp_path / "nothing.jpg"), "What?"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert "nothing.jpg" in result.stderr


def test_photographs_are_answered_by_a_checkpoint_that_knows_them(shared, open_checkpoint, tmp_path, capsys):
    photograph = shared / "panoramas" / "petra.jpg"
    arguments = ["ask", str(photograph), "What is ahead?", "--save-views", str(tmp_path), "--max-new-tokens", "3"]
    assert run([*arguments, "--model", str(open_checkpoint)]) == 0
    assert capsys.readouterr().out.strip()
    assert (tmp_path / "contact_sheet.png").stat().st_size > 50_000  # a real image, not a flat one
    assert run(arguments) == 3
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["views [final]", "x[", "[red]", "[link=a]b", "a  b"])
def test_folders_are_printed_as_typed(scene_file, tmp_path, capsys, name):
    folder = tmp_path / name
    assert run(["ask", str(scene_file), "What is ahead?", "--save-views", str(folder), "--max-new-tokens", "2"]) == 0
    assert f"Wrote 7 images to {folder}/\n" in capsys.readouterr().err
    assert (folder / "contact_sheet.png").is_file()


def test_names_with_markup_on_a_terminal(tmp_path, monkeypatch):
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=80, highlight=False, legacy_windows=False)
    monkeypatch.setattr(_console, "console", lambda: terminal)
    _console.say("x[/] \x1b[2J [red]")
    _console.note("[bold]\udce9")
    with _console.status("[/] …"), _console.progress() as bars:
        bars.add_task("[/nothing] [red]", total=1)
        bars.refresh()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
    assert "x[/] \\x1b[2J [red]" in shown
    assert "Note: [bold]\\xe9" in shown
    assert "[/nothing] [red]" in shown
    assert "[/] …" in shown


def test_bars_that_disappear_leave_no_empty_line_in_a_file(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(_console, "console", lambda: Console(file=out, force_terminal=False))
    with _console.progress() as bars:
        bars.add_task("Reading", total=None)
    assert out.getvalue() == ""


@pytest.mark.parametrize("place", ["/proc/nope", "FILE/below", "FILE"])
def test_an_output_that_cannot_be_written_is_reported_before_the_model_is_loaded(
    panorama_file, capsys, monkeypatch, place
):
    monkeypatch.setattr(cli._model_options, "load", lambda choice, **_: pytest.fail("the model was loaded"))
    place = place.replace("FILE", str(panorama_file))
    assert run(["ask", str(panorama_file), "What?", "--save-views", place]) == 2
    (line,) = last_line(capsys)
    assert line.startswith(f"panollava: --save-views {place}: this folder cannot be written (")


@pytest.mark.parametrize("as_json", [True, False])
def test_an_answer_is_printed_also_if_its_views_cannot_be_saved(scene_file, tmp_path, capsys, monkeypatch, as_json):
    def full_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_contact_sheet, "write_whole", full_disk)
    options = ["--save-views", str(tmp_path / "views"), "--max-new-tokens", "2", *(["--json"] if as_json else [])]
    assert run(["ask", str(scene_file), "What is ahead?", *options]) == 2
    out, err = capsys.readouterr()
    answer = json.loads(out)["answer"] if as_json else out.strip()
    assert answer
    assert len(out.splitlines()) == 1
    assert err.splitlines()[-1].startswith(f"panollava: --save-views {tmp_path / 'views'}: ")
    assert "No space left on device" in err


def test_a_second_contact_sheet_leaves_no_older_views(tmp_path):
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "notes.md").write_text("mine")
    ring = plan_views("e2p", num_views=12)
    save_views(torch.zeros(12, 3, 8, 8, dtype=torch.uint8), ring, tmp_path / "views")
    written = save_views(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), ring[:4], tmp_path / "views")
    assert sorted(path.name for path in written) == ["contact_sheet.png", *[f"view_{i:02d}.png" for i in range(4)]]
    assert {*written, tmp_path / "views" / "notes.md"} == set((tmp_path / "views").iterdir())
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "view_77.png").write_text("mine, there is no contact sheet")
    save_views(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), ring[:4], tmp_path / "photos")
    assert (tmp_path / "photos" / "view_77.png").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
@pytest.mark.parametrize("name", [b"caf\xe9.png", b"\xff[red].png", b"a\x7f\x1b[31m.png"])
def test_names_that_are_not_utf8(scene_file, tmp_path, capsys, name):
    path = shutil.copy(scene_file, tmp_path / os.fsdecode(name))
    views = tmp_path / os.fsdecode(b"views\xfc")
    options = ["--json", "--save-views", str(views), "--max-new-tokens", "2"]
    assert run(["ask", str(path), "What is ahead?", *options]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert len(out.splitlines()) == 1
    assert not set(out[:-1]) & {chr(c) for c in (*range(32), *range(127, 160))}
    assert report["panorama"] == str(tmp_path) + "/" + printable(os.fsdecode(name))
    assert report["saved"][0] == f"{tmp_path}/views\\xfc/view_00.png"
    assert (views / "view_00.png").is_file()
    assert "views\\xfc/" in err
    assert run(["ask", f"{path}.gone", "What?", "--json"]) == 2
    (line,) = last_line(capsys)
    assert line == f"panollava: {printable(str(path))}.gone: no such file"


def test_json_can_be_printed_in_any_encoding(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    report = {"question": "보라색? caf\u00e9 \x9b\u2028\x7f\udce9", "answer": "뒤"}
    cli._printing.echo_json(report)
    sys.stdout.flush()
    assert json.loads(raw.getvalue()) == report
    assert raw.getvalue().count(b"\n") == 1


def test_json_shows_no_query_of_a_url(served, capsys):
    address = f"{served}/scene.png?token=s3cret#f4agment"
    assert run(["ask", address, "What is ahead?", "--json", "--max-new-tokens", "2"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["panorama"] == f"{served}/scene.png"
    assert "s3cret" not in out + err
    assert "f4agment" not in out + err


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], {}),
        (["--hfov", "200"], {"hfov_deg": 200.0}),
        (["--partial", "--eye", "left"], {"partial": True, "eye": "left"}),
        (["--whole-sphere"], {"whole_sphere": True}),
    ],
)
@pytest.mark.parametrize("command", ["ask", "crop"])
def test_options_of_the_image_reach_the_loader(panorama_file, tmp_path, monkeypatch, command, typed, expected):
    given = []

    def loader(source, max_width=None, **options):
        given.append(options)
        raise PanoramaError("enough")

    monkeypatch.setattr(panollava_geometry, "load_equirectangular", loader)
    monkeypatch.setattr(_cropping, "load_equirectangular", loader)
    arguments = ["What?"] if command == "ask" else ["-o", str(tmp_path / "out")]
    assert run([command, str(panorama_file), *arguments, *typed]) == 2
    assert given == [expected]


def test_ask_reads_a_strip_of_a_very_large_sphere(open_checkpoint, tmp_path, capsys):
    """The sphere around it would have 25,200 x 12,600 pixels; no view needs them."""
    Image.new("RGB", (1400, 200), "grey").save(tmp_path / "strip.png")
    arguments = ["ask", str(tmp_path / "strip.png"), "What is ahead?", "--hfov", "20", "--max-new-tokens", "1"]
    arguments += ["--model", str(open_checkpoint)]
    assert run(arguments) == 0, capsys.readouterr().err


def test_help_shows_options_as_they_are_typed(capsys):
    for command in ("ask", "crop"):
        assert run([command, "--help"]) == 0
        shown = capsys.readouterr().out
        for option in ("--hfov DEGREES", "--partial ", "--eye left|right", "--whole-sphere "):
            assert option in shown
    assert "--size auto|PIXELS" in shown


def test_an_interrupt_while_torch_is_imported_is_one_line(panorama_file, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, signal\n"
        "original = builtins.__import__\n"
        "def interrupted(name, *arguments, **options):\n"
        "    if name == 'torch':\n"
        "        try:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "        except KeyboardInterrupt:\n"
        "            raise ImportError('cannot load module more than once per process')\n"
        "    return original(name, *arguments, **options)\n"
        "builtins.__import__ = interrupted\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "panollava_hf", "ask", str(panorama_file), "What?"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "panollava: interrupted\n")
