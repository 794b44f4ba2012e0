"""`{% generation %}` in chat templates, and the masks of the assistant's tokens."""

import numpy as np
import pytest
import torch
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Scope
from jinja2.sandbox import ImmutableSandboxedEnvironment
from panollava_hf import PanoLLaVaProcessor
from panollava_hf._chat_template import marked_template, with_images
from panollava_hf.training._start import write_tokenizer
from transformers import AutoTokenizer

MASKED = {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True}

#: Templates in the manner of the families: the first is how SmolLM2 writes ChatML.
CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '<|im_start|>system\nHelp<|im_end|>\n' }}"
    "{% endif %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THINKING = (
    "{%- for m in messages %}\n"
    "    {%- if m.role == 'assistant' and loop.last %}\n"
    "        {{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' + m.content }}\n"
    "    {%- else %}\n        {{- '<|im_start|>' + m.role + '\\n' + m.content }}\n    {%- endif %}\n"
    "    {{- '<|im_end|>\\n' }}\n{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n<think>\\n' }}\n{%- endif %}\n"
)
HEADERS = (
    "{{- bos_token }}{%- set first = messages[0] %}{%- if first.role == 'system' %}{%- set messages = messages[1:] %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + first.content + '<|eot_id|>' }}{%- endif %}"
    "{%- for m in messages %}{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + (m.content | trim) + "
    "'<|eot_id|>' }}{%- endfor %}{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
EOS_AT_END = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
INSTRUCTIONS = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
#: Turns of these begin with ordinary characters: Vicuna, Zephyr and TinyLlama, Llama 2.
ROLES = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ 'ASSISTANT: ' + m.content + eos_token }}{% else %}"
    "{{ m.role | upper + ': ' + m.content + ' ' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
LINES = (
    "{% for m in messages %}\n{{ '<|' + m.role + '|>\n' + m.content + eos_token }}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
FAMILIES = {
    "chatml": (CHATML, "<|im_end|>", ("<|im_start|>", "<|im_end|>")),
    "thinking": (THINKING, "<|im_end|>", ("<|im_start|>", "<|im_end|>", "<think>", "</think>")),
    "headers": (HEADERS, "<|eot_id|>", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<s>")),
    "no system": (NO_SYSTEM, "<end_of_turn>", ("<start_of_turn>", "<end_of_turn>", "<s>")),
    "eos at end": (EOS_AT_END, "<|end|>", ("<|end|>", "<|user|>", "<|assistant|>", "</s>")),
    "roles": (ROLES, "</s>", ("</s>", "<s>")),
    "lines": (LINES, "</s>", ("</s>", "<s>")),
    "instructions, ordinary": (INSTRUCTIONS, "</s>", ("</s>", "<s>")),
    "instructions": (INSTRUCTIONS, "</s>", ("[INST]", "[/INST]", "</s>", "<s>")),
}
NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
CHATS = [
    [{"role": "user", "content": "Where?"}],
    [{"role": "user", "content": "Where?\n"}, {"role": "assistant", "content": "Left\n\nof it"}],
    [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "bb"}]},
        {"role": "user", "content": "assistant\n"},
        {"role": "assistant", "content": "c <b> assistant\n d"},
    ],
]


