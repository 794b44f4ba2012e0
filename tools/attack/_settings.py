"""Recipes, view plans, predictions of an evaluation and entries of the view cache."""

import inspect
import io
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tools.attack._commands import command
from tools.attack._kinds import Attempt, kind
from tools.attack._mutations import NUMBERS, TEXTS, encode, json_bytes, mutate_bytes, mutate_text, mutate_tree, value

#: Lines of YAML that are legal and dangerous: aliases that double, depth, tags that name Python objects, merge keys.
BILLION = "a0: &a0 [x]\n" + "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(9))
YAML = (
    BILLION + "output: *a9\n",
    "output: " + "[" * 20_000,
    "output: " + "{a: " * 5000 + "}" * 5000,
    'x: !!python/object/apply:os.system ["touch $PANOLLAVA_CANARY"]\n',
    'x: !!python/object/new:os.system ["touch $PANOLLAVA_CANARY"]\n',
    "&a [*a]\n",
    "output: &a {x: *a}\n",
    "<<: [1, 2]\n",
    "? [a, b]\n: 1\n",
    "output: 2026-02-31\n",
    "output: !!binary ====\n",
    "output: 0x" + "f" * 5000 + "\n",
    "output: " + "1" * 10_000 + "\n",
    "1: 2\nnull: 3\n",
    "stages: {vicreg: {steps: 1e400}}\n",
    "",
)


def recipe(folder: Path, attempt: Attempt) -> None:
    """Load a recipe; with the command as far as the table that it names, which does not exist."""
    from panollava_hf.training import load_recipe

    changes = attempt.values["changes"]
    if not attempt.values["command"]:
        load_recipe(str(folder / "r.yaml"), changes)
        return
    sets = [part for change in changes for part in ("--set", change)]
    command(["train", "--config", str(folder / "r.yaml"), *sets, "--set", "data.source=./missing.csv"])


@cache
def _recipe(name: str) -> str:
    from panollava_hf.training._recipe_file import shipped_recipes

    return shipped_recipes()[name].read_text(encoding="utf-8")


@kind("recipe.yaml", recipe, weight=3)
def recipes(rng: Random, number: int) -> Attempt:
    """Changed recipes, as texts and as values, and settings of the command line."""
    import yaml

    text = _recipe(rng.choice(("tiny", "original", "panoshapes")))
    what = rng.randrange(4)
    if what == 0:
        text = mutate_text(rng, text)
    elif what <= 2:
        tree = mutate_tree(rng, yaml.safe_load(text))
        try:
            text = yaml.safe_dump(tree, allow_unicode=True)
        except RecursionError:  # too deep to be written as YAML; JSON is YAML, too
            text = json.dumps(tree)
    else:
        text = YAML[number % len(YAML)] + (text if rng.random() < 0.3 else "")
    keys = (
        "stages.vicreg.steps",
        "data",
        "output",
        "model.config.fov_deg",
        "stages",
        "a.b",
        "",
        "stages.vicreg.data.roll",
    )
    changes = [
        f"{rng.choice(keys)}={rng.choice((*TEXTS[:20], *YAML[1:4], '1', '[', '1e9'))}" for _ in range(rng.randrange(2))
    ]
    changes = [change for change in changes if "\0" not in change]
    return Attempt({"r.yaml": encode(rng, text)}, {"changes": changes, "command": number % 6 == 0})


def plan(folder: Path, attempt: Attempt) -> None:
    """Read a view plan and use it on a small panorama."""
    import torch
    from panollava_geometry import ViewPlan, extract_views

    text = (folder / "plan.json").read_text(encoding="utf-8", errors="replace")
    found = ViewPlan.from_json(text)
    if len(found) <= 64:
        found.to_json()
        extract_views(torch.zeros(3, 16, 32, dtype=torch.uint8), found, 4)


def crop_by_plan(folder: Path, attempt: Attempt) -> None:
    """The same through the command."""
    from PIL import Image

    Image.new("RGB", (64, 32)).save(folder / "x.png")
    out = str(folder / "out")
    command(["crop", str(folder / "x.png"), "-o", out, "--plan", str(folder / "plan.json"), "--size", "4"])


def _plan(rng: Random) -> Attempt:
    from panollava_geometry import plan_views

    tree = mutate_tree(rng, plan_views(rng.choice(("anyres_e2p", "cubemap", "resize"))).to_dict())
    return Attempt({"plan.json": json_bytes(rng, tree)})


@kind("plan.json", plan, weight=2)
def plans(rng: Random, number: int) -> Attempt:
    """Changed view plans."""
    return _plan(rng)


@kind("plan.crop", crop_by_plan)
def cropped_plans(rng: Random, number: int) -> Attempt:
    """Changed view plans for `crop --plan`."""
    return _plan(rng)


ANSWERS = ("a room", "3", "left\u2028right", "a\x85b")


def asked(index: int) -> dict[str, Any]:
    """What a line of predictions says about its question."""
    known = {"row": index, "image": f"{index}.jpg", "family": "where"}
    return {**known, "question": "What?", "answer": ANSWERS[index]}


