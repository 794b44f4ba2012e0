import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from panollava_geometry import PerspectiveView, ViewPlan
from panollava_hf._contact_sheet import contact_sheet
from panollava_hf.cli import run
from PIL import Image


def last_line(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    return err.strip().splitlines()


def test_answer_on_stdout_everything_else_on_stderr(panorama_file, capsys):
    assert run(["ask", str(panorama_file), "What is ahead?", "--max-new-tokens", "4"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "Note: the embedded checkpoint was trained on PanoShapes only" in err
    assert "Note" not in out


def test_an_untrained_connector_is_reported(checkpoint, panorama_file, tmp_path, capsys):
    folder = shutil.copytree(checkpoint, tmp_path / "fresh")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "connector_trained": False}))
    assert run(["ask", str(panorama_file), "What?", "--model", str(folder), "--max-new-tokens", "2"]) == 0
    assert "the connector of this checkpoint is untrained" in capsys.readouterr().err


def test_json_and_views(panorama_file, tmp_path, capsys):
    folder = tmp_path / "views" / "deep"
    code = run(["ask", str(panorama_file), "What?", "--json", "--save-views", str(folder), "--max-new-tokens", "4"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert report["trained"] is True
    assert report["question"] == "What?"
    assert len(report["views"]) == 6
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["contact_sheet.png", *[f"view_{i:02d}.png" for i in range(6)]]
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width > 4 * 80


def test_captions_of_small_views_stay_apart():
    plan = ViewPlan([PerspectiveView(0, 90), PerspectiveView(0, -90)])
    sheet = np.asarray(contact_sheet(torch.zeros(2, 3, 20, 20, dtype=torch.uint8), plan).convert("L"))
    captions, images = sheet[:24], sheet[26:46]
    begins = np.flatnonzero(np.diff((images < 128).any(axis=0).astype(int)) == 1)
    assert len(begins) == 2
    gap = captions[:, begins[1] - 4 : begins[1]]
    assert (captions[:, : begins[1] - 4] < 128).any()
    assert (gap == 255).all(), "the first caption ends before the second begins"


@pytest.fixture
def served(panorama_file):
    """The panorama's folder over HTTP on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=str(panorama_file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_panorama_may_be_a_url(served, capsys):
    assert run(["ask", f"{served}/panorama.png", "Where is the red cube?"]) == 0
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
        (["ask", "PANORAMA", "What?", "--modle", "x"], "No such option"),
        (["ask", "PANORAMA", "What?", "--max-new-tokens", "0"], "--max-new-tokens"),
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


def test_photographs_are_answered(shared, tmp_path, capsys):
    photograph = shared / "panoramas" / "ph-chinese-garden.jpg"
    assert run(["ask", str(photograph), "What?", "--save-views", str(tmp_path), "--max-new-tokens", "3"]) == 0
    assert (tmp_path / "contact_sheet.png").stat().st_size > 50_000  # a real image, not a flat one
