"""Which folder every source gets."""

import unicodedata
from pathlib import Path

import pytest
from panollava_geometry._commands._crop_sources import output_folders

CAFE = "café"


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["in/one.jpg", "in/two.png"], ["one", "two"]),
        (["in/one.jpg", "in/one.png"], ["one.jpg", "one.png"]),
        (["in/A.jpg", "in/a.jpg"], ["A.jpg", "a.jpg-2"]),
        (["in/A.jpg", "in/a.png"], ["A.jpg", "a.png"]),
        (["in/STRASSE.jpg", "in/straße.jpg"], ["STRASSE.jpg", "straße.jpg-2"]),
        (["in/one.jpg", "in/one.jpg.png", "in/one.png"], ["one.jpg-2", "one.jpg", "one.png"]),
        (["a/x.jpg", "b/x.jpg", "c/x.jpg"], ["x.jpg", "x.jpg-2", "x.jpg-3"]),
        (["http://h/..", "http://h/"], ["panorama", "panorama-2"]),
        (["http://h/.."], ["panorama"]),
        (["http://h/a/pano.jpg?x=/../y"], ["pano"]),
        (["http://h/"], ["panorama"]),
        (["http://h/x/..%2f..%2fetc.jpg"], ["etc"]),
    ],
)
def test_every_source_has_a_folder_of_its_own(sources, expected):
    folders = output_folders(sources, Path("out"))
    assert [folder.relative_to("out").as_posix() for folder in folders.values()] == expected
    assert all(folder.parent == Path("out") for folder in folders.values())


def test_unicode_forms_of_one_name_are_told_apart():
    composed, decomposed = (unicodedata.normalize(form, CAFE) for form in ("NFC", "NFD"))
    folders = output_folders([f"in/{composed}.jpg", f"in/{decomposed}.jpg"], Path("out"))
    assert len({unicodedata.normalize("NFC", folder.name) for folder in folders.values()}) == 2
    assert output_folders([f"in/{decomposed}.jpg"], Path("out")) == {f"in/{decomposed}.jpg": Path("out", decomposed)}
