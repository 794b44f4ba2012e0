"""The command `panollava-geometry crop`."""

import http.server
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from panollava_geometry import EquirectangularView, PanoramaError, PerspectiveView, ViewPlan, load_views, plan_views
from PIL import Image, ImageFile, features

pytest.importorskip("typer")
pytest.importorskip("rich")
from panollava_geometry._commands import _cropping
from panollava_geometry._planning._view_sizes import MAX_PERSPECTIVE_PIXELS, native_size
from panollava_geometry._sources import _source
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
    assert (out, err) == (f"1 panorama, 7 views, in {tmp_path / 'out'}\n", "")
    written = tmp_path / "out" / "two"
    assert sorted(p.name for p in written.iterdir()) == sorted(
        ["footprint.jpg", "plan.json", *(f"view_{i:02d}.png" for i in range(7))]
    )
    plan = ViewPlan.from_json((written / "plan.json").read_text())
    assert plan == plan_views("anyres_e2p")
    views = load_views(folder / "two.png", plan, 48)
    np.testing.assert_array_equal(np.asarray(Image.open(written / "view_03.png")), views[3].permute(1, 2, 0).numpy())


def test_a_plan_of_one_view(folder, tmp_path, capsys):
    (tmp_path / "one.json").write_text(ViewPlan([PerspectiveView(30)]).to_json())
    assert run(folder / "two.png", "-o", tmp_path / "out", "--size", 8, "--plan", tmp_path / "one.json") == 0
    assert run(folder, "-o", tmp_path / "out", "--size", 8, "--plan", tmp_path / "one.json") == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == f"1 panorama, 1 view, in {tmp_path / 'out'}"
    assert second == f"2 panoramas, 1 view each, in {tmp_path / 'out'}"


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
        (["{in}", "--plan", "gone.json"], "gone.json: the plan cannot be read (No such file or directory); check"),
        (["{in}", "--plan", "{in}/notes.txt"], "notes.txt: a view plan must be JSON"),
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


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def panorama(path, image_format=None, size=(64, 32), **options):
    path.parent.mkdir(exist_ok=True)
    Image.effect_noise(size, 60).convert("RGB").save(path, image_format, **options)
    return path


@pytest.mark.parametrize("name", ["folder_from_a_mac", "folder_of_jfif"])
def test_folders_of_the_shared_cases(shared, tmp_path, capsys, name):
    source = shutil.copytree(shared / "cases" / name, tmp_path / "in")
    assert run(source, "-o", tmp_path / "out", "--size", 16) == 0
    assert names(tmp_path / "out") == ["pano"]
    assert capsys.readouterr().out == f"1 panorama, 7 views, in {tmp_path / 'out'}\n"


def test_files_that_systems_put_into_folders_are_no_sources(tmp_path, capsys):
    panorama(tmp_path / "in" / "beach.JPG", "jpeg")
    for hidden in ("._beach.JPG", ".beach.jpg.swp", ".DS_Store", ".hidden.png", "Thumbs.db", "desktop.ini"):
        (tmp_path / "in" / hidden).write_bytes(b"\0\5\x16\7")
    (tmp_path / "in" / ".cache").mkdir()
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--size", 16) == 0
    assert capsys.readouterr() == (f"1 panorama, 7 views, in {tmp_path / 'out'}\n", "")
    assert names(tmp_path / "out") == ["beach"]


KINDS = {
    "a.jfif": "jpeg",
    "b.jpe": "jpeg",
    "c.JPEG": "jpeg",
    "d.mpo": "jpeg",
    "e.gif": "gif",
    "f.bmp": "bmp",
    "g.tif": "tiff",
    "h.webp": "webp",
    "i.avif": "avif",
    "j.jp2": "jpeg2000",
    "k.insp": "jpeg",
}


def test_a_folder_takes_every_suffix_that_a_file_may_have(tmp_path, capsys):
    made = {
        n: f for n, f in KINDS.items() if f not in ("avif", "jpeg2000") or features.check(f.replace("eg2000", "g_2000"))
    }
    for name, image_format in made.items():
        panorama(tmp_path / "in" / name, image_format)
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--size", 8, "--strategy", "resize") == 0
    assert names(tmp_path / "out") == [name[0] for name in made]
    assert "skipped" not in capsys.readouterr().out