class Recorder(Extension):
    """A second implementation of the tag: it writes brackets that no text has around what it holds."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 reads a plain set

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        write = parser.environment.overlay().parse
        return Scope([*write("\u27ea").body, *body, *write("\u27eb").body], lineno=line)


def rendered(template, messages, asks):
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Recorder, loopcontrols]
    )

    def refuse(message):
        raise ValueError(message)

    environment.globals["raise_exception"] = refuse
    return environment.from_string(template).render(messages=messages, add_generation_prompt=asks, **NAMES)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("asks", [False, True])
def test_templates_of_families_get_tags_and_render_the_same(family, asks):
    template, end, tokens = FAMILIES[family]
    marked, problem = marked_template(template, "<|vision|>", tokens, NAMES)
    assert problem is None
    plain = with_images(template, "<|vision|>")
    for chat in CHATS:
        text = rendered(marked, chat, asks)
        assert text.replace("\u27ea", "").replace("\u27eb", "") == rendered(plain, chat, asks)
        found = [piece.split("\u27eb")[0] for piece in text.split("\u27ea")[1:]]
        answers = [message["content"] for message in chat if message["role"] == "assistant"]
        wanted = [(one if isinstance(one, str) else one[0]["text"]) + end for one in answers]
        if family == "thinking" and wanted:  # its last answer begins with an empty thought
            last = chat[-1]["role"] == "assistant"
            wanted[-1] = ("<think>\n\n</think>\n\n" if last else "") + wanted[-1]
        assert [one.removeprefix(" ") for one in found] == wanted


@pytest.mark.parametrize(
    ("template", "tokens", "reason"),
    [
        (CHATML, (), "no control token ends"),
        ("{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}", ("<s>",), "no control token"),
        ("{{ nothing.at.all }}", ("<s>",), "UndefinedError"),
        ("{% for m in messages %}", ("<s>",), "TemplateSyntaxError"),
    ],
)
def test_other_templates_stay_as_they_are_with_a_reason(template, tokens, reason):
    found, problem = marked_template(template, "<|vision|>", tokens, NAMES)
    assert found == with_images(template, "<|vision|>")
    assert reason in problem


@pytest.mark.parametrize("family", ["roles", "lines", "instructions, ordinary"])
@pytest.mark.parametrize(
    "text", ["ASSISTANT: x", "<|assistant|>\ny", "a [/INST] b", "\ufdd1", "\ufdd1\ufdd2\ufdd3[/INST]"]
)
def test_ordinary_characters_in_texts_begin_no_turn(family, text):
    template, end, tokens = FAMILIES[family]
    marked, problem = marked_template(template, "<|vision|>", tokens, NAMES)
    assert problem is None
    chat = [{"role": "user", "content": text}, {"role": "assistant", "content": f"{text}!"}] * 2
    found = rendered(marked, chat, False)
    assert found.replace("\u27ea", "").replace("\u27eb", "") == rendered(with_images(template, "-"), chat, False)
    pieces = [piece.split("\u27eb")[0].removeprefix(" ") for piece in found.split("\u27ea")[1:]]
    assert pieces == [f"{text}!{end}"] * 2


def test_a_template_with_tags_keeps_them():
    template = CHATML.replace("{{ '<|im_start|>' + m", "{% generation %}{% endgeneration %}{{ '<|im_start|>' + m")
    found, problem = marked_template(template, "<|vision|>", ("<|im_start|>", "<|im_end|>"), {})
    assert (found, problem) == (with_images(template, "<|vision|>"), None)


def conversation(panorama, answers, images=1):
    chat = []
    for number, answer in enumerate(answers):
        content = [{"type": "image", "image": panorama}] * (images if number % 2 == 0 else 0)
        content = [*content, {"type": "text", "text": f"Question {number} <|im_end|> <|vision|>?"}]
        chat += [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    return chat


ANSWERS = [["red"], ["A lamp.\n\n Two", "Left <|im_start|>assistant\nof it"], ["\ufdd0 x", "<|vision|>", "0.5\n"]]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("images", [0, 1, 2])
def test_masks_are_the_answers_and_their_ends(processor, panorama, side, images):
    options = {"padding": True, "padding_side": side, "return_tensors": "pt", **MASKED}
    chats = [conversation(panorama, answers, images) for answers in ANSWERS]
    out = processor.apply_chat_template(chats, **options)
    assert out["assistant_masks"].shape == out["input_ids"].shape
    assert "offset_mapping" not in out
    plain = processor.apply_chat_template(chats, **{**options, "return_assistant_tokens_mask": False})
    assert torch.equal(plain["input_ids"], out["input_ids"])
    for ids, mask, answers in zip(out["input_ids"], out["assistant_masks"].bool(), ANSWERS, strict=True):
        text = processor.tokenizer.decode(ids[mask])
        expected = "".join(f"{one}<|im_end|>" for one in answers).lower()  # this tokenizer ignores case
        assert text.replace(" ", "") == expected.replace(" ", "")
        assert (ids[mask] == processor.tokenizer.eos_token_id).sum() == len(answers)
        assert processor.image_token_id not in ids[mask]


def test_masks_follow_truncation_and_the_form_of_the_ids(processor, panorama):
    chat = conversation(panorama, ["one two three four"], images=0)
    whole = processor.apply_chat_template(chat, **MASKED)
    assert isinstance(whole["assistant_masks"][0], list)
    cut = processor.apply_chat_template(chat, truncation=True, max_length=len(whole["input_ids"][0]) - 3, **MASKED)
    assert cut["assistant_masks"][0] == whole["assistant_masks"][0][:-3]
    array = processor.apply_chat_template(chat, return_tensors="np", **MASKED)
    assert np.array_equal(array["assistant_masks"], whole["assistant_masks"])


def test_a_mask_that_cannot_be_right_is_refused(processor):
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    with pytest.raises(ValueError, match="does not mark the assistant's texts"):
        processor.apply_chat_template(chat, chat_template=CHATML, **MASKED)
    with pytest.raises(ValueError, match="continue_final_message is not compatible"):
        processor.apply_chat_template(chat, continue_final_message=True, **MASKED)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # transformers leaves files open
def test_several_named_templates_are_all_marked(processor, tmp_path, tiny_config, caplog):
    (tmp_path / "text").mkdir()
    write_tokenizer(tmp_path / "text", ["where is the lamp"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "text")
    tokenizer.chat_template = {"default": CHATML, "tool_use": "Tools." + CHATML, "odd": "{{ nothing.at.all }}"}
    tokenizer.save_pretrained(tmp_path / "text")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "text")
    made = PanoLLaVaProcessor.from_config(tiny_config(), tokenizer, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert "not marked" not in caplog.text
    made.save_pretrained(tmp_path / "saved")
    again = PanoLLaVaProcessor.from_pretrained(tmp_path / "saved")
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]}]
    chat += [{"role": "assistant", "content": "the lamp"}]
    for template, start in ((None, "<|im_start|>"), ("tool_use", "Tools.<|im_start|>")):
        text = again.apply_chat_template(chat, chat_template=template)
        assert text.startswith(start)
        assert text.count("<|vision|>") == 1
        out = again.apply_chat_template(chat[1:], chat_template=template, return_tensors="pt", **MASKED)
        answer = again.tokenizer.decode(out["input_ids"][0][out["assistant_masks"][0].bool()])
        assert answer.strip() == "the lamp<|im_end|>"


def test_a_processor_for_new_towers_has_the_tags(processor, tmp_path, tiny_config, caplog):
    write_tokenizer(tmp_path, ["where is the lamp"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.chat_template = CHATML
    made = PanoLLaVaProcessor.from_config(tiny_config(), tokenizer, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "the lamp"}]
    out = made.apply_chat_template(chat, return_tensors="pt", **MASKED)
    assert tokenizer.decode(out["input_ids"][0][out["assistant_masks"][0].bool()]).strip() == "the lamp<|im_end|>"
