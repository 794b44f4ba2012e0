"""The held-out wordings are not those of the training, and there are enough of them."""

import functools
import re
from random import Random

import numpy as np
import pytest
from panollava_hf.panoshapes import sample_scene
from panollava_hf.panoshapes.families import family_named, family_names
from panollava_hf.panoshapes.wordings import word_question
from panollava_hf.panoshapes.wordings._english import english_frames, english_slots
from panollava_hf.panoshapes.wordings._english_words import CLOSINGS, OPENINGS, POLITE
from panollava_hf.panoshapes.wordings._korean import korean_frames, korean_slots
from panollava_hf.panoshapes.wordings._korean_words import CLOSINGS as KOREAN_CLOSINGS
from panollava_hf.panoshapes.wordings._korean_words import OPENINGS as KOREAN_OPENINGS
from panollava_hf.panoshapes.wordings._particles import PAIR
from panollava_hf.panoshapes.wordings._patterns import normalised, pattern_regex

from tools.held_out_wordings import held_out_question, held_out_templates


@functools.cache
def programs(count=8):
    """One program of each family and kind of question."""
    found = {}
    for index in range(count):
        scene, rng = sample_scene(0, "test", index), np.random.default_rng(index)
        for name in family_names():
            for program in family_named(name).propose(scene, rng, 2):
                found.setdefault(
                    (name, program.get("ask"), program.get("direction") in ("back", "above", "front left")), program
                )
    return list(found.values())


def both_forms(pattern):
    return PAIR.sub(r"(\1|\2)", pattern)


@functools.cache  # compiling one takes a second
def grammar(place, language):
    """A regular expression for all questions of the training grammar that ask a program, after `normalised`."""
    program = programs()[place]
    frames, slots = (english_frames, english_slots) if language == "en" else (korean_frames, korean_slots)
    before = (*OPENINGS, *POLITE) if language == "en" else KOREAN_OPENINGS
    after = CLOSINGS if language == "en" else KOREAN_CLOSINGS
    texts = {name: tuple(map(both_forms, values)) for name, values in slots(program).items()}

    def any_of(patterns):
        return "|".join(pattern_regex(both_forms(pattern), texts) for pattern in patterns)

    return re.compile(rf"(?:(?:{any_of(before)})\s*)?(?:{any_of(frames(program))})(?:\s*(?:{any_of(after)}))?")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_training_grammar_recognises_its_own_questions(language):
    for place, program in enumerate(programs()):
        accepts, rng = grammar(place, language), np.random.default_rng(1)
        recognised = [
            bool(accepts.fullmatch(normalised(word_question(program, rng, language, noise=False)))) for _ in range(30)
        ]
        assert sum(recognised) >= 20, program  # the others have words inserted that do not change the answer


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_held_out_wording_is_in_the_training_grammar(language):
    for place, program in enumerate(programs()):
        accepts, rng = grammar(place, language), Random(0)
        for template in held_out_templates(program, language):
            text = held_out_question(program, template, rng, language)
            assert not accepts.fullmatch(normalised(text)), text


@pytest.mark.parametrize("writer", ["author", "first", "second", "third"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_there_are_ten_for_each_family(language, writer):
    for program in programs():
        templates = held_out_templates(program, language, writer=writer)
        assert len(set(templates)) == len(templates) >= 10, program