def test_skipped_files_are_listed_in_one_line(tmp_path, capsys):
    panorama(tmp_path / "in" / "one.png")
    for name in ("a.pdf", "b.mp4", "[red]c.txt", "d", "e.zip"):
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / "older").mkdir()
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--size", 16) == 0
    done, skipped = capsys.readouterr().out.splitlines()
    assert done.startswith("1 panorama, ")
    assert skipped == "5 files skipped: [red]c.txt, a.pdf, b.mp4 … and 2 more; 1 folder skipped"


@pytest.mark.parametrize("content", [[".hidden.jpg", "._x.jpg"], [], ["a.pdf", "b.mp4"]])
def test_a_folder_without_images_is_one_line(tmp_path, capsys, content):
    (tmp_path / "in").mkdir()
    for name in content:
        (tmp_path / "in" / name).touch()
    assert run(tmp_path / "in", "-o", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "the folder contains no images" in err
    assert ("2 files skipped: a.pdf, b.mp4" in err) == ("a.pdf" in content)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["--num-views", 12], ["--num-views", 4]),
        (["--num-views", 4], ["--strategy", "cubemap"]),
        (["--format", "jpeg"], ["--format", "png"]),
        (["--strategy", "resize"], ["--num-views", 12, "--format", "jpeg"]),
    ],
)
def test_a_second_run_leaves_the_views_of_its_plan_alone(folder, tmp_path, first, second):
    for options in (first, second):
        assert run(folder / "one.jpg", "-o", tmp_path / "out", "--size", 16, *options) == 0
        if options is first:
            (tmp_path / "out" / "one" / "notes.md").write_text("mine")
            (tmp_path / "out" / "one" / "view_1.png").write_text("not a name that crop writes")
    assert run(folder / "one.jpg", "-o", tmp_path / "fresh", "--size", 16, *second) == 0
    out, fresh = tmp_path / "out" / "one", tmp_path / "fresh" / "one"
    assert set(names(out)) == {*names(fresh), "notes.md", "view_1.png"}
    assert all((out / name).read_bytes() == (fresh / name).read_bytes() for name in names(fresh))
    assert len(list(fresh.glob("view_*"))) == len(ViewPlan.from_json((out / "plan.json").read_text()))
    assert names(tmp_path / "out") == ["one"]


def test_views_of_somebody_else_are_not_removed(folder, tmp_path, capsys):
    (tmp_path / "out" / "one").mkdir(parents=True)
    (tmp_path / "out" / "one" / "view_30.jpg").write_text("mine")
    assert run(folder / "one.jpg", "-o", tmp_path / "out", "--size", 16) == 2
    assert "contains view_30.jpg, but no plan.json of an earlier run" in capsys.readouterr().err
    assert names(tmp_path / "out" / "one") == ["view_30.jpg"]


@pytest.mark.parametrize("failing", [0, 3, 7])
def test_a_run_that_fails_leaves_the_earlier_run_whole(folder, tmp_path, monkeypatch, failing):
    crop = _cropping.crop_file
    crop(str(folder / "one.jpg"), tmp_path / "out" / "one", plan_views("cubemap"), 16)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out" / "one").iterdir()}
    save, calls = Image.Image.save, []

    def full_disk(self, *arguments, **options):
        calls.append(1)
        if len(calls) > failing:
            raise OSError(28, "No space left on device")
        save(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(PanoramaError, match=r"cannot be written .*No space left on device"):
        crop(str(folder / "two.png"), tmp_path / "out" / "one", plan_views("anyres_e2p"), 16)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "one").iterdir()} == before
    assert names(tmp_path / "out") == ["one"]


