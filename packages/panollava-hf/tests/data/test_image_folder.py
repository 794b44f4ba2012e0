"""Images are found again after their names have changed."""

import pytest
from panollava_hf._errors import TableError
from panollava_hf.data._row_checks import ImageFolder


def test_a_file_that_was_renamed_is_found_again(tmp_path):
    folder = ImageFolder(tmp_path)
    before = tmp_path / "b.jpg"
    before.touch()
    assert folder.locate("b.jpg") == before
    assert folder.locate("b.jpg") == before
    (tmp_path / " b.jpg ").touch()
    assert folder.locate(" b.jpg ") == tmp_path / " b.jpg ", "another name is another file"
    before.unlink()
    (tmp_path / "c.jpg").touch()
    assert folder.locate("b.jpg") == before, "where it should be, for the message"
    assert folder.locate("c.jpg") == tmp_path / "c.jpg"


def test_a_path_out_of_the_folder_is_refused_every_time(tmp_path):
    (tmp_path / "table").mkdir()
    (tmp_path / "secret.jpg").touch()
    folder = ImageFolder(tmp_path / "table")
    for _ in range(2):
        with pytest.raises(TableError, match="leads out of"):
            folder.locate("../secret.jpg")
