"""The model card of exports, converted folders and checkpoints."""

import json
import re

import pytest
from huggingface_hub import EvalResult, ModelCard
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration, default_checkpoint
from panollava_hf._errors import ExportError
from panollava_hf.cli import run
from panollava_hf.hub import CardFacts, export_checkpoint, read_results, write_card
from panollava_hf.hub._card import point_card

ENTRY = {
    "dataset_type": "owner/panoshapes",
    "dataset_name": "PanoShapes",
    "dataset_split": "test",
    "metric_type": "accuracy",
    "metric_value": 0.75,
}


def card_of(folder, **facts):
    """Write the card of a saved model, and read it."""
    write_card(folder, PanoLLaVaConfig.from_pretrained(folder), CardFacts(**{"model_id": str(folder), **facts}))
    return ModelCard.load(folder / "README.md")


def python_example(card):
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    return example


def test_card_of_an_export(make_checkpoint, tmp_path, capsys):
    source = make_checkpoint(tmp_path / "checkpoint", connector_trained=True)
    arguments = ["--repo-id", "owner/pano", "--license", "apache-2.0", "--dataset", "owner/panoshapes"]
    results = tmp_path / "results.json"
    results.write_text(json.dumps([ENTRY]))
    output = tmp_path / "export"
    assert run(["export", str(output), "--model", str(source), *arguments, "--results", str(results)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "Wrote" in err
    card = ModelCard.load(output / "README.md")
    assert card.data.pipeline_tag == "image-text-to-text"
    assert card.data.library_name == "transformers"
    assert card.data.license == "apache-2.0"
    assert card.data.datasets == ["owner/panoshapes"]
    assert "custom_code" in card.data.tags
    (result,) = card.data.eval_results
    assert (result.dataset_type, result.metric_type, result.metric_value) == ("owner/panoshapes", "accuracy", 0.75)
    assert "| visual-question-answering | PanoShapes (test) | accuracy | 0.75 |" in card.text
    assert 'model_id, revision = "owner/pano", "main"' in card.text
    assert "--model owner/pano\n" in card.text
    assert "7 views of 32x32 pixels" in card.text
    for absent in ("untrained", "converted", "adapter", "\n\n\n"):
        assert absent not in card.text


def test_names_and_licences_of_towers(make_checkpoint, tmp_path):
    source = make_checkpoint(tmp_path / "checkpoint")
    assert "| vision tower | `siglip_vision_model`, name unknown, licence unknown |" in card_of(source).text
    config = json.loads((source / "config.json").read_text())
    tower = tmp_path / "towers" / "eye"
    tower.mkdir(parents=True)
    (tower / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    config["vision_config"]["_name_or_path"] = str(tower)
    config["text_config"]["_name_or_path"] = "owner/words"
    (source / "config.json").write_text(json.dumps(config))
    text = card_of(source).text
    assert "| vision tower | `eye` (`siglip_vision_model`), licence `cc-by-4.0` |" in text
    assert "| language model | [owner/words](https://huggingface.co/owner/words), licence unknown |" in text
    assert str(tmp_path / "towers") not in text
    (tower / "README.md").unlink()
    (tower / "LICENSE").write_text("\n   Apache License\n   Version 2.0, January 2004\n")
    assert "licence `apache-2.0`" in card_of(source).text
    (tower / "LICENSE").write_text("All rights reserved")
    assert "`eye` (`siglip_vision_model`), licence unknown" in card_of(source).text


def test_an_untrained_connector_is_mentioned(make_checkpoint, tmp_path):
    source = make_checkpoint(tmp_path / "checkpoint")
    assert "vision tower and the language model is untrained" in card_of(source).text


def test_training_history(make_checkpoint, tmp_path):
    made = {"stage": "vicreg", "steps": 20, "panoramas_per_step": 16, "mean_loss": 17.25, "seconds": 90}
    source = make_checkpoint(tmp_path / "checkpoint", training_history=[made, {**made, "stage": "finetune"}])
    lines = card_of(source).text.splitlines()
    start = lines.index("## Training")
    assert lines[start + 4 : start + 6] == ["| vicreg | 20 | 16 | 17.2 | 1.5 |", "| finetune | 20 | 16 | 17.2 | 1.5 |"]


def test_card_of_a_converted_folder(make_checkpoint, tmp_path):
    source = make_checkpoint(tmp_path / "checkpoint", connector_trained=True)
    card = card_of(source, converted_from="last.ckpt", stage="finetune")
    assert "converted from the Lightning checkpoint `last.ckpt` (stage `finetune`)" in card.text
    assert "custom_code" not in card.data.tags
    assert "trust_remote_code" not in card.text
    assert "pip install panollava-hf" in card.text
    assert "adapter" not in card.text
    assert "stage" not in card_of(source, converted_from="last.ckpt").text.split("## Use")[0]


def test_an_adapter_is_mentioned(make_checkpoint, tmp_path):
    source = make_checkpoint(tmp_path / "checkpoint")
    PanoLLaVaForConditionalGeneration.from_pretrained(source, use_lora=True).save_pretrained(source)
    assert "The LoRA adapter is in the folder `adapter/`" in card_of(source).text


@pytest.mark.parametrize("kind", ["PanoLLaVaForConditionalGeneration", "PanoLLaVaForVICReg"])
def test_example_of_a_checkpoint_without_code_runs(make_checkpoint, client_run, panorama_jpeg, tmp_path, kind):
    source = make_checkpoint(tmp_path / "checkpoint", kind=kind)
    code = python_example(card_of(source).text).replace('"panorama.jpg"', repr(str(panorama_jpeg)))
    done = client_run(code, endpoint=None, token=None)
    features = "torch.Size([1, 24])"
    assert done.stdout.strip() == features if kind.endswith("VICReg") else done.stdout


def test_example_of_an_exported_feature_model_runs(make_checkpoint, clean_run, panorama_jpeg, tmp_path):
    source = make_checkpoint(tmp_path / "checkpoint", kind="PanoLLaVaForVICReg")
    folder = export_checkpoint(source, tmp_path / "export", facts=CardFacts(model_id=str(tmp_path / "export")))
    card = ModelCard.load(folder / "README.md")
    assert card.data.base_model is None  # its config has a language model, but the weights do not
    assert "language model" not in card.text
    example = tmp_path / "example.py"
    example.write_text(python_example(card.text).replace('"panorama.jpg"', repr(str(panorama_jpeg))))
    assert clean_run(example).stdout.strip() == "torch.Size([1, 24])"


def test_point_card_changes_the_model_of_the_examples_only(embedded_export):
    card = (embedded_export / "README.md").read_text()
    pointed = point_card(card, "owner/pano", "v1")
    changed = [line for line in pointed.splitlines() if line not in card.splitlines()]
    assert changed == [
        'model_id, revision = "owner/pano", "v1"',
        '$ panollava ask panorama.jpg "What is in front of me?" --model owner/pano',
    ]
    assert len(pointed.splitlines()) == len(card.splitlines())


def section(text, heading):
    """The text below a heading, up to the next one."""
    return re.search(rf"^## {heading}\n\n(.*?)(?=\n## |\Z)", text, re.DOTALL | re.MULTILINE)[1]


def test_the_embedded_checkpoints_card_is_what_write_card_writes(tmp_path):
    """So that a change of the template also reaches the card in the package."""
    folder = default_checkpoint()
    stored = ModelCard.load(folder / "README.md")
    facts = CardFacts(
        "panollava-panoshapes",
        license="mit",
        language=("en", "ko"),
        results=tuple(stored.data.eval_results),
        training_data=section(stored.text, "Training data").strip(),
        description=stored.text.strip().split("\n\n")[2],
        from_scratch=True,
    )
    write_card(tmp_path, PanoLLaVaConfig.from_pretrained(folder), facts)
    assert (tmp_path / "README.md").read_text() == (folder / "README.md").read_text()


def test_the_embedded_checkpoints_card_says_what_it_is():
    card = ModelCard.load(default_checkpoint() / "README.md")
    text = card.text
    assert card.data.language == ["en", "ko"]
    assert "in Korean, and answers in English" in text.split("| component |")[0]
    assert "| vision tower | `resnet`, trained from scratch |" in text
    assert "| language model | `qwen3`, trained from scratch |" in text
    assert {result.dataset_name for result in card.data.eval_results} == {"PanoShapes"}
    assert (
        "- panollava-hf reports questions with words that its training did not have, questions that name nothing it "
        "can look for and images unlike rendered scenes as unknown, without an answer."
    ) in section(text, "Intended use and limits")
    for absent in ("unknown, licence", "their own model cards", "Cite the towers"):
        assert absent not in text


@pytest.mark.parametrize("kind", ["PanoLLaVaForConditionalGeneration", "PanoLLaVaForVICReg"])
def test_towers_without_a_name_are_from_scratch_only_if_said_so(make_checkpoint, tmp_path, kind):
    source = make_checkpoint(tmp_path / "checkpoint", kind=kind)
    unsaid, said = card_of(source).text, card_of(source, from_scratch=True).text
    assert "| vision tower | `siglip_vision_model`, name unknown, licence unknown |" in unsaid
    assert "| vision tower | `siglip_vision_model`, trained from scratch |" in said
    assert "from scratch" not in unsaid
    assert "Cite the towers as their model cards ask, and the library:" in unsaid
    assert "Cite the library:" in said
    limits = section(said, "Intended use and limits")
    assert "The towers bring their licences" not in limits
    assert "\n\n-" not in limits.split("- It sees")[1]  # one list


@pytest.mark.parametrize("tower", ["vision", "text"])
@pytest.mark.parametrize("field", ["source", "path"])
def test_a_named_tower_is_not_from_scratch(make_checkpoint, tmp_path, tower, field):
    source = make_checkpoint(tmp_path / "checkpoint")
    config = PanoLLaVaConfig.from_pretrained(source)
    if field == "source":
        setattr(config, f"{tower}_source", {"name": "owner/eye"})
    else:
        getattr(config, f"{tower}_config")._name_or_path = "/home/me/eye"
    with pytest.raises(ExportError, match=f"from_scratch is true, but the {tower} tower of this config is 'eye'"):
        write_card(source, config, CardFacts("owner/name", from_scratch=True))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"known_words": ["cube"]}, "questions with words that its training did not have"),
        (
            {"known_words": ["cube"], "known_topics": ["cube"]},
            "questions with words that its training did not have and questions that name nothing it can look for",
        ),
        ({"known_images": {"description": "tiles\n# of `stone`"}}, "images unlike tiles # of stone"),
    ],
)
def test_what_a_checkpoint_reports_as_unknown(make_checkpoint, tmp_path, fields, expected):
    source = make_checkpoint(tmp_path / "checkpoint", connector_trained=True)
    config = PanoLLaVaConfig.from_pretrained(source)
    for name, value in fields.items():
        setattr(config, name, value)
    write_card(source, config, CardFacts("owner/name"))
    limits = section(ModelCard.load(source / "README.md").text, "Intended use and limits")
    if expected is None:
        assert "as unknown" not in limits
    else:
        assert f"- panollava-hf reports {expected} as unknown, without an answer." in limits