def predictions(folder: Path, attempt: Attempt) -> None:
    """Continue from a file of predictions, and check that what is read is what is computed."""
    from panollava_hf.evaluation._predictions import PredictionFile
    from panollava_hf.evaluation._questions import Question

    questions = [
        Question(i, f"t.csv, row {i + 1}", f"{i}.jpg", None, "What?", answer, "where")
        for i, answer in enumerate(ANSWERS)
    ]
    file = PredictionFile(folder / "predictions.jsonl", questions)
    for prediction in file.finish():
        expected = " ".join(prediction.text.lower().split()).rstrip(".") == prediction.question.answer
        if prediction.correct and prediction.text == "nonsense" and not expected:
            raise AssertionError("`correct` was believed, not computed")
    PredictionFile(folder / "predictions.jsonl", questions)


@kind("predictions.jsonl", predictions, weight=2)
def prediction_files(rng: Random, number: int) -> Attempt:
    """Files of predictions by others: rows of other types, line separators of Unicode, `correct` that is not."""
    rows = [{**asked(i), "prediction": t} for i, t in enumerate(("nonsense", "3", "left\u2028right", "a\x85b\u2029c"))]
    rows = [{**row, "correct": True} for row in rows]
    if rng.random() < 0.8:
        rows = mutate_tree(rng, rows, 2)
    if not isinstance(rows, list):
        rows = [rows]
    data = b"".join(json_bytes(rng, row, line=True) + rng.choice((b"\n", b"\n", b"\r\n")) for row in rows)
    return Attempt({"predictions.jsonl": mutate_bytes(rng, data, 1) if rng.random() < 0.2 else data})


@kind("predictions.own", predictions)
def own_predictions(rng: Random, number: int) -> Attempt:
    """What an evaluation writes itself, with texts of all kinds: it must be read again."""
    texts = [t for t in TEXTS if "\ud800" not in t]
    rows = [{**asked(i), "prediction": rng.choice(texts), "correct": False} for i in range(4)]
    lines = [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows]
    return Attempt({"predictions.jsonl": b"".join(lines)}, must_pass=True)


def cached(folder: Path, attempt: Attempt) -> None:
    """A damaged entry of the view cache is made again; the result is always the same tensor."""
    import torch
    from panollava_hf.data._dataset import ViewCache

    right = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    # the shape of the entries is an argument in later releases
    known = {"shape": tuple(right.shape)} if "shape" in inspect.signature(ViewCache).parameters else {}
    cache = ViewCache(folder / "cache", "settings", **known)
    cache.get(b"image", lambda image: right)
    for path in (folder / "cache").rglob("*.npy"):
        path.write_bytes((folder / "entry").read_bytes())
    found = cache.get(b"image", lambda image: right)
    if found.shape != right.shape or found.dtype != right.dtype:
        raise AssertionError(f"a foreign entry was taken: {found.dtype} {tuple(found.shape)}")


@kind("cache.entry", cached)
def entries(rng: Random, number: int) -> Attempt:
    """Entries that are empty, cut, pickles, archives, or hold another shape or type."""
    import numpy as np

    def saved(array: np.ndarray, **settings: bool) -> bytes:
        stream = io.BytesIO()
        np.save(stream, array, **settings)
        return stream.getvalue()

    whole = saved(np.zeros((2, 3, 4, 4), np.uint8))
    archive = io.BytesIO()
    np.savez(archive, a=np.zeros(3))
    huge = whole.replace(b"(2, 3, 4, 4)", b"(2, 3, 4, 99999999)"[:12].ljust(12))
    choices = (
        *(b"", whole[:-1], whole[:40], archive.getvalue(), huge, b"\x93NUMPY", whole + b"more"),
        *(saved(np.zeros((2, 3, 4, 4), t)) for t in (np.float64, np.int64, np.complex64, "U3", "M8[s]")),
        *(saved(np.zeros(s, np.uint8)) for s in ((), (0,), (5, 3, 4, 4), (2, 3, 9, 9), (2, 1, 4, 4))),
        saved(np.array([{"a": 1}], dtype=object), allow_pickle=True),
    )
    data = choices[number % len(choices)] if number % 2 else mutate_bytes(rng, whole)
    return Attempt({"entry": data})


def written_run(folder: Path, attempt: Attempt) -> None:
    """Resume a run whose recipe is damaged."""
    command(["train", "--config", "tiny", "--set", f"output={folder / 'run'}", "--resume"])


@kind("recipe.resume", written_run)
def resumed(rng: Random, number: int) -> Attempt:
    """A run folder with an empty, cut or foreign recipe.yaml or progress file."""
    text = _recipe("tiny")
    contents = (b"", text.encode()[: rng.randrange(len(text))], b"[]", b"null", encode(rng, mutate_text(rng, text)))
    return Attempt(
        {"run/recipe.yaml": contents[number % len(contents)], "run/progress.json": json_bytes(rng, value(rng))}
    )


def strategies(folder: Path, attempt: Attempt) -> None:
    """Plan views with odd numbers."""
    from panollava_geometry import plan_views

    values = dict(attempt.values)
    found = plan_views(values.pop("strategy"), **values)
    if len(found) > 100_000:
        raise AssertionError(f"{len(found)} views")


@kind("plan.strategy", strategies)
def odd_strategies(rng: Random, number: int) -> Attempt:
    """Fields of view, overlaps and numbers of views that would be millions of views."""
    names = ("fov_deg", "overlap_ratio", "num_views", "num_rings")
    values = {name: rng.choice((*NUMBERS, 1e-3, 1e-4, 0.9999999, None, "90")) for name in names if rng.random() < 0.4}
    strategies = ("anyres_e2p", "e2p", "cubemap", "sliding_window", "anyres", "anyres_max", "resize", "x")
    return Attempt(values={"strategy": rng.choice(strategies), **values})
