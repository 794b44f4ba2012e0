"""The command `panollava-geometry crop`."""

import subprocess
import sys

import numpy as np
import pytest
from panollava_geometry import ViewPlan, load_views, plan_views
from PIL import Image

pytest.importorskip("typer")
pytest.importorskip("rich")
from panollava_geometry import _cropping
from panollava_geometry.cli import app, run_app


@pytest.fixture
def folder(tmp_path, photo_like):
    panoramas = tmp_path / "in"
    panoramas.mkdir()
    for name in ("one.jpg", "two.png"):
        Image.fromarray(photo_like.permute(1, 2, 0).numpy()).save(panoramas / name, quality=95)
    (panoramas / "notes.txt").write_text("not an image")
    return panoramas


def run(*arguments):
    return run_app(app, ["crop", *map(str, arguments)], program="cut")


def test_one_panorama(folder, tmp_path, capsys):
    assert run(folder / "two.png", "--output", tmp_path / "out", "--size", 48) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"1 panorama, 7 views each, in {tmp_path / 'out'}\n", "")
    written = tmp_path / "out" / "two"
    assert sorted(p.name for p in written.iterdir()) == sorted(
        ["footprint.jpg", "plan.json", *(f"view_{i:02d}.png" for i in range(7))]
    )
    plan = ViewPlan.from_json((written / "plan.json").read_text())
    assert plan == plan_views("anyres_e2p")
    views = load_views(folder / "two.png", plan, 48)
    np.testing.assert_array_equal(np.asarray(Image.open(written / "view_03.png")), views[3].permute(1, 2, 0).numpy())


def test_files_that_cannot_be_read_are_reported_and_skipped(folder, tmp_path, capsys):
    (folder / "[red]bad [bold.jpg").write_text("hello")  # the name must not be read as rich markup
    arguments = (folder, "-o", tmp_path / "out", "--size", 16, "--format", "jpeg", "--strategy", "cubemap")
    assert run(*arguments) == 1
    out, err = capsys.readouterr()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["one", "two"]
    assert len(list((tmp_path / "out" / "one").glob("view_*.jpg"))) == 6
    message = "this is not an image that Pillow can read; expected JPEG, PNG, WebP or TIFF"
    assert err == f"cut: {folder}/[red]bad [bold.jpg: {message}\n"
    assert "2 panoramas, 6 views each" in out


def test_equal_stems_do_not_collide(folder, tmp_path):
    (folder / "one.png").write_bytes((folder / "two.png").read_bytes())
    assert run(folder, "-o", tmp_path / "out", "--size", 8, "--strategy", "resize") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["one.jpg", "one.png", "two"]


def test_a_plan_from_a_file(folder, tmp_path):
    plan = plan_views("e2p", num_views=2)
    (tmp_path / "plan.json").write_text(plan.to_json())
    assert run(folder / "one.jpg", "-o", tmp_path / "out", "--size", 8, "--plan", tmp_path / "plan.json") == 0
    assert ViewPlan.from_json((tmp_path / "out" / "one" / "plan.json").read_text()) == plan


def test_a_pitch_range_is_two_numbers(folder, tmp_path):
    options = ("--strategy", "e2p", "--num-rings", 2, "--num-views", 1, "--pitch-range-deg", -30, 60)
    assert run(folder / "one.jpg", "-o", tmp_path / "out", "--size", 8, *options) == 0
    plan = ViewPlan.from_json((tmp_path / "out" / "one" / "plan.json").read_text())
    assert [view.pitch_deg for view in plan] == [60, -30]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jpg"], "gone.jpg: no such file; check the path"),
        (["{in}", "--fov-deg", "180"], "fov_deg must be between"),
        (["{in}", "--plan", "gone.json"], "gone.json: the plan cannot be read"),
        (["{in}/notes.txt"], "not an image that Pillow can read"),
        (["{in}", "--strategy", "other"], "other"),
        (["{in}/two.png", "--output", "{in}/one.jpg"], "cannot be written"),
        (["{empty}"], "the folder contains no images"),
    ],
)
def test_errors_are_one_line_and_code_2(folder, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    names = {"in": folder, "empty": tmp_path / "empty"}
    output = [] if "--output" in arguments else ["--output", tmp_path / "out"]
    assert run(*(argument.format(**names) for argument in arguments), *output) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("cut: ")
    assert message in err


def test_no_partial_file_is_left(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Image.Image, "save", lambda self, file, *a, **k: (file.write(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        _cropping.crop_file(str(folder / "one.jpg"), tmp_path / "out", plan_views("cubemap"), 8)
    assert not any(p.is_file() for p in (tmp_path / "out").rglob("*"))


def test_the_help_shows_how_a_pitch_range_is_typed(capsys):
    assert run("--help") == 0
    assert "--pitch-range-deg FLOAT FLOAT" in capsys.readouterr().out


def test_the_console_script(tmp_path):
    command = [sys.executable, "-m", "panollava_geometry.cli", "crop", "gone.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "panollava-geometry: gone.jpg: no such file; check the path\n")
