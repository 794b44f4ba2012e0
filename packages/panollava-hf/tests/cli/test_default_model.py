"""Which model is used when none is named: a notice, the ways out, and nothing that is substituted silently."""

import http.server
import importlib.util
import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from panollava_hf.asking import _default_model
from panollava_hf.asking._default_model import DEFAULT_MODEL, chosen_model, needs_download


def loopback():
    path = Path(__file__).parents[1] / "hub" / "loopback.py"
    spec = importlib.util.spec_from_file_location("panollava_loopback", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def in_process(program, home, **variables):
    """Run a program with its own cache; the Hub's deadline is short."""
    setup = "import json, sys\nfrom panollava_hf.outside import _hub_source\n_hub_source.DEADLINE = 1.0\n"
    own = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_XET": "1", **variables}
    return subprocess.run(
        [sys.executable, "-c", setup + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**{name: value for name, value in os.environ.items() if name != "PANOLLAVA_MODEL"}, **own},
    )


NOTICE = """
from panollava_hf._errors import ModelError
from panollava_hf.asking._default_model import default_notice
try:
    print(default_notice())
except ModelError as error:
    print("ERROR", error)
assert not {"torch", "transformers"} & sys.modules.keys()
"""


def test_the_order_in_which_a_model_is_chosen(monkeypatch):
    monkeypatch.delenv("PANOLLAVA_MODEL", raising=False)
    assert chosen_model() == DEFAULT_MODEL
    monkeypatch.setenv("PANOLLAVA_MODEL", " embedded ")
    assert chosen_model() == "embedded"
    assert chosen_model("other/model") == "other/model"
    monkeypatch.setenv("PANOLLAVA_MODEL", " ")
    assert chosen_model() == DEFAULT_MODEL


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "offline mode, HF_HUB_OFFLINE"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "Connection refused"),
        ({"HF_ENDPOINT": "elsewhere"}, "UnsupportedProtocol"),
    ],
    ids=["offline", "unreachable", "not a URL"],
)
def test_without_a_network_one_line_names_three_ways_out(tmp_path, panorama_file, variables, reason):
    program = f"""
    from panollava_hf.cli import run
    code = run(["ask", {str(panorama_file)!r}, "What is behind me?"])
    assert not {{"torch", "transformers"}} & sys.modules.keys()
    sys.exit(code)
    """
    done = in_process(program, tmp_path, **variables)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith(
        f"panollava: the default model {DEFAULT_MODEL} is neither in the local cache nor reachable ("
    )
    assert reason in line
    assert all(way in line for way in ("connect to the network", "--base-url", "--model embedded"))


def test_an_address_of_the_hub_that_cannot_be_read_is_one_line(tmp_path, panorama_file):
    program = f"""
    from panollava_hf.cli import run
    sys.exit(run(["ask", {str(panorama_file)!r}, "What is behind me?"]))
    """
    done = in_process(program, tmp_path, HF_ENDPOINT="http://127.0.0.1:port")
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert "the environment variable HF_ENDPOINT is not a URL" in line


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_hub_that_refuses_is_named_with_its_status(tmp_path, status):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            done = in_process(NOTICE, tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
    assert f"neither in the local cache nor reachable (HTTP status {status}); connect to the network" in done.stdout


@pytest.fixture
def hub():
    """A Hub that has a model of the default's name, in two files of weights."""
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    with loopback().Hub() as hub:
        repository = hub.repositories[DEFAULT_MODEL] = sys.modules["panollava_loopback"].Repository(private=False)
        files = {
            "config.json": b'{"model_type": "qwen3_vl", "vision_config": {}, "text_config": {}}',
            "model.safetensors.index.json": json.dumps(index).encode(),
            "model-00001-of-00002.safetensors": b"x" * 9,
            "model-00002-of-00002.safetensors": b"y" * 9,
        }
        repository.commit("main", files, "all")
        yield hub


def test_the_notice_says_which_how_large_and_under_which_licence(hub, tmp_path):
    fetch = f"_hub_source.find_source({DEFAULT_MODEL!r}, %r)\n"
    new = in_process(NOTICE, tmp_path, HF_ENDPOINT=hub.endpoint)
    assert new.stdout.splitlines() == [
        f"downloading the default model {DEFAULT_MODEL} (2.1 billion parameters, 4.3 GB, Apache 2.0); "
        "name another with --model or PANOLLAVA_MODEL."
    ], new.stderr
    part = in_process(fetch % "config" + textwrap.dedent(NOTICE), tmp_path, HF_ENDPOINT=hub.endpoint)
    assert part.stdout.startswith("downloading"), "the config alone is not the model"
    part = in_process(NOTICE, tmp_path, HF_HUB_OFFLINE="1")
    assert part.stdout.startswith("ERROR the default model"), "the weights cannot be fetched"
    whole = in_process(fetch % "everything" + textwrap.dedent(NOTICE), tmp_path, HF_ENDPOINT=hub.endpoint)
    assert whole.stdout.startswith(f"using the default model {DEFAULT_MODEL} (Apache 2.0); name another"), whole.stderr
    later = in_process(NOTICE, tmp_path, HF_HUB_OFFLINE="1")
    assert later.stdout == whole.stdout


def test_what_needs_no_download(tmp_path, monkeypatch):
    assert not needs_download("embedded")
    assert not needs_download(str(tmp_path))
    assert not needs_download("./nothing here")
    assert needs_download("owner/never-seen")


def test_its_size_is_that_of_its_config():
    """The figures of its published config; weights of 2 bytes."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = {
        "hidden_size": 2048,
        "num_hidden_layers": 28,
        "intermediate_size": 6144,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    }
    vision = {
        "hidden_size": 1024,
        "depth": 24,
        "intermediate_size": 4096,
        "num_heads": 16,
        "out_hidden_size": 2048,
        "deepstack_visual_indexes": [5, 11, 17],
    }
    config = Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert _default_model.DEFAULT_SIZE == f"{count / 1e9:.1f} billion parameters, {2 * count / 1e9:.1f} GB"


def test_python_says_it_too(tmp_path):
    program = "from panollava_hf import Answerer\nfrom panollava_hf._errors import ModelError\n"
    program += "try:\n    Answerer.load()\nexcept ModelError as error:\n    print(error)\n"
    done = in_process(program, tmp_path, HF_HUB_OFFLINE="1")
    assert "is neither in the local cache nor reachable (offline mode" in done.stdout
    fetched = textwrap.dedent("""
    _hub_source.DEADLINE = 1.0
    from panollava_hf.asking.models import _load
    _load.default_notice = lambda: "using the default model"
    _load.model_type = lambda name: sys.exit(name)
    from panollava_hf import Answerer
    Answerer.load()
    """)
    done = in_process(fetched, tmp_path, HF_HUB_OFFLINE="1")
    assert done.stderr.splitlines() == ["using the default model", DEFAULT_MODEL]
