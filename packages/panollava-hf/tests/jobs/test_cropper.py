"""`PanoramaCropper`, and the names of its folders."""

import io
import pickle
import unicodedata
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
from panollava_geometry import ViewPlan, plan_views
from panollava_geometry.files import crop_file
from panollava_hf._errors import UsageError
from panollava_hf.jobs._cropper import PanoramaCropper
from panollava_hf.jobs._folder_names import exceptional_names, folder_name
from PIL import Image

HOSTILE = [
    "../../etc/passwd", "/etc/passwd", "..", ".", "", "a/../../b.jpg", "..\\..\\b.jpg", "C:\\pano.jpg", "CON.jpg",
    "nul", "lpt1.png", "a/con/b.jpg", "trailing. ", "a\nb.jpg", "\x1b[31m.jpg", "x" * 400 + ".jpg", "é" * 200 + ".jpg",
    "a:b.jpg", "https://h/pano.jpg?token=secret", "plan.json", "footprint.jpg.png", "view_00.png/b.jpg", ".hidden",
    "...", "caf\udce9.jpg",
]  # fmt: skip


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("id", HOSTILE)
def test_a_folder_is_inside_the_output_on_every_system(id, digest, tmp_path):
    name = folder_name(id, digest=digest)
    assert (tmp_path / name).resolve().is_relative_to(tmp_path)
    assert (tmp_path / name).resolve() != tmp_path
    (tmp_path / name).mkdir(parents=True)
    assert name.isprintable()
    assert "secret" not in name
    for part in name.split("/"):
        assert not set(part) & set('<>:"|?*\\')
        assert part == part.strip().rstrip(".")
        assert not PureWindowsPath(part).is_reserved()
        assert len(part.encode()) < 200


def test_names_keep_what_can_stay():
    assert [folder_name(id, digest=False) for id in ("one.jpg", "in/two.png", "v1.2.jpg", "no suffix")] == [
        "one", "in/two", "v1.2", "no suffix",
    ]  # fmt: skip


def test_names_of_a_source_are_unique_on_every_file_system():
    composed, decomposed = (unicodedata.normalize(form, "café.jpg") for form in ("NFC", "NFD"))
    ids = [
        "one.jpg", "one.png", "two.jpg", "two", "A.jpg", "a.jpg", "A/x.jpg", "a/x.jpg", "STRASSE.jpg", "straße.jpg",
        composed, decomposed, "panoramas.jsonl.jpg", "plain.jpg", "../plain.jpg", *HOSTILE,
    ]  # fmt: skip
    exceptions = exceptional_names(ids, reserved=["panoramas.jsonl"])
    names = [exceptions.get(id) or folder_name(id, digest=False) for id in ids]
    keys = {unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()) for name in names}
    assert len(keys | {"panoramas.jsonl"}) == len(ids) + 1
    assert dict(zip(ids, names, strict=True))["one.jpg"] == "one.jpg"
    assert "plain.jpg" not in exceptions
    assert exceptional_names(reversed(ids), reserved=["panoramas.jsonl"]) == exceptions


def test_without_the_other_ids_a_digest_keeps_names_apart():
    names = [folder_name(id) for id in ("one.jpg", "one.png", "ONE.jpg", "in/one.jpg", "in_one.jpg")]
    assert len({name.casefold() for name in names}) == len(names)
    assert folder_name("one.jpg") == folder_name("one.jpg")


@pytest.fixture
def rows(tmp_path, panorama):
    file = io.BytesIO()
    Image.fromarray(panorama).save(file, "jpeg", quality=95)
    (tmp_path / "one.jpg").write_bytes(file.getvalue())
    (tmp_path / "bad.jpg").write_text("hello")
    images = [
        str(tmp_path / "one.jpg"),
        str(tmp_path / "bad.jpg"),
        str(tmp_path / "gone.jpg"),
        file.getvalue(),
        panorama,
    ]
    return {"id": ["one.jpg", "bad.jpg", "gone.jpg", "../bytes", "array"], "image": images}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("options", "plan", "size", "image_format"),
    [
        ({"size": 24}, plan_views(), 24, "png"),
        ({"strategy": "cubemap", "image_format": "jpeg", "size": 16}, plan_views("cubemap"), 16, "jpeg"),
        ({"plan": plan_views("e2p", num_views=3)}, plan_views("e2p", num_views=3), None, "png"),
        ({"plan": plan_views("resize").to_json()}, plan_views("resize"), None, "png"),
    ],
)
def test_folders_are_those_of_the_geometry(rows, tmp_path, options, plan, size, image_format):
    crop = pickle.loads(pickle.dumps(PanoramaCropper(tmp_path / "out", **options)))
    result = crop(rows)
    assert [error is None for error in result["error"]] == [True, False, False, True, True]
    assert "not an image that Pillow can read" in result["error"][1]
    assert "no such file" in result["error"][2]
    assert result["folder"][1] is result["views"][1] is None
    for row in (0, 3, 4):
        expected = tmp_path / "expected" / str(row)
        crop_file(rows["image"][row], expected, plan, size, image_format)
        found = tmp_path / "out" / result["folder"][row]
        assert contents(found) == contents(expected)
        assert result["views"][row] == sorted(name for name in contents(found) if name.startswith("view_"))
        assert ViewPlan.from_json((found / "plan.json").read_text()) == plan
    assert {path.name for path in tmp_path.iterdir()} == {"out", "expected", "one.jpg", "bad.jpg"}


def test_the_options_of_reading_are_used(tmp_path):
    strip = np.full((20, 140, 3), 200, np.uint8)
    crop = PanoramaCropper(tmp_path / "out", hfov_deg=140, strategy="cubemap", size=16)
    result = crop({"id": ["strip"], "image": [strip]})
    assert result["error"] == [None]
    folder = tmp_path / "out" / result["folder"][0]
    with Image.open(folder / "view_00.png") as front, Image.open(folder / "view_02.png") as back:
        assert np.asarray(front).max() == 200
        assert np.asarray(back).max() == 0
    assert PanoramaCropper(tmp_path, size=16)({"image": [strip]})["error"] != [None]


def test_settings_tell_jobs_apart(tmp_path):
    jobs = [
        PanoramaCropper(tmp_path), PanoramaCropper(tmp_path, size=16), PanoramaCropper(tmp_path, strategy="cubemap"),
        PanoramaCropper(tmp_path, image_format="jpeg"), PanoramaCropper(tmp_path, eye="left"),
    ]  # fmt: skip
    assert len({repr(job.settings()) for job in jobs}) == len(jobs)
    assert jobs[0].settings() == PanoramaCropper(Path("elsewhere"), plan_views()).settings()


def test_impossible_settings_are_reported_at_once(tmp_path):
    with pytest.raises(ValueError, match="--size"):
        PanoramaCropper(tmp_path, size=100_000)
    with pytest.raises(UsageError, match="strategy cannot change a plan"):
        PanoramaCropper(tmp_path, plan_views(), strategy="cubemap")
    with pytest.raises(UsageError, match="expected 'png' or 'jpeg'"):
        PanoramaCropper(tmp_path, image_format="webp")


def test_rows_fit_the_schema(rows, tmp_path):
    pa = pytest.importorskip("pyarrow")
    crop = PanoramaCropper(tmp_path / "out", size=16)
    assert pa.table(crop(rows), schema=crop.schema()).num_rows == 5
