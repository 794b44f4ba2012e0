"""`panollava push` against a local HTTP server with the protocol of the Hub."""

import json
import re

import pytest


def test_push_makes_one_private_tagged_commit_whose_card_works(
    served, embedded_export, clean_run, tmp_path, scene_file
):
    hub, done = served
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["owner/pano.v1"]
    assert repository.private
    assert repository.messages == ["initial commit", "Upload v0.1.0"]
    assert repository.tags == {"v0.1.0": done.stdout.strip()} == {"v0.1.0": repository.branches["main"]}
    files = repository.commits[repository.branches["main"]]
    assert set(files) == {path.name for path in embedded_export.iterdir()} | {".gitattributes"}
    unchanged = set(files) - {".gitattributes", "README.md"}
    assert all(files[name] == (embedded_export / name).read_bytes() for name in unchanged)
    assert hub.token not in done.stdout + done.stderr

    card = files["README.md"].decode()
    assert 'model_id, revision = "owner/pano.v1", "v0.1.0"' in card
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    (tmp_path / "panorama.jpg").write_bytes(scene_file.read_bytes())
    answer = clean_run(tmp_path / "example.py", endpoint=hub.endpoint, token=hub.token)
    assert answer.stdout.strip()


SECOND_PUSH = """
import sys
from pathlib import Path
from huggingface_hub import CommitOperationAdd, HfApi
from panollava_hf._errors import PushError
from panollava_hf.hub import plan_push, push

folder = Path(sys.argv[1])
(folder / "chat_old.py").write_text("")
print(push(plan_push(folder, "owner/pano", tag="v1")))
(folder / "chat_old.py").unlink()
others = [CommitOperationAdd(name, b"...") for name in ("image.png", "old-00001.safetensors", "notes.txt")]
print(HfApi().create_commit("owner/pano", others, commit_message="other files").oid)
try:
    push(plan_push(folder, "owner/pano", tag="v1"))
except PushError as error:
    print(error)
print(push(plan_push(folder, "owner/pano", tag="v2")))
"""


def test_a_second_push_replaces_code_and_weights_and_keeps_the_rest(own_copy, embedded_export, client_run, hub):
    folder = own_copy(embedded_export)
    done = client_run(SECOND_PUSH, folder, endpoint=hub.endpoint, token=hub.token)
    first, between, refusal, second = done.stdout.strip().splitlines()
    repository = hub.repositories["owner/pano"]
    assert list(repository.commits)[1:] == [first, between, second]
    assert "already has a tag v1" in refusal
    assert {"image.png", "old-00001.safetensors", "chat_old.py"} <= set(repository.commits[between])
    assert set(repository.commits[second]) & {"image.png", "notes.txt", "old-00001.safetensors", "chat_old.py"} == {
        *("image.png", "notes.txt")
    }
    assert repository.tags == {"v1": first, "v2": second}


REFUSED = """
import os, sys
from panollava_hf.cli import run

good, os.environ["HF_TOKEN"] = os.environ["HF_TOKEN"], "hf_wrongToken"
print(run(["push", sys.argv[1], "owner/pano"]))
os.environ["HF_TOKEN"] = good
print(run(["push", sys.argv[1], "owner/pano", "--public"]))
"""


def test_a_refused_or_failed_push_changes_nothing_and_prints_no_token(embedded_export, client_run, hub):
    hub.broken = "/commit/"
    done = client_run(REFUSED, embedded_export, endpoint=hub.endpoint, token=hub.token)
    assert done.stdout.split() == ["2", "2"]
    errors = [line for line in done.stderr.splitlines() if line.startswith("panollava: cannot push to owner/pano: ")]
    assert len(errors) == 2
    assert "401" in errors[0]
    assert "500" in errors[1]
    for secret in (hub.token, "hf_wrong", "Traceback"):
        assert secret not in done.stderr
    assert not hub.repositories["owner/pano"].private
    assert hub.repositories["owner/pano"].messages == ["initial commit"]


