"""GPano read in full and written: `GPano`, `save_equirectangular`, `is_panorama`, `panorama_info`, `crop`, `info`."""

import io
import json
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import (
    EquirectangularView,
    PanoramaError,
    PanoramaWarning,
    PerspectiveView,
    ViewPlan,
    extract_views,
    is_panorama,
    load_equirectangular,
    load_views,
    rotation_matrix,
    save_equirectangular,
)
from panollava_geometry._metadata._panorama_metadata import read_gpano
from panollava_geometry._views._sphere import rotation_angles
from panollava_geometry.cli import app
from panollava_geometry.files import GPano, crop_file, panorama_info
from PIL import Image
from typer.testing import CliRunner

FULL = GPano(
    pose_heading_deg=300.5,
    pose_pitch_deg=-4.25,
    pose_roll_deg=2,
    initial_heading_deg=12.0,
    initial_pitch_deg=1.0,
    initial_roll_deg=-1.0,
    initial_hfov_deg=75.0,
    capture_software='A "camera" <1> & more',
    stitching_software="Köln 360°",
    first_photo_date="2026-01-02T03:04:05Z",
    last_photo_date="2026-01-02T03:05:05Z",
    source_photos=12,
    interior=(1, 2, 100, 50),
    use_viewer=True,
    exposure_locked=False,
)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_every_field_survives_in_every_format(tmp_path, card, suffix):
    panorama = torch.from_numpy(np.array(card.image())).permute(2, 0, 1)
    save_equirectangular(panorama, tmp_path / f"pano{suffix}", gpano=FULL)
    found = panorama_info(tmp_path / f"pano{suffix}")
    assert found.kind == "full sphere"
    assert found.gpano.full_size == (256, 128)
    assert found.gpano.area == (0, 0, 256, 128)
    for name in (name for name in vars(FULL) if name not in ("full_size", "area", "projection")):
        assert getattr(found.gpano, name) == getattr(FULL, name), name
    assert card.read(load_equirectangular(tmp_path / f"pano{suffix}")) == "ROYGCBPK"


def test_pillow_reads_what_was_written(tmp_path):
    """The witness is Pillow's own XML parser."""
    pytest.importorskip("defusedxml", reason="Pillow reads XMP with defusedxml")
    save_equirectangular(np.zeros((32, 64), np.uint8), tmp_path / "a.png", gpano=FULL)
    with Image.open(tmp_path / "a.png") as image:
        described = image.getxmp()["xmpmeta"]["RDF"]["Description"]
    assert described["PoseHeadingDegrees"] == "300.5"
    assert described["CaptureSoftware"] == 'A "camera" <1> & more'
    assert described["CroppedAreaImageWidthPixels"] == "64"


def test_a_window_is_placed_where_it_was(tmp_path, card):
    panorama = torch.from_numpy(np.array(card.image())).permute(2, 0, 1)
    window = EquirectangularView((-90, 45), (-45, 60))
    pixels = extract_views(panorama, window, (75, 96))[0]
    save_equirectangular(pixels, tmp_path / "part.png", window=window)
    loaded, mask = load_equirectangular(tmp_path / "part.png", return_mask=True)
    assert loaded.shape == (3, 128, 256)
    assert panorama_info(tmp_path / "part.png").kind == "part of the sphere"
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (columns[0], columns[-1] + 1) == (64, 160)
    assert abs(rows[0] - 30 / 180 * 128) <= 1
    assert abs(rows[-1] + 1 - 135 / 180 * 128) <= 1
    assert (loaded[:, 30:90, 66:158].int() - panorama[:, 30:90, 66:158].int()).abs().median() == 0


def test_a_window_across_the_seam_needs_the_heading(tmp_path, card):
    panorama = torch.from_numpy(np.array(card.image())).permute(2, 0, 1)
    window = EquirectangularView((135, 270), (-45, 45))
    save_equirectangular(extract_views(panorama, window, (64, 96))[0], tmp_path / "part.png", window=window)
    assert panorama_info(tmp_path / "part.png").gpano.pose_heading_deg == pytest.approx(202.5)
    loaded, mask = load_equirectangular(tmp_path / "part.png", return_mask=True, pose="north")
    assert torch.equal(loaded[:, mask], panorama[:, mask])
    assert mask.sum() == 64 * 96
    assert mask[64, 250:].all()
    assert mask[64, :60].all()


