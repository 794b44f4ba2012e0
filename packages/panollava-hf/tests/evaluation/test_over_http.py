"""`panollava eval` with an endpoint over loopback HTTP, and with a tiny model of transformers."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from panollava_hf.cli import run
from stand_in import RING, draw, seen, write_folder

KEY = "sk-loopbackKeyThatMustNeverBePrinted"
SMALL = ["--view-size", "96", "--max-new-tokens", "4"]


def helper(name):
    path = Path(__file__).parents[1] / "asking" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_of_the_evaluation", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


loopback = helper("loopback")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def patches(shapes, tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("patches") / "data", shapes)


def finds_patch(request):
    """A model that finds the red patch in the images or descriptions of a request, and nothing else."""
    content = request["messages"][-1]["content"]
    content = [{"type": "text", "text": content}] if isinstance(content, str) else content
    yaw = seen(content)
    if "where is the red sphere?" in content[-1]["text"].lower() and "facing" not in content[-1]["text"].lower():
        return "nowhere" if yaw is None else RING[round(yaw / 45) % 8]
    return "nothing" if yaw is None else f"red at {yaw:.0f} degrees"


def evaluate(data, output, server, *more):
    arguments = ["--data", data, "--output", output, "--base-url", server.url, "--model", "m", *SMALL, *more]
    return run(["eval", *map(str, arguments)])


def lines_of(output, name="predictions.jsonl"):
    return [json.loads(line) for line in (output / name).read_text().split("\n")[:-1]]


def table(folder, count, options=("a door", "a window"), answer="B"):
    folder.mkdir()
    draw(0).save(folder / "a.png")
    rows = [
        {"image": "a.png", "question": f"What is in place {place}?", "options": options, "answer": answer}
        for place in range(count)
    ]
    path = folder / "table.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("strategy", ["views", "describe", "zoom"])
def test_the_probes_show_that_the_images_are_used(patches, tmp_path, capsys, strategy):
    output = tmp_path / "out"
    with loopback.serve(finds_patch) as server:
        probes = ["--shuffle-images", "--rotate", "random", "--strategy", strategy]
        assert evaluate(patches, output, server, *probes) == 0
    results = json.loads((output / "results.json").read_text())
    assert results["exact_match"] == 1.0
    assert results["shuffled_images"]["exact_match"] <= results["shuffled_images"]["answer_prior"]
    assert results["rotated"]["exact_match"] == results["rotated"]["consistency"] == 1.0
    assert results["settings"]["strategy"] == strategy
    assert "errors" not in results
    for request in server.requests:
        assert list(loopback.images(request)), "each request shows something"
    kept = "".join(path.read_text() for path in output.iterdir() if path.suffix != ".png")
    assert KEY not in kept + "".join(capsys.readouterr())


def test_a_refused_row_is_no_wrong_answer_and_is_asked_again(tmp_path, capsys):
    data, output = table(tmp_path / "data", 6), tmp_path / "out"

    def answer(request):
        text = request["messages"][-1]["content"][-1]["text"]
        return loopback.failed(400, f"not allowed with {KEY}") if "place 3" in text else "The answer is **B**."

    with loopback.serve(lambda request: now(request)) as server:
        now = answer
        assert evaluate(data, output, server) == 0
        out, err = capsys.readouterr()
        assert "the model failed to answer 1 question" in err
        assert "6 questions about 1 panorama;" in out
        assert out.count("| family |") == 1, "no question is compared with a text, so there is no table of that"
        results = json.loads((output / "results.json").read_text())
        assert (results["choices"]["accuracy"], results["choices"]["count"]) == (1.0, 5)
        assert results["errors"]["questions"]["count"] == 1
        (failed,) = [line for line in lines_of(output) if "error" in line]
        assert (failed["row"], failed["prediction"], failed["correct"], "choice" in failed) == (3, None, None, False)
        assert KEY not in out + err + (output / "predictions.jsonl").read_text()
        asked = len(server.requests)
        now = lambda request: "(b) a window"  # noqa: E731
        assert evaluate(data, output, server) == 0
        assert len(server.requests) == asked + 1
    results = json.loads((output / "results.json").read_text())
    assert (results["choices"]["accuracy"], results["choices"]["count"]) == (1.0, 6)


@pytest.mark.parametrize(("status", "reason"), [(401, "401"), (400, "no image please")])
def test_a_server_that_answers_nothing_ends_the_run(tmp_path, capsys, status, reason):
    data, output = table(tmp_path / "data", 40), tmp_path / "out"
    with loopback.serve(loopback.failed(status, f"no image please {KEY}")) as server:
        assert evaluate(data, output, server, "--batch-size", "4") == 2
        assert len(server.requests) < 20
    out, err = capsys.readouterr()
    (line,) = err.strip().splitlines()
    assert out == ""
    assert reason in line
    assert KEY not in line
    assert not (output / "results.json").exists()


def test_a_dry_run_leaves_out_what_the_evaluation_leaves_out(tmp_path, capsys):
    data = table(tmp_path / "data", 2)
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    (tmp_path / "data" / "broken.png").write_bytes(b"no image")
    rows.insert(0, {**rows[0], "image": "broken.png"})
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with loopback.serve("B") as server:
        assert evaluate(data, tmp_path / "out", server, "--dry-run") == 2
        assert "broken.png" in capsys.readouterr().err
        assert evaluate(data, tmp_path / "out", server, "--dry-run", "--skip-bad") == 0
        assert capsys.readouterr().out.startswith("3 questions about 2 panoramas, strategy views: at most 3 calls")
        assert not server.requests
        assert evaluate(data, tmp_path / "out", server, "--skip-bad") == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text())["choices"]["count"] == 2
    capsys.readouterr()


def test_a_dry_run_follows_no_redirect_to_a_private_address(monkeypatch, tmp_path, capsys):
    from panollava_hf.evaluation import _panoramas

    guards = []
    original = _panoramas.untrusted_addresses
    monkeypatch.setattr(_panoramas, "untrusted_addresses", lambda option: guards.append(option) or original(option))
    with loopback.serve("B") as server:
        assert evaluate(table(tmp_path / "data", 1), tmp_path / "out", server, "--dry-run") == 0
    assert guards == ["--private-redirects"]
    capsys.readouterr()


def test_a_model_of_transformers(tmp_path, capsys):
    tiny = helper("tiny_vlm")
    if tiny.is_missing("qwen3_vl"):
        pytest.skip("this release of transformers does not have Qwen3-VL")
    model, processor = tiny.TINY["qwen3_vl"].build()
    folder = tmp_path / "qwen3-vl"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    data, output = table(tmp_path / "data", 3), tmp_path / "out"
    arguments = ["--data", data, "--output", output, "--model", folder, "--view-size", "56", "--max-new-tokens", "2"]
    assert run(["eval", *map(str, arguments), "--device", "cpu"]) == 0
    results = json.loads((output / "results.json").read_text())
    assert results["choices"]["count"] == 3
    first = lines_of(output)
    (output / "predictions.jsonl").write_text(json.dumps(first[0]) + "\n" + '{"row": 1, "pred')  # killed while writing
    assert run(["eval", *map(str, arguments), "--device", "cpu"]) == 0
    assert lines_of(output) == first
    assert json.loads((output / "results.json").read_text())["answered_before"] == 1
    capsys.readouterr()
