"""`panollava space`: the folder, and what it refuses to overwrite."""

import ast
import json
import shutil
from importlib.metadata import requires, version

import pytest
import yaml
from packaging.requirements import Requirement
from panollava_hf.cli import run
from PIL import Image


def front_matter(folder):
    _, front, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "space"
    assert run(["space", str(folder)]) == 0
    return folder


@pytest.fixture
def space(written, tmp_path):
    return shutil.copytree(written, tmp_path / "space")


def test_the_configuration_is_what_the_hub_expects(space):
    front = front_matter(space)
    assert front["sdk"] == "gradio"
    assert front["license"] == "mit"
    assert front["models"] == []
    assert front["suggested_hardware"] == "cpu-basic"
    assert (space / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60
    assert tuple(map(int, front["python_version"].split("."))) >= (3, 11)
    assert isinstance(front["sdk_version"], str)


def test_the_requirements_are_one_gradio_and_this_release(space):
    lines = (space / "requirements.txt").read_text().splitlines()
    found = {r.name: r for r in (Requirement(line) for line in lines if not line.startswith("--"))}
    sdk = front_matter(space)["sdk_version"]
    assert str(found["gradio"].specifier) == f"=={sdk}"
    extra = [Requirement(r) for r in requires("panollava-hf") if "extra ==" in r]
    (ours,) = [r for r in extra if r.name == "gradio" and r.marker.evaluate({"extra": "demo"})]
    assert sdk in ours.specifier, "the extra accepts the version of the Space"
    assert str(found["panollava-hf"]) == f"panollava-hf[demo]=={version('panollava-hf')}"


def test_the_app_runs_the_command_with_the_model_and_the_samples(space, monkeypatch):
    calls = []
    monkeypatch.setattr("panollava_hf.cli.run", lambda arguments: calls.append(arguments) or 0)
    for name in ("PANOLLAVA_MODEL", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    app = compile((space / "app.py").read_text(encoding="utf-8"), str(space / "app.py"), "exec")
    for variables in ({}, {"SPACE_ID": "owner/rooms"}, {"PANOLLAVA_MODEL": "a/b", "GRADIO_SERVER_PORT": "1234"}):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            exec(app, {"__name__": "__main__", "__file__": str(space / "app.py")})
        assert ended.value.code == 0
        for name in variables:
            monkeypatch.delenv(name)
    options = [dict(zip(call[1::2], call[2::2], strict=True)) for call in calls]
    assert [call[0] for call in calls] == ["demo"] * 3
    assert [o["--host"] for o in options] == ["127.0.0.1", "0.0.0.0", "127.0.0.1"], "open to others on the Hub only"
    assert [o["--port"] for o in options] == ["7860", "7860", "1234"]
    assert [o["--model"] for o in options] == ["embedded", "embedded", "a/b"]
    assert {o["--samples"] for o in options} == {str(space / "samples")}


def test_every_sample_is_a_panorama_with_a_source_and_a_licence(space):
    sources = (space / "samples" / "SOURCES.md").read_text(encoding="utf-8")
    images = [path for path in (space / "samples").iterdir() if path.suffix == ".jpg"]
    assert images
    for path in images:
        with Image.open(path) as image:
            assert image.width == 2 * image.height
        (row,) = [line for line in sources.splitlines() if f"`{path.name}`" in line]
        assert "| mit |" in row or "| cc0-1.0 |" in row
        assert f"`samples/{path.name}`" in (space / "README.md").read_text(encoding="utf-8")


def test_another_model_with_a_title_that_needs_quotes(tmp_path, monkeypatch):
    monkeypatch.setattr("panollava_hf.cli._space.check_model", lambda model: "qwen3_vl")
    title = "Rooms: \"ours\" \\ 'yours' # 1 🏠"
    folder = tmp_path / "space"
    assert run(["space", str(folder), "--model", "owner/name", "--title", title]) == 0
    front = front_matter(folder)
    assert front["title"] == title
    assert front["models"] == front["preload_from_hub"] == ["owner/name"]
    assert front["suggested_hardware"] == "t4-small"
    assert "download.pytorch.org/whl/cpu" not in (folder / "requirements.txt").read_text(), "a GPU needs CUDA"
    ast.parse((folder / "app.py").read_text(encoding="utf-8"))
    assert run(["space", str(tmp_path / "cpu"), "--model", "owner/name", "--hardware", "cpu-upgrade"]) == 0
    assert "download.pytorch.org/whl/cpu" in (tmp_path / "cpu" / "requirements.txt").read_text()


def test_a_space_is_written_again_and_hidden_files_stay(space, monkeypatch):
    (space / ".git").mkdir()
    (space / ".git" / "config").write_text("kept")
    old = json.loads((space / "panollava-space.json").read_text())
    (space / "samples" / "old.jpg").write_bytes(b"old")
    from panollava_hf.hub._space import digest

    old["files"]["samples/old.jpg"] = digest(b"old")  # as an earlier release wrote it
    (space / "panollava-space.json").write_text(json.dumps(old))
    assert run(["space", str(space), "--title", "Two"]) == 0
    assert front_matter(space)["title"] == "Two"
    assert (space / ".git" / "config").read_text() == "kept"
    assert not (space / "samples" / "old.jpg").exists()


def replace_samples_by_a_link(folder):
    (folder / "samples").rename(folder.parent / "elsewhere")
    (folder / "samples").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "app.py").write_text("mine"), "is a Space with app.py changed since it was written"),
        (lambda f: (f / "notes.txt").write_text("mine"), "is a Space with notes.txt added since it was written"),
        (replace_samples_by_a_link, "is a Space with samples added since it was written"),
        (lambda f: (f / "panollava-space.json").unlink(), "this path already exists; choose a new folder"),
        (lambda f: (f / "panollava-space.json").write_text("[]"), "expected a JSON object, got a list"),
    ],
)
def test_what_somebody_wrote_is_not_overwritten(space, capsys, change, message):
    change(space)
    before = content(space)
    capsys.readouterr()
    assert run(["space", str(space), "--title", "Two"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert content(space) == before


def test_a_fresh_clone_becomes_a_space(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitattributes").write_text("*.jpg filter=lfs\n")
    assert run(["space", str(tmp_path)]) == 0
    assert (tmp_path / ".gitattributes").read_text() == "*.jpg filter=lfs\n"
    assert (tmp_path / "app.py").is_file()


@pytest.mark.parametrize("again", [False, True])
def test_a_failed_write_leaves_the_folder_as_it_was(tmp_path, monkeypatch, again):
    from panollava_hf.demo import _space

    folder = tmp_path / "space"
    if again:
        assert run(["space", str(folder)]) == 0
    before = content(tmp_path)
    made = _space.space_files

    def with_a_bad_name(facts):
        return made(facts) | {"missing/folder/file": b""}

    monkeypatch.setattr(_space, "space_files", with_a_bad_name)
    assert run(["space", str(folder), "--title", "Two"]) == 2
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--title", ""], "--title '': expected 1 to 60 printable characters"),
        (["--title", "a\nb"], "expected 1 to 60 printable characters"),
        (["--title", "x" * 5000], "expected 1 to 60 printable characters"),
        (["--hardware", "h100"], "--hardware h100: expected one of cpu-basic, "),
        (["--model", "."], "--model .: a Space cannot read folders of this machine"),
        (["--model", "no/such"], "no/such: no such folder, and this model is not in the local cache"),
        (["--model", "not a name"], "not a name"),
    ],
)
def test_options_that_cannot_work(tmp_path, capsys, arguments, message):
    assert run(["space", str(tmp_path / "space"), *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("panollava: ")
    assert message in line
    assert len(line) < 1000
    assert not (tmp_path / "space").exists()