def test_a_cancelled_panorama_leaves_nothing(folder, tmp_path):
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(_cropping.Cancelled):
        _cropping.crop_file(
            str(folder / "one.jpg"), tmp_path / "out" / "one", plan_views("e2p"), 8, cancelled=cancelled
        )
    assert names(tmp_path / "out") == []


def test_by_default_views_have_the_resolution_of_the_panorama(folder, tmp_path):
    assert run(folder / "two.png", "-o", tmp_path / "out") == 0
    sizes = [pixels(tmp_path / "out" / "two" / f"view_{i:02d}.png").shape[1::-1] for i in range(7)]
    # A pixel of the panorama is 360 / 1024 degrees; 326 pixels at 90 degrees begin with 2 / 326 rad = 0.3515 degrees.
    assert sizes == [(1024, 512), *[(326, 326)] * 6]
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "two" / "view_00.png"), pixels(folder / "two.png"))
    view = load_views(folder / "two.png", plan_views("anyres_e2p"), 326)[3]
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "two" / "view_03.png"), view.permute(1, 2, 0).numpy())


def test_the_native_size_follows_the_plan(folder, tmp_path):
    (tmp_path / "plan.json").write_text(
        ViewPlan(
            [
                PerspectiveView(0, hfov_deg=60, vfov_deg=40),
                EquirectangularView((-90, 90), (-45, 45)),
                PerspectiveView(0, hfov_deg=120),
            ]
        ).to_json()
    )
    assert run(folder / "two.png", "-o", tmp_path / "out", "--size", "auto", "--plan", tmp_path / "plan.json") == 0
    sizes = [pixels(tmp_path / "out" / "two" / f"view_{i:02d}.png").shape[1::-1] for i in range(3)]
    assert sizes == [(188, 119), (512, 256), (565, 565)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "100000"], "--size"),
        (["--size", "8000", "--num-views", "60"], "--size"),
        (["--size", "99999999999999999999"], "--size"),
        (["--size", "-1"], "neither a number of pixels"),
        (["--size", "big"], "neither a number of pixels, 1 or more, nor 'auto'"),
        (["--size", "٣"], "neither a number of pixels"),
        (["--num-views", "100000000"], "num_views"),
    ],
)
def test_sizes_and_numbers_are_checked_before_the_work(folder, tmp_path, capsys, options, message):
    assert run(folder / "two.png", "-o", tmp_path / "out", *options) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_url_is_asked_for_once(folder, tmp_path):
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/one.jpg?token=s3cret"
        assert run(address, "-o", tmp_path / "url", "--size", 16) == 0
        server.shutdown()
    assert asked == ["/one.jpg?token=s3cret"]
    assert run(folder / "one.jpg", "-o", tmp_path / "file", "--size", 16) == 0
    file, url = tmp_path / "file" / "one", tmp_path / "url" / "one"
    assert names(url) == names(file)
    assert all((url / name).read_bytes() == (file / name).read_bytes() for name in names(url))


