"""`pipeline("decision")` of transformers with the embedded checkpoint: typed questions about panoramas."""

import json
import re

import numpy as np
import pytest
import transformers
from panollava_hf import Answerer, PanoLLaVaProcessor, default_checkpoint
from panollava_hf.panoshapes import questions, render_scene, sample_scene
from PIL import Image

pytest.importorskip(
    "transformers.decision", reason=f"transformers {transformers.__version__} has no pipeline('decision')"
)


def template():
    """The form of question that the checkpoint was trained on; its prompts list no options."""
    prompt = PanoLLaVaProcessor.from_pretrained(default_checkpoint()).prompt("QUESTION")
    before, between, after = map(json.dumps, re.split(r"<\|vision\|>\n|QUESTION", prompt))
    return (
        f"{{{{- {before} -}}}}"
        "{%- for part in state -%}{{- '<|vision|>\\n' if part.type == 'image' else part.text -}}{%- endfor -%}"
        f"{{{{- {between} ~ question.instructions ~ {after} -}}}}"
    )


@pytest.fixture(scope="module")
def decide():
    from transformers.decision import DecisionConfig

    labels = {"noul": ["yes", "no"], "choice": [str(number) for number in range(7)]}
    config = DecisionConfig(labels=labels, chat_template=template())
    return transformers.pipeline("decision", model=str(default_checkpoint()), decision_config=config)


@pytest.fixture(scope="module")
def panoramas():
    scenes = [sample_scene(1, "test", index) for index in range(6)]
    return [(scene, Image.fromarray(render_scene(scene))) for scene in scenes]


def asked(decide, image, question):
    request = {"state": "<panorama>", "questions": {"it": question}, "assets": {"<panorama>": image}}
    return decide(request)["it"]


def yes_or_no(panoramas):
    for number, (scene, image) in enumerate(panoramas):
        for found in questions(scene, np.random.default_rng(number)):
            if found.answer in ("yes", "no"):
                yield image, found.question, found.answer


def test_panoramas_are_filtered_by_a_typed_question(decide, panoramas):
    """The pipeline agrees with the generated answers, and mostly with the scenes."""
    answerer = Answerer.load("embedded")
    cases = list(yes_or_no(panoramas))
    kept = [asked(decide, image, {"type": "noul", "instructions": text})["noul"] > 0.5 for image, text, _ in cases]
    generated = [answerer.answer(np.asarray(image), text).text == "yes" for image, text, _ in cases]
    assert kept == generated
    assert len(set(kept)) == 2
    right = sum(one == (answer == "yes") for one, (_, _, answer) in zip(kept, cases, strict=True))
    assert right >= 0.8 * len(cases)


def test_a_choice_counts_objects(decide, panoramas):
    answerer = Answerer.load("embedded")
    criteria = dict.fromkeys(map(str, range(7)))
    question = {"type": "choice", "instructions": "How many objects are there?", "criteria": criteria}
    found = [asked(decide, image, question) for _, image in panoramas]
    texts = [answerer.answer(np.asarray(image), question["instructions"]).text for _, image in panoramas]
    assert [one["choice"] for one in found] == texts
    assert all(abs(sum(one["probabilities"].values()) - 1) < 1e-5 for one in found)