@pytest.mark.parametrize("turn", [-720, -360, 360])
def test_a_window_turned_by_full_circles(tmp_path, turn):
    window = EquirectangularView((10 + turn, 100 + turn), (0, 45))
    save_equirectangular(np.zeros((45, 90), np.uint8), tmp_path / "a.png", window=window)
    found = panorama_info(tmp_path / "a.png").gpano
    assert found.area == (190, 45, 90, 45)
    assert found.pose_heading_deg is None


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    left=st.integers(-180, 170),
    width=st.integers(1, 36),
    low=st.integers(-90, 80),
    height=st.integers(1, 17),
    scale=st.sampled_from([1, 2]),
)
def test_any_window_of_square_pixels(tmp_path_factory, left, width, low, height, scale):
    right, high = left + 10 * width, min(90, low + 10 * height)
    if right > 180:
        right = 180
    window = EquirectangularView((left, right), (low, high))
    size = ((high - low) * scale, (right - left) * scale)
    file = tmp_path_factory.mktemp("window") / "a.png"
    save_equirectangular(np.full((*size, 3), 200, np.uint8), file, window=window)
    loaded, mask = load_equirectangular(file, return_mask=True)
    assert loaded.shape == (3, 180 * scale, 360 * scale)
    expected = torch.zeros(180 * scale, 360 * scale, dtype=torch.bool)
    expected[(90 - high) * scale : (90 - low) * scale, (left + 180) * scale : (right + 180) * scale] = True
    assert torch.equal(mask, expected)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
def test_angles_of_a_rotation(yaw, pitch, roll):
    matrix = rotation_matrix(yaw, pitch, roll)
    assert np.abs(rotation_matrix(*rotation_angles(matrix)) - matrix).max() < 1e-7


@pytest.mark.parametrize(("pose", "heading"), [("level", 0.0), ("north", 70.0)])
def test_the_pose_is_applied(tmp_path, formulas, pose, heading):
    """The witness: a world that is a function of direction, seen by a camera that is turned."""
    turn = rotation_matrix(heading, 12.0, -20.0)
    camera = formulas.panorama(256)
    tilted = (formulas.smooth(camera @ turn.T) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    metadata = GPano(pose_heading_deg=70.0, pose_pitch_deg=12.0, pose_roll_deg=-20.0)
    save_equirectangular(np.ascontiguousarray(tilted), tmp_path / "a.png", gpano=metadata)
    loaded = load_equirectangular(tmp_path / "a.png", pose=pose)
    world = formulas.smooth(camera) * 255
    assert np.abs(loaded.numpy() - world).max() < 2

    view = PerspectiveView(50.0, 20.0, hfov_deg=70.0)
    expected = formulas.smooth(formulas.view(50.0, 20.0, 0, 70.0, 70.0, 64, 64)) * 255
    views = load_views(tmp_path / "a.png", view, 64, pose=pose)
    assert np.abs(views[0].numpy() - expected).max() < 4
    (tmp_path / "plan.json").write_text(ViewPlan([view]).to_json())
    for size in ("64", "auto"):
        where = ["-o", str(tmp_path / "views"), "--plan", str(tmp_path / "plan.json")]
        arguments = ["crop", str(tmp_path / "a.png"), *where]
        assert CliRunner().invoke(app, [*arguments, "--size", size, "--pose", pose]).exit_code == 0
        written = np.asarray(Image.open(tmp_path / "views" / "a" / "view_00.png"))
        side = len(written)
        expected = formulas.smooth(formulas.view(50.0, 20.0, 0, 70.0, 70.0, side, side)) * 255
        assert np.abs(written.transpose(2, 0, 1) - expected).max() < 4


@pytest.mark.usefixtures("uninstrumented")
def test_a_pose_that_is_missing_or_wrong(tmp_path, card):
    image = np.array(card.image())
    with pytest.raises(PanoramaError, match="pose must be 'level', 'north' or None, got 'up'"):
        load_views(image, PerspectiveView(0), 8, pose="up")
    with pytest.raises(PanoramaError, match="pose must be 'level', 'north' or None, got 'up'"):
        crop_file(image, tmp_path / "x", ViewPlan([PerspectiveView(0)]), 8, options={"pose": "up"})
    with pytest.warns(PanoramaWarning, match="no GPano pose"):
        assert card.read(load_equirectangular(image, pose="level")) == "ROYGCBPK"
    with pytest.raises(PanoramaError, match="pose must be 'level', 'north' or None, got 'up'"):
        load_equirectangular(image, pose="up")
    save_equirectangular(image, tmp_path / "a.png", gpano=GPano(pose_pitch_deg=12.0))
    data = (tmp_path / "a.png").read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        xmp = opened.info["xmp"].replace(b'PosePitchDegrees="12"', b'PosePitchDegrees="up"')
    opened = card.image()
    opened.info["xmp"] = xmp
    assert read_gpano(opened).unreadable == ("PosePitchDegrees",)
    with pytest.raises(PanoramaError, match="PosePitchDegrees is not a number of degrees"):
        load_equirectangular(opened, pose="level")


@pytest.mark.parametrize("text", ["nan", "inf", "-91", "1e400", "", "12°", "9" * 300])
def test_angles_that_are_no_angles(card, text):
    image = card.image()
    image.info["xmp"] = f'<rdf:Description GPano:PosePitchDegrees="{text}" GPano:PoseRollDegrees="3"/>'.encode()
    found = read_gpano(image)
    assert found.pose_roll_deg == 3
    assert found.pose_pitch_deg is None


def test_a_heading_is_turned_by_full_circles(card):
    image = card.image()
    image.info["xmp"] = b'<rdf:Description GPano:PoseHeadingDegrees="-90"/>'
    assert read_gpano(image).pose == (270.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pose_pitch_deg": 91}, r"pose_pitch_deg \(PosePitchDegrees\) must be a number of degrees in \[-90, 90\]"),
        ({"initial_hfov_deg": math.nan}, "initial_hfov_deg"),
        ({"area": (0, 0, 10)}, "area must be 4 whole numbers"),
        ({"full_size": (0, 10)}, "full_size must be 2 whole numbers"),
    ],
)
@pytest.mark.usefixtures("uninstrumented")
def test_impossible_fields(values, message):
    with pytest.raises(PanoramaError, match=message):
        GPano(**values)


