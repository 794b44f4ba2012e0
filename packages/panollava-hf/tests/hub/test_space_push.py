"""`panollava push --space` against a local HTTP server with the protocol of the Hub."""

import json

import pytest
from panollava_hf.cli import run


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "space"
    assert run(["space", str(folder), "--title", "Rooms"]) == 0
    return folder


PUSH = """
import sys
from panollava_hf.cli import run
sys.exit(run(["push", *sys.argv[1:], "--space"]))
"""


def test_a_space_is_pushed_in_one_commit_and_replaces_old_code_and_samples(space, own_copy, client_run, hub):
    folder = own_copy(space)
    (folder / "helper.py").write_text("")
    (folder / "notes.md").write_text("")
    (folder / "samples" / "old.jpg").write_bytes(b"...")
    (folder / ".env").write_text("KEY=never")
    first = client_run(PUSH, folder, "owner/rooms", endpoint=hub.endpoint, token=hub.token)
    for name in ("helper.py", "notes.md", "samples/old.jpg"):
        (folder / name).unlink()
    second = client_run(PUSH, folder, "owner/rooms", "--tag", "v1", endpoint=hub.endpoint, token=hub.token)

    assert list(hub.repositories) == ["spaces/owner/rooms"], "a Space, not a model"
    repository = hub.repositories["spaces/owner/rooms"]
    assert repository.private
    assert repository.messages == ["initial commit", "Upload Space", "Upload v1"]
    before, after = (repository.commits[done.stdout.strip()] for done in (first, second))
    assert repository.tags == {"v1": second.stdout.strip()}
    assert {"helper.py", "notes.md", "samples/old.jpg"} <= set(before)
    assert ".env" not in before
    made = {path.relative_to(space).as_posix(): path.read_bytes() for path in space.rglob("*") if path.is_file()}
    assert {name: after[name] for name in made} == made, "also the README is as it was written"
    assert set(after) - set(made) == {".gitattributes", "notes.md"}
    assert "to the Space owner/rooms, tag v1." in second.stderr
    assert hub.token not in first.stdout + first.stderr + second.stdout + second.stderr


def test_a_dry_run_lists_the_files_and_sends_nothing(space, capsys, monkeypatch):
    def no_network(*arguments, **options):
        raise AssertionError("a dry run asked the network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    assert run(["push", str(space), "owner/rooms", "--space", "--public", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert all(path.name in shown for path in space.rglob("*") if path.is_file())
    assert "to the Space owner/rooms (public if new); nothing was sent." in shown


FRONT = "---\nsdk: gradio\napp_file: app.py\n---\n"


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (lambda f: (f / "panollava-space.json").unlink(), [], "push a folder that `panollava space` wrote"),
        (lambda f: (f / "panollava-space.json").write_text("{}"), [], "files must be an object with names"),
        (lambda f: (f / "panollava-space.json").write_text("["), [], "this is not valid JSON"),
        (
            lambda f: (f / "panollava-space.json").write_text(json.dumps({"files": {"../key": "0"}})),
            *([], "files in this folder"),
        ),
        (lambda f: (f / "app.py").unlink(), [], "is incomplete: it lacks app.py"),
        (lambda f: (f / "requirements.txt").unlink(), [], "is incomplete: it lacks requirements.txt"),
        (lambda f: (f / "key.pem").write_text(""), [], "contains 'key.pem': a Space may have files of the kinds .css"),
        (lambda f: (f / "samples" / "run.log").write_text(""), [], "contains 'samples/run.log'"),
        (lambda f: (f / "samples" / "a.jpg").symlink_to("/etc/hosts"), [], "samples/a.jpg: remove links"),
        (lambda f: (f / "README.md").write_bytes(b"\xff"), [], "README.md is not UTF-8"),
        (lambda f: (f / "README.md").write_text("# Rooms\n"), [], "must have `sdk: gradio` and an app_file"),
        (lambda f: (f / "README.md").write_text("---\n- 1\n---\n"), [], "must have `sdk: gradio` and an app_file"),
        (lambda f: (f / "README.md").write_text("---\nsdk: [\n---\n"), [], "not valid YAML"),
        (lambda f: (f / "README.md").write_text("---\nsdk: gradio\n"), [], "must have `sdk: gradio` and an app_file"),
        (
            lambda f: (f / "README.md").write_text(FRONT.replace("app.py", "../a.py")),
            *([], "the app_file '../a.py' is not in"),
        ),
        (lambda f: (f / "big.json").write_bytes(bytes(101 << 20)), [], "has 101 MB, more than 100"),
        (lambda f: None, ["--tag", "v 1"], "'v 1' is not a valid tag"),
    ],
)
def test_what_is_not_a_space_is_reported_in_one_line(own_copy, space, capsys, spoil, arguments, message):
    folder = own_copy(space)
    spoil(folder)
    assert run(["push", str(folder), "owner/rooms", "--space", "--dry-run", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.strip().splitlines()
    assert line.startswith(f"panollava: cannot push {folder}: ")
    assert message in line
    assert len(line) < 1000


def test_a_model_is_not_pushed_as_a_space_and_a_space_not_as_a_model(space, embedded_export, capsys):
    assert run(["push", str(embedded_export), "owner/pano", "--space", "--dry-run"]) == 2
    assert "push a folder that `panollava space` wrote" in capsys.readouterr().err
    assert run(["push", str(space), "owner/pano", "--dry-run"]) == 2
    assert "push a folder that `panollava export` wrote" in capsys.readouterr().err