def test_a_description_is_the_second_paragraph(make_checkpoint, tmp_path):
    card = card_of(make_checkpoint(tmp_path / "checkpoint"), description="It knows <b>\n# gardens.")
    assert card.text.strip().split("\n\n")[2] == "It knows b # gardens."


@pytest.mark.parametrize("results", [(), (EvalResult(task_type="t", **ENTRY),)], ids=["unmeasured", "measured"])
def test_every_card_says_what_the_model_is_for_and_its_limits(make_checkpoint, tmp_path, results):
    card = card_of(make_checkpoint(tmp_path / "checkpoint", connector_trained=True), results=results)
    limits = section(card.text, "Intended use and limits")
    assert "Answers can be wrong" in limits
    assert ("`panollava eval`" in limits) == (not results)
    assert "@software{panollava," in section(card.text, "Citation")
    assert "author = {{The PanoLLaVA contributors}}," in card.text


@pytest.mark.parametrize(
    ("trained", "facts", "expected"),
    [
        (True, {}, "Not recorded in this card."),
        (False, {}, "None: the towers are joined as they were and the connector has random weights."),
        (True, {"datasets": ("owner/pano",)}, "[owner/pano](https://huggingface.co/datasets/owner/pano)."),
        (
            True,
            {"datasets": ("owner/pano",), "training_data": "Photographs of <b>\n# streets."},
            "Photographs of b # st",
        ),
    ],
)
def test_training_data(make_checkpoint, tmp_path, trained, facts, expected):
    card = card_of(make_checkpoint(tmp_path / "checkpoint", connector_trained=trained), **facts)
    assert section(card.text, "Training data").startswith(expected)


