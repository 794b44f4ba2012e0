"""Files and folders that appear whole or not at all."""

import os
from pathlib import Path

import pytest
from panollava_hf._errors import UsageError
from panollava_hf._files import check_writable


def test_a_writable_folder_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "runs" / "first", "--output")
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "link", "n" * 300, "nul\0nul"])
def test_a_folder_that_cannot_be_written_is_named_with_its_option(tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"^--output .*cannot be written \(.+\); choose another one") as caught:
        check_writable(tmp_path / place, "--output")
    assert str(tmp_path / place) in str(caught.value)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_file_system_that_takes_no_files_is_noticed():
    with pytest.raises(UsageError, match="^/proc/nope: this folder cannot be written"):
        check_writable(Path("/proc/nope"))
