"""The command `panollava-geometry crop`."""

import subprocess
import sys

import numpy as np
import pytest
from panollava_geometry import ViewPlan, draw_footprints, load_views, plan_views
from PIL import Image

pytest.importorskip("typer")
pytest.importorskip("rich")
from panollava_geometry.cli import app
from typer.testing import CliRunner


@pytest.fixture
def folder(tmp_path, photo_like):
    panoramas = tmp_path / "in"
    panoramas.mkdir()
    for name in ("one.jpg", "two.png"):
        Image.fromarray(photo_like.permute(1, 2, 0).numpy()).save(panoramas / name, quality=95)
    (panoramas / "notes.txt").write_text("not a picture")
    return panoramas


def run(*arguments):
    return CliRunner().invoke(app, ["crop", *map(str, arguments)])


def test_one_panorama(folder, tmp_path):
    done = run(folder / "two.png", "--output", tmp_path / "out", "--size", 48)
    assert done.exit_code == 0, done.output
    written = tmp_path / "out" / "two"
    assert sorted(p.name for p in written.iterdir()) == sorted(
        ["footprint.jpg", "plan.json", *(f"view_{i:02d}.png" for i in range(7))]
    )
    plan = ViewPlan.from_json((written / "plan.json").read_text())
    assert plan == plan_views("anyres_e2p")
    views = load_views(folder / "two.png", plan, 48)
    np.testing.assert_array_equal(np.asarray(Image.open(written / "view_03.png")), views[3].permute(1, 2, 0).numpy())


def test_a_folder_keeps_going_past_bad_files(folder, tmp_path):
    (folder / "bad.jpg").write_text("hello")
    done = run(folder, "-o", tmp_path / "out", "--size", 16, "--format", "jpeg", "--strategy", "cubemap")
    assert done.exit_code == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["one", "two"]
    assert len(list((tmp_path / "out" / "one").glob("view_*.jpg"))) == 6
    assert "bad.jpg" in done.stderr
    assert "2 panoramas, 6 views each" in done.stdout


def test_equal_stems_do_not_collide(folder, tmp_path):
    (folder / "one.png").write_bytes((folder / "two.png").read_bytes())
    assert run(folder, "-o", tmp_path / "out", "--size", 8, "--strategy", "resize").exit_code == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["one.jpg", "one.png", "two"]


def test_a_plan_from_a_file(folder, tmp_path):
    plan = plan_views("e2p", num_views=2)
    (tmp_path / "plan.json").write_text(plan.to_json())
    assert run(folder / "one.jpg", "-o", tmp_path / "out", "--size", 8, "--plan", tmp_path / "plan.json").exit_code == 0
    assert ViewPlan.from_json((tmp_path / "out" / "one" / "plan.json").read_text()) == plan


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jpg"], "gone.jpg: no such file"),
        (["{in}", "--fov-deg", "180"], "fov_deg must lie between"),
        (["{in}", "--plan", "gone.json"], "gone.json: the plan cannot be read"),
        (["{in}/notes.txt"], "no picture that Pillow can read"),
        (["{in}", "--strategy", "other"], "other"),
        (["{in}", "--output", "{in}/one.jpg"], "cannot be written"),
        (["{empty}"], "holds no picture"),
    ],
)
def test_mistakes(folder, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    names = {"in": folder, "empty": tmp_path / "empty"}
    output = [] if "--output" in arguments else ["--output", tmp_path / "out"]
    done = run(*(argument.format(**names) for argument in arguments), *output)
    assert done.exit_code == (1 if "--output" in arguments else 2)
    assert message in done.stderr
    assert "Traceback" not in done.output + done.stderr


def test_nothing_half_written_is_left(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Image.Image, "save", lambda self, file, *a, **k: (file.write(b"half"), 1 / 0))
    done = run(folder / "one.jpg", "-o", tmp_path / "out", "--size", 8)
    assert done.exception is not None
    assert not any(p.is_file() for p in (tmp_path / "out").rglob("*"))


def test_console_script_runs():
    done = subprocess.run(
        [sys.executable, "-m", "panollava_geometry.cli", "crop", "gone.jpg"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip()) == (2, "error: gone.jpg: no such file; check the path")


def test_without_the_extra():
    code = "import sys; sys.modules['typer'] = None; import panollava_geometry.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip() == "the command line needs typer and rich: pip install 'panollava-geometry[cli]'"


def test_footprints_are_drawn_where_the_views_look(photo_like):
    black = photo_like * 0
    drawn = np.asarray(draw_footprints(black, plan_views("e2p", num_views=1))).any(-1)
    assert drawn[512 // 4 - 5 : 512 // 4 + 5, 512].any()  # the top edge of the view ahead, 45 degrees up
    assert not drawn[:, :200].any()  # nothing behind


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
def test_a_typing_error_is_one_line_and_code_2(arguments, message, capsys):
    from panollava_geometry.cli import run_app

    assert run_app(app, arguments, program="panollava-geometry") == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.strip().splitlines()
    assert line.startswith("panollava-geometry: ")
    assert message in line