@pytest.mark.parametrize(
    ("panorama", "name", "options", "message"),
    [
        (np.zeros((4, 8, 3), np.float32), "a.png", {}, "must be a uint8 tensor.*got float32"),
        (np.zeros((4, 9, 3), np.uint8), "a.png", {}, "for a part of the sphere, pass window"),
        (np.zeros((4, 8, 3), np.uint8), "a.gif", {}, "cannot be saved as '.gif'; use one of .jpg"),
        (np.zeros((4, 8, 3), np.uint8), "no/a.png", {}, "the file cannot be written"),
        (np.zeros((4, 8, 3), np.uint8), "a.jpg", {"quality": 101}, "quality must be a whole number from 1 to 100"),
        (np.zeros((90, 90, 3), np.uint8), "a.png", {"window": EquirectangularView()}, "has square pixels, but"),
        ("pano", "a.png", {}, "got str"),
    ],
)
@pytest.mark.usefixtures("uninstrumented")
def test_what_cannot_be_saved(tmp_path, panorama, name, options, message):
    with pytest.raises(PanoramaError, match=message) as raised:
        save_equirectangular(panorama, tmp_path / name, **options)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_is_panorama(shared, tmp_path, encoded, card):
    assert is_panorama(shared / "panoramas" / "petra.jpg")
    assert not is_panorama(shared / "cases" / "dual_fisheye.jpg")
    assert is_panorama(shared / "cases" / "gpano_two_packets.jpg")
    assert not is_panorama(encoded(np.zeros((64, 64, 3), np.uint8)))
    gradient = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (128, 256, 3))
    assert not is_panorama(encoded(np.ascontiguousarray(gradient)))
    save_equirectangular(np.ascontiguousarray(gradient), tmp_path / "says.png")
    assert is_panorama(tmp_path / "says.png")
    assert not is_panorama(b"a text")
    with pytest.raises(PanoramaError, match="no such file"):
        is_panorama(tmp_path / "none.jpg")
    with pytest.raises(PanoramaError, match="damaged"):
        is_panorama(encoded(card.image())[:300])


def test_is_panorama_does_not_warn_about_looks(encoded):
    gradient = np.ascontiguousarray(np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (128, 256, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert panorama_info(encoded(gradient)).reason == "it is 2:1, but its left and right edges do not meet"


def test_crop_writes_what_its_windows_show(tmp_path, card):
    plan = [EquirectangularView(), PerspectiveView(0), EquirectangularView((0, 90), (-45, 45))]
    from panollava_geometry import ViewPlan

    crop_file(card.image(), tmp_path / "out", ViewPlan(plan), None)
    infos = [panorama_info(tmp_path / "out" / f"view_0{index}.png") for index in range(3)]
    assert [found.kind for found in infos] == ["full sphere", "not a panorama", "part of the sphere"]
    assert infos[1].gpano is None
    assert infos[2].gpano.area == (128, 32, 64, 64)
    crop_file(card.image(), tmp_path / "square", ViewPlan(plan[:1]), 64, "jpeg")
    assert panorama_info(tmp_path / "square" / "view_00.jpg").gpano is None


def test_info_does_not_import_torch(tmp_path, card):
    card.image().save(tmp_path / "a.png")
    program = (
        "import sys; from panollava_geometry._files._information import panorama_info as info; "
        f"info({str(tmp_path / 'a.png')!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "panollava_geometry", "info", *map(str, arguments)], capture_output=True, text=True
    )


def test_the_command_info(tmp_path, card):
    save_equirectangular(np.array(card.image()), tmp_path / "a.jpg", gpano=FULL)
    done = run(tmp_path / "a.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "JPEG, 256x128, RGB",
        "full sphere",
        "heading 300.5°, pitch -4.25°, roll 2°",
        "heading 12°, pitch 1°, roll -1°, field of view 75°",
        'A "camera" <1> & more',
    ):
        assert text in done.stdout
    record = json.loads(run("--json", tmp_path / "a.jpg").stdout)
    assert record["gpano"]["pose_heading_deg"] == 300.5
    assert record["is_panorama"] is True


def test_the_command_info_with_bad_files(tmp_path, card):
    card.image().save(tmp_path / "a.png")
    done = run(tmp_path / "none.png")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    done = run(tmp_path / "none.png", tmp_path / "a.png")
    assert done.returncode == 1
    assert "full sphere" in done.stdout