def test_a_hub_that_cannot_be_reached(embedded_export, client_run):
    code = "import sys; from panollava_hf.cli import run; print(run(['push', sys.argv[1], 'owner/pano']))"
    done = client_run(code, embedded_export, endpoint="http://127.0.0.1:9", token="hf_secretToken")
    assert done.stdout.strip() == "2"
    assert "panollava: cannot push to owner/pano: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "hf_secret" not in done.stderr


def test_the_cause_of_a_failed_upload_is_reported_without_the_token(embedded_export, monkeypatch):
    from panollava_hf.hub import _push as module

    class Api:
        def __init__(self, **options):
            pass

        def create_repo(self, *arguments, **options):
            raise RuntimeError("Error while uploading 'model.safetensors'") from OSError("refused hf_secretToken")

    monkeypatch.setattr(module, "HfApi", Api)
    with pytest.raises(module.PushError, match=r"uploading 'model.safetensors' \(refused \*\*\*\)"):
        module.push(module.plan_push(embedded_export, "owner/pano"), token="hf_secretToken")


def test_a_dry_run_sends_nothing(embedded_export, capsys, monkeypatch):
    from panollava_hf.cli import run

    def no_network(*arguments, **options):
        raise AssertionError("a dry run asked the network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    assert run(["push", str(embedded_export), "owner/pano", "--tag", "v1.0.0", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert all(path.name in shown for path in embedded_export.iterdir())
    assert "to owner/pano (private if new) and tag it v1.0.0; nothing was sent." in shown


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (lambda f: (f / "config.json").unlink(), ["owner/pano"], "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), ["owner/pano"], "config.json: this is not valid JSON"),
        (lambda f: (f / "config.json").write_text("{}"), ["owner/pano"], "run `panollava export` first"),
        (lambda f: (f / "modeling_panollava.py").unlink(), ["owner/pano"], "it lacks modeling_panollava.py"),
        (lambda f: (f / "model.safetensors").unlink(), ["owner/pano"], "it lacks the weights (*.safetensors)"),
        (lambda f: (f / "notes").mkdir(), ["owner/pano"], "contains notes: remove subfolders and links"),
        (lambda f: (f / "key").symlink_to("/etc/hosts"), ["owner/pano"], "contains key: remove subfolders and links"),
        (lambda f: None, ["pano"], "write owner/name"),
        (lambda f: None, ["owner/a b"], "owner/a b"),
        (lambda f: None, ["owner/pano", "--tag", "v 1"], "'v 1' is not a valid tag"),
    ],
)
def test_what_cannot_be_pushed_is_reported_in_one_line(own_copy, embedded_export, capsys, spoil, arguments, message):
    from panollava_hf.cli import run

    folder = own_copy(embedded_export)
    spoil(folder)
    assert run(["push", str(folder), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.strip().splitlines()
    assert line.startswith("panollava: ")
    assert message in line


PARTS = """
import json
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration, PanoLLaVaProcessor
from panollava_hf import default_checkpoint
from transformers import AutoModelForImageTextToText, AutoProcessor

for kind in (PanoLLaVaConfig, PanoLLaVaProcessor, PanoLLaVaForConditionalGeneration):
    kind.from_pretrained(default_checkpoint()).push_to_hub("owner/parts")
model, info = AutoModelForImageTextToText.from_pretrained("owner/parts", output_loading_info=True)
processor = AutoProcessor.from_pretrained("owner/parts")
print(json.dumps([type(model).__name__, type(processor).__name__, any(info.values())]))
"""


def test_push_to_hub_of_the_three_parts(hub, client_run):
    """transformers' own `push_to_hub`, between two users who both have the package."""
    done = client_run(PARTS, endpoint=hub.endpoint, token=hub.token)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer == ["PanoLLaVaForConditionalGeneration", "PanoLLaVaProcessor", False]
    repository = hub.repositories["owner/parts"]
    files = set(repository.commits[repository.branches["main"]])
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= files


SILENT = """
import socket, sys, time
from pathlib import Path
from huggingface_hub import get_session
from panollava_hf._errors import PushError
from panollava_hf.hub import _push, plan_push, push

_push.TIMEOUT = 0.3
listener = socket.create_server(("127.0.0.1", 0), backlog=50)  # accepts, and never answers
before = time.monotonic()
try:
    push(plan_push(Path(sys.argv[1]), "owner/pano"), endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}")
except PushError as error:
    print(time.monotonic() - before < 60, str(error).count("\\n"))
print(getattr(get_session(), "timeout", None) is None or get_session().timeout.read is None)
"""


def test_a_silent_hub_ends_in_one_line(embedded_export, client_run):
    done = client_run(SILENT, embedded_export, endpoint="http://127.0.0.1:9", token="hf_secretToken")
    assert done.stdout.split() == ["True", "0", "True"], "the error came in time, and later requests have no limit"


def test_a_limit_for_the_old_client_of_requests():
    from panollava_hf.hub._push import _limited_session

    class Session:
        def send(self, request, **options):
            return options

    session = _limited_session(Session(), 7.0)
    assert session.send(None, timeout=None, stream=True) == {"timeout": 7.0, "stream": True}
    assert session.send(None) == {"timeout": 7.0}
    assert session.send(None, timeout=3) == {"timeout": 3}


CONFIG = "config.json"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (CONFIG, "null", "expected a JSON object, got null"),
        (CONFIG, "[]", "expected a JSON object, got a list"),
        (CONFIG, '"text"', "expected a JSON object, got a text"),
        (CONFIG, '{"auto_map": 5}', "auto_map is a number, expected an object"),
        (CONFIG, '{"auto_map": ["modeling_panollava.C"]}', "auto_map is a list, expected an object"),
        (CONFIG, '{"auto_map": {"AutoModel": 5}}', "auto_map names 5; expected module.Class"),
        (CONFIG, '{"auto_map": {"AutoModel": ["a.B", {}]}}', "auto_map names {}"),
        (CONFIG, '{"auto_map": {"AutoModel": "other/repository--evil.C"}}', "a class of this folder's code"),
        (CONFIG, '{"auto_map": {"AutoModel": "../evil.C"}}', "a class of this folder's code"),
        (CONFIG, '{"auto_map": {"AutoModel": "evil.C"}}', "it lacks evil.py"),
        (CONFIG, "[" * 100_000, "this is not valid JSON"),
        (CONFIG, "\udc80", "this is not valid JSON"),
        ("processor_config.json", "[]", "processor_config.json: expected a JSON object"),
        ("processor_config.json", '{"auto_map": {"AutoProcessor": "o/r--evil.C"}}', "processor_config.json: auto_map"),
        ("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": [null, "evil.C"]}}', "it lacks evil.py"),
        ("README.md", "\udcff", "README.md is not UTF-8"),
    ],
)
def test_files_of_an_export_are_checked_before_they_are_trusted(
    own_copy, embedded_export, capsys, name, content, message
):
    from panollava_hf.cli import run

    folder = own_copy(embedded_export)
    (folder / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert run(["push", str(folder), "owner/pano", "--dry-run"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.strip().splitlines()
    assert line.startswith(f"panollava: cannot push {folder}: ")
    assert message in line
    assert len(line) < 1000


@pytest.mark.parametrize("part", [*("owner/" + "n" * 500, "o" * 100_000, "owner/a\nb", "../etc"), ""])
def test_names_in_messages_have_a_bounded_length(embedded_export, capsys, part):
    from panollava_hf.cli import run

    assert run(["push", str(embedded_export), part, "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert len(line) < 1000


def test_messages_hold_no_signed_addresses():
    from panollava_hf.hub._push import _without_secrets

    text = "403 for url: https://u:pw@s3.test/a?X-Amz-Signature=abc#frag (Request ID: 1)\nhf_token12 " + "x" * 9000
    shown = _without_secrets(text, "hf_token12")
    assert shown.startswith("403 for url: https://s3.test/a (Request ID: 1) *** xxx")
    assert len(shown) == 500
