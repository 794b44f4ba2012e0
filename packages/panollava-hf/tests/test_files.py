"""Files and folders that appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest
import torch
from panollava_hf._errors import ModelError, UsageError
from panollava_hf._files import check_writable, edit_json, staged_folder, write_whole
from safetensors.torch import save_file


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
    with pytest.raises(UsageError, match=r"^/proc/nope: this folder cannot be written"):
        check_writable(Path("/proc/nope"))


@pytest.fixture
def umask():
    """A function that sets the umask until the end of the test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o027, 0o640)])
def test_new_files_and_folders_follow_the_umask(tmp_path, umask, mask, expected):
    umask(mask)
    write_whole(tmp_path / "one.json", "{}")
    with staged_folder(tmp_path / "run") as folder:
        (folder / "below").mkdir()
        save_file({"a": torch.zeros(2)}, folder / "below" / "model.safetensors")  # 0600 by itself
        (folder / "config.json").write_text("{}")
    files = [tmp_path / "one.json", tmp_path / "run" / "config.json", tmp_path / "run" / "below" / "model.safetensors"]
    assert [mode(file) for file in files] == [expected] * 3
    assert mode(tmp_path / "run") == 0o777 & ~mask
    assert sorted(p.name for p in (tmp_path / "run").rglob("*")) == ["below", "config.json", "model.safetensors"]


def test_a_replaced_file_keeps_its_permissions(tmp_path, umask):
    file = tmp_path / "results.json"
    file.write_text("old")
    file.chmod(0o640)
    umask(0o077)
    write_whole(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o640)
    write_whole(file, "newer", mode=0o600)
    assert mode(file) == 0o600


@pytest.mark.parametrize("durable", [True, False])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch, durable):
    file = tmp_path / "results.json"
    write_whole(file, "old", durable=durable)
    monkeypatch.setattr(os, "replace", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_whole(file, "new", durable=durable)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert file.read_text() == "old"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_files_are_on_the_disk_before_they_take_their_names(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: (events.append(os.readlink(f"/proc/self/fd/{handle}")), sync(handle))
    )
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("rename"), replace(*paths)))
    with staged_folder(tmp_path / "run") as folder:
        (folder / "weights").mkdir()
        (folder / "weights" / "a.bin").write_bytes(b"a")
    names = [Path(event).name for event in events]
    assert names == ["a.bin", "weights", "folder", "rename", tmp_path.name]
    events.clear()
    write_whole(tmp_path / "one.json", "{}")
    assert [Path(event).name.split(".")[1:3] or event for event in events] == [["one", "json"], "rename", events[-1]]
    events.clear()
    write_whole(tmp_path / "two.npy", b"", durable=False)
    with staged_folder(tmp_path / "scenes", durable=False) as folder:
        (folder / "a.png").write_bytes(b"a")
    assert events == ["rename", "rename"]


@pytest.mark.parametrize("content", ["[]", "null", "5", '"text"', "", '{"a": ', "\x00", "[" * 100_000, "\udcff"])
def test_a_damaged_json_file_is_one_clear_error(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    before = path.read_bytes()
    with pytest.raises(
        ModelError, match=r"config\.json: (expected a JSON object, got|this is not valid JSON)"
    ) as caught:
        edit_json(path, lambda found: found.update(a=1))
    assert len(str(caught.value)) < 600
    assert path.read_bytes() == before
