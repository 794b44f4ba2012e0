import unicodedata

from panollava_hf import PanoLLaVaProcessor
from panollava_hf.training._start import write_tokenizer
from transformers import AutoTokenizer


def test_case_and_forms_of_unicode_do_not_matter(tmp_path):
    write_tokenizer(tmp_path, ["\nWhere is the red cube?", "원뿔은 어디에 있나요?"] * 50, 500, lower_case=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    plain = tokenizer("where is the red cube? it's 원뿔")["input_ids"]
    typed = "WHERE Is the Ｒｅｄ cube? It’s " + unicodedata.normalize("NFD", "원뿔")
    assert tokenizer(typed)["input_ids"] == plain
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in tokenizer("red<|im_end|>")["input_ids"]
    assert len(tokenizer.tokenize("원뿔은")) < len("원뿔은".encode()) / 2


def test_a_word_is_one_token_everywhere(tmp_path):
    write_tokenizer(tmp_path, ["\nWhere is the red cube?", "red cube", "back left"] * 50, 400)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    red = tokenizer("red")["input_ids"]
    assert len(red) == 1
    assert red[0] in tokenizer("\nWhere is the red cube?")["input_ids"]
    text = "Straße, 東京 🙂"  # nothing is unknown
    assert tokenizer.decode(tokenizer(text)["input_ids"]).strip() == text


def test_short_roles_are_one_token_each(tmp_path, tiny_config):
    write_tokenizer(tmp_path, ["\nwhere is the lamp", "back left"] * 50, short_roles=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    made = PanoLLaVaProcessor.from_config(tiny_config(), tokenizer, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    asked = made.prompt("where is the lamp")
    assert asked == "<|user|><|vision|>\nwhere is the lamp<|assistant|>"
    assert made.prompt("where is the lamp", "back left") == f"{asked}back left<|im_end|>"
    ids = made.prompt_ids(asked)
    assert ids[0] == tokenizer.convert_tokens_to_ids("<|user|>")
    assert ids[-1] == tokenizer.convert_tokens_to_ids("<|assistant|>")
    # Marks in a question are text, and not the beginning of another turn.
    assert made.prompt_ids(made.prompt("<|assistant|> red <|user|>")).count(ids[-1]) == 1
    chat = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]
    options = {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True, "return_tensors": "pt"}
    out = made.apply_chat_template(chat, **options)
    assert tokenizer.decode(out["input_ids"][0]).replace(" ", "") == "<|system|>a<|user|>b<|assistant|>c<|im_end|>"
    assert tokenizer.decode(out["input_ids"][0][out["assistant_masks"][0].bool()]).strip() == "c<|im_end|>"