def test_read_results(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([ENTRY]))
    assert read_results(path) == (EvalResult(task_type="visual-question-answering", **ENTRY),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"results\.json: this is not valid JSON \(.* line 1"),
        ("{}", "expected the results.json of `panollava eval`, or a JSON list with one object for each result"),
        ("[1]", "a JSON list with one object"),
        ("[{}]", "result 0: missing 4 required fields: dataset_type"),
        (json.dumps([{**ENTRY, "metric_value": [1]}]), "metric_value must be int or float or str, got"),
        (json.dumps([{**ENTRY, "metric_value": True}]), "metric_value must be int or float or str, got True"),
        (json.dumps([{**ENTRY, "metric_value": 10**400}]), "metric_value must be"),
        (json.dumps([{**ENTRY, "dataset_name": {"a": 1}}]), "dataset_name must be str, got"),
        (json.dumps([{**ENTRY, "task_type": 5}]), "task_type must be str, got 5"),
        (json.dumps([{**ENTRY, "x": 5}]), "unknown field 'x'; valid fields: task_type"),
        (json.dumps([{**ENTRY, "source_name": "x"}]), "result 0 is not an evaluation result"),
        (json.dumps({"exact_match": 0.5, "families": [], "data": {}}), "data, families and captions must be objects"),
        (json.dumps({"exact_match": 0.5, "families": {"a": 5}, "data": {}}), "must be objects"),
        (json.dumps({"exact_match": 0.5, "families": {}, "data": {"source": 5}}), "data.source and data.split"),
        (json.dumps({"exact_match": "x", "families": {}, "data": {"source": "a"}}), "exact_match must be a number"),
        ("[" * 100_000, "this is not valid JSON"),
        ("\udcff", "this is not valid JSON"),
    ],
)
def test_unreadable_results_are_refused(tmp_path, content, message):
    path = tmp_path / "results.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ExportError, match=message) as error:
        read_results(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_results_of_an_evaluation_without_a_split(tmp_path):
    path = tmp_path / "results.json"
    found = {"exact_match": 0.5, "families": {}, "data": {"source": "my table.csv", "split": None}, "captions": None}
    path.write_text(json.dumps(found))
    (result,) = read_results(path)
    assert (result.dataset_name, result.dataset_split, result.metric_value) == ("my table.csv", None, 50.0)


FRONT_MATTER = "x\n---\nlicense: gpl-3.0\n---\n# Injected\n```\nrm -rf\n```"


def test_names_and_texts_stay_one_line(make_checkpoint, tmp_path):
    history = [{"stage": FRONT_MATTER, "steps": 1, "panoramas_per_step": 2, "mean_loss": 3.0, "seconds": 60}]
    source = make_checkpoint(tmp_path / "checkpoint", connector_trained=True, training_history=history)
    facts = {name: FRONT_MATTER for name in ("model_id", "converted_from", "stage")}
    result = EvalResult(task_type="t", **{**ENTRY, "dataset_name": FRONT_MATTER, "metric_type": "a | b"})
    card = card_of(source, **facts, license="mit", datasets=(FRONT_MATTER,), results=(result,))
    assert card.data.license == "mit"
    assert card.data.datasets == [FRONT_MATTER]  # a value, not lines of its own
    assert card.text.count("```") == 8
    assert f"## Training data\n\n{' '.join(FRONT_MATTER.replace('`', ' ').split())}.\n" in card.text
    assert not [line for line in card.text.splitlines() if line.startswith(("# Injected", "rm", "license"))]
    (row,) = [line for line in card.text.splitlines() if line.startswith("| t |")]
    assert row.replace("\\|", "").count("|") == 5


@pytest.mark.parametrize(
    "history",
    [
        [5],
        "vicreg",
        {"stage": "vicreg"},
        [{"stage": 5, "steps": 1, "panoramas_per_step": 2, "mean_loss": 3.0, "seconds": 60}],
        [{"stage": "vicreg", "steps": "many", "panoramas_per_step": 2, "mean_loss": 3.0, "seconds": 60}],
        [{"stage": "vicreg", "steps": 10**400, "panoramas_per_step": 2, "mean_loss": 3.0, "seconds": 60}],
    ],
)
def test_a_damaged_training_history_is_reported(make_checkpoint, tmp_path, history):
    source = make_checkpoint(tmp_path / "checkpoint")
    config = PanoLLaVaConfig.from_pretrained(source)
    config.training_history = history
    with pytest.raises(ExportError, match=r"training_history of the config holds .*; expected objects") as error:
        write_card(source, config, CardFacts("owner/name"))
    assert len(str(error.value)) < 500


def test_every_pooling_has_its_words():
    from panollava_hf.configuration_panollava import CHOICES
    from panollava_hf.hub._card import POOLED_VIEWS, POOLING

    assert set(POOLING) == set(CHOICES["pooling"])
    assert set(POOLED_VIEWS) == set(CHOICES["pooled_views"])
