import unicodedata

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
