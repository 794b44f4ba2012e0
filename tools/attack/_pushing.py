"""Exports and pushes: config files, results and model cards of any content; a Hub that never answers."""

import json
from pathlib import Path
from random import Random
from typing import Any

from tools.attack._checkpoints import source
from tools.attack._commands import command
from tools.attack._kinds import Attempt, kind
from tools.attack._mutations import TEXTS, json_bytes, mutate_bytes, mutate_tree, value

RESULT = {"dataset_type": "owner/x", "dataset_name": "X", "metric_type": "accuracy", "metric_value": 0.5}
EVALUATION = {
    "exact_match": 0.5,
    "families": {"where": {"exact_match": 0.5}},
    "data": {"source": "data/x", "split": "test"},
    "captions": {"bleu4": 0.1},
}


def push(folder: Path, attempt: Attempt) -> None:
    """Show what a push of the folder would send; nothing is sent."""
    command(["push", str(folder), attempt.values["repository"], "--dry-run", *attempt.values.get("more", ())])


@kind("push.folder", push, weight=2)
def pushed(rng: Random, number: int) -> Attempt:
    """Exported folders with config.json of any value, cards that are not UTF-8, missing and additional files."""
    auto_map: Any = {"AutoConfig": "configuration_panollava.C", "AutoModel": "modeling_panollava.C"}
    configs = (
        None,
        [],
        5,
        "x",
        {},
        {"auto_map": 5},
        {"auto_map": []},
        {"auto_map": {"a": 5}},
        {"auto_map": {"a": ["b"]}},
    )
    config: Any = {"auto_map": auto_map}
    if number % 2:
        config = configs[number // 2 % len(configs)]
    elif rng.random() < 0.6:
        config = mutate_tree(rng, config)
    files = {
        "config.json": json_bytes(rng, config),
        "model.safetensors": b"",
        "README.md": rng.choice((b"# x\n", b"\xff\xfe", b"", b"---\na: [\n---\n")),
        "configuration_panollava.py": b"",
        "modeling_panollava.py": b"",
    }
    if rng.random() < 0.2:
        del files[rng.choice(list(files))]
    names = ("owner/name", "owner/name", "owner/name", "name", "a/b/c", "owner/..", "", *TEXTS[:12])
    tags = ((), (), (), ("--tag", "v1"), ("--tag", rng.choice([t for t in TEXTS[:12] if t != "\0"])))
    return Attempt(files, {"repository": rng.choice([n for n in names if n != "\0"]), "more": rng.choice(tags)})


def card(folder: Path, attempt: Attempt) -> None:
    """Read results and write a model card with them; its front matter holds what was meant and nothing else."""
    from huggingface_hub import ModelCard
    from panollava_hf import PanoLLaVaConfig
    from panollava_hf.hub import CardFacts, read_results, write_card

    facts: dict[str, Any] = dict(attempt.values["facts"])
    if (folder / "results.json").exists():
        facts["results"] = read_results(folder / "results.json")
    config = PanoLLaVaConfig.from_pretrained(source())
    history = attempt.values.get("history")
    if history is not None:
        config.training_history = history
    for part in (config.vision_config, config.text_config):
        part._name_or_path = attempt.values.get("tower", "")
    (folder / "card").mkdir()
    write_card(folder / "card", config, CardFacts(**facts))
    found = ModelCard.load(folder / "card" / "README.md")
    if (found.data.license or None) != (facts.get("license") or None):
        raise AssertionError(f"the licence became {found.data.license!r}")


@kind("card.results", card)
def results(rng: Random, number: int) -> Attempt:
    """Results of wrong types."""
    tree: Any = rng.choice(([RESULT, RESULT], EVALUATION))
    if rng.random() < 0.9:
        tree = mutate_tree(rng, tree)
    data = json_bytes(rng, tree)
    if rng.random() < 0.1:
        data = mutate_bytes(rng, data)
    return Attempt({"results.json": data}, {"facts": {"model_id": "owner/name", "license": "mit"}})


@kind("card.facts", card)
def facts(rng: Random, number: int) -> Attempt:
    """Names, licences and histories with line breaks, code blocks and front matter."""
    texts = (
        "a\nb",
        "x\n---\nlicense: gpl-3.0\n---\n",
        "```\ncode\n```",
        "a`b`",
        "{{ 7*7 }}",
        "a|b",
        "<script>",
        "[x](y)",
        *TEXTS[:6],
    )
    given: dict[str, Any] = {"model_id": "owner/name", "license": "mit"}
    for name in ("model_id", "converted_from", "stage"):
        if rng.random() < 0.5:
            given[name] = rng.choice(texts)
    if rng.random() < 0.3:
        given["datasets"] = (rng.choice(texts),)
    entry = {"stage": "vicreg", "steps": 20, "panoramas_per_step": 16, "mean_loss": 17.25, "seconds": 90}
    history = mutate_tree(rng, [entry]) if rng.random() < 0.5 else [entry]
    return Attempt(values={"facts": given, "history": history, "tower": rng.choice(texts)})


def silent_hub(folder: Path, attempt: Attempt) -> None:
    """Push to a server that accepts connections and never answers."""
    import socket

    import huggingface_hub
    import panollava_hf.hub._push as module
    from panollava_hf.hub import plan_push, push

    module.TIMEOUT = 1.0
    huggingface_hub.constants.HF_HUB_OFFLINE = False
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)
    try:
        plan = plan_push(folder, "owner/name")
        push(plan, token="hf_secret8k", endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = True
        listener.close()


@kind("push.silent", silent_hub, weight=0.1)
def silent(rng: Random, number: int) -> Attempt:
    """A complete folder for a Hub that never answers."""
    files = {
        "config.json": json.dumps({"auto_map": {"AutoConfig": "configuration_panollava.C"}}).encode(),
        "model.safetensors": bytes(8),
        "README.md": b"# x\n",
        "configuration_panollava.py": b"",
    }
    return Attempt(files, must_fail=True, secret="hf_secret8k")


def options(folder: Path, attempt: Attempt) -> None:
    """Any command with odd values."""
    command(attempt.values["arguments"], codes=(0, 1))


@kind("command.options", options, weight=2)
def odd_options(rng: Random, number: int) -> Attempt:
    """Commands with paths, models, devices and texts that are wrong in many ways."""
    texts = [text for text in TEXTS if "\0" not in text and "\ud800" not in text and len(text) < 1000]
    text = rng.choice(
        [
            *texts,
            "/proc/nope",
            "a [final]",
            "x[/]",
            "missing",
            ".",
            "/dev/null",
            "nofolder/x",
            "gpu",
            str(value(rng))[:99],
        ]
    )
    text = text.replace("\0", "").replace("\ud800", "")
    forms = (
        ["ask", text, "What?"],
        ["ask", "x.png", "What?", "--model", text],
        ["ask", "x.png", text, "--max-new-tokens", "1"],
        ["ask", "x.png", "What?", "--save-views", text, "--max-new-tokens", "1"],
        ["ask", "x.png", "What?", "--device", text],
        ["crop", text, "-o", "out"],
        ["crop", "x.png", "-o", text, "--size", "8"],
        ["join", "out", "--vision", text, "--text", text],
        ["convert", "--lightning-ckpt", text, "--output-dir", "out"],
        ["data", "check", text],
        ["data", "check", "t.csv", "--fix", text],
        ["eval", "--data", text, "--output", "out"],
        ["eval", "--data", "t.csv", "--output", text, "--max-new-tokens", "1"],
        ["train", "--config", text],
        ["train", "--config", "tiny", "--set", text],
        ["export", text],
        ["export", "out", "--model", text],
        ["export", "out", "--results", text],
        ["push", text, "owner/name", "--dry-run"],
        [text],
        [text, text],
    )
    return Attempt(
        {"x.png": _png(), "t.csv": b"image,question,answer\nx.png,What?,A room\n"},
        {"arguments": forms[number % len(forms)]},
    )


def _png() -> bytes:
    from tools.attack._images import base

    return base("PNG")