@pytest.mark.parametrize("size", ["auto", 16])
def test_a_file_is_opened_and_decoded_once(folder, tmp_path, monkeypatch, size):
    opened, decoded = [], []
    original = _source.open_file
    monkeypatch.setattr(_source, "open_file", lambda *arguments: (opened.append(arguments[0]), original(*arguments))[1])
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: (decoded.append(id(self)), load(self))[1])
    assert run(folder / "one.jpg", "-o", tmp_path / "out", "--size", size) == 0
    assert opened == [str(folder / "one.jpg")]
    assert len(set(decoded)) == 1


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600)])
def test_results_follow_the_umask(folder, tmp_path, mask, expected):
    before = os.umask(mask)
    try:
        assert run(folder / "one.jpg", "-o", tmp_path / "out", "--size", 8) == 0
        assert run(folder / "one.jpg", "-o", tmp_path / "out", "--size", 8, "--num-views", 2) == 0
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out" / "one").iterdir()} == {expected}
    assert (tmp_path / "out" / "one").stat().st_mode & 0o777 == 0o777 & ~mask


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_names_that_are_not_utf8(tmp_path, capsys):
    good, bad = os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"caf\xea\x1b[31m.jpg")
    panorama(tmp_path / "in" / good)
    (tmp_path / "in" / bad).write_text("no image")
    (tmp_path / "in" / os.fsdecode(b"\xff.txt")).touch()
    output = tmp_path / os.fsdecode(b"out\xfc")
    assert run(tmp_path / "in", "-o", output, "--size", 8) == 1
    out, err = capsys.readouterr()
    assert out == f"1 panorama, 7 views, in {tmp_path}/out\\xfc\n1 file skipped: \\xff.txt\n"
    assert err.startswith(f"cut: {tmp_path}/in/caf\\xea\\x1b[31m.jpg: ")
    assert err.count("\n") == 1
    assert os.listdir(os.fsencode(output)) == [b"caf\xe9"]
    assert run(tmp_path / os.fsdecode(b"gone\xe9.jpg")) == 2
    assert capsys.readouterr().err == f"cut: {tmp_path}/gone\\xe9.jpg: no such file; check the path\n"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_an_output_that_cannot_be_written_is_reported_before_the_work(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_cropping, "_decode", lambda *arguments: pytest.fail("decoded before the output was checked"))
    for output in ("/proc/nope", folder / "notes.txt", folder / "notes.txt" / "below"):
        assert run(folder / "one.jpg", "-o", output) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert f"cut: {output}: this folder cannot be written" in err


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((1400, 400), ["--hfov", 200]),
        ((900, 300), ["--partial"]),
        ((256, 256), ["--eye", "left"]),
        ((512, 128), ["--eye", "right"]),
        ((300, 100), ["--whole-sphere"]),
    ],
)
def test_images_whose_file_does_not_say_what_they_show(tmp_path, capsys, size, options):
    image = panorama(tmp_path / "in" / "phone.png", size=size)
    assert run(image, "-o", tmp_path / "out", "--size", 16) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run(image, "-o", tmp_path / "out", "--size", 16, *options) == 0
    assert len(list((tmp_path / "out" / "phone").glob("view_*.png"))) == 7
    assert run(image, "-o", tmp_path / "native", "--strategy", "resize", *options) == 0
    width, height = pixels(tmp_path / "native" / "phone" / "view_00.png").shape[1::-1]
    assert width == 2 * height


def test_options_that_exclude_each_other_are_one_line(folder, tmp_path, capsys):
    for options in (["--hfov", 200, "--eye", "left"], ["--hfov", 0], ["--hfov", 361], ["--partial", "--whole-sphere"]):
        assert run(folder / "one.jpg", "-o", tmp_path / "out", *options) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_is_probably_not_what_it_seems_gets_one_note(shared, tmp_path, capsys):
    for size in ("auto", 16):
        assert run(shared / "cases" / "dual_fisheye.jpg", "-o", tmp_path / "out", "--size", size) == 0
        err = capsys.readouterr().err
        assert err.startswith("Note: ")
        assert "fisheye" in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("width", [8, 64, 4096, 8192, 18_918])
@pytest.mark.parametrize("fov", [(1, 1), (90, 90), (120, 60), (179.9, 1)])
def test_native_sizes_have_a_limit(width, fov):
    view = PerspectiveView(0, hfov_deg=fov[0], vfov_deg=fov[1])
    height, columns = native_size(view, width)
    assert height >= 1
    assert columns >= 1
    assert height * columns <= MAX_PERSPECTIVE_PIXELS
    if width == 8192 and fov == (90, 90):
        assert (height, columns) == (2608, 2608)
    height, columns = native_size(EquirectangularView(), width)
    assert columns == 2 * height or width < 8
    assert (height, columns) == (width // 2, width) or width > 8192


def test_memory_that_is_not_enough_is_one_line(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_cropping, "extract_views", lambda *arguments: np.empty(2**56, np.uint8))
    assert run(folder / "one.jpg", "-o", tmp_path / "out", "--size", 64) == 2
    assert (
        capsys.readouterr().err
        == "cut: there is not enough memory for a view of 64x64 pixels; choose a smaller --size\n"
    )
    assert names(tmp_path / "out") == []
