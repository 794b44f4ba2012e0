from panollava_hf.training._start import write_tokenizer
from transformers import AutoTokenizer


def test_a_word_is_one_token_everywhere(tmp_path):
    write_tokenizer(tmp_path, ["\nWhere is the red cube?", "red cube", "back left"] * 50, 400)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    red = tokenizer("red")["input_ids"]
    assert len(red) == 1
    assert red[0] in tokenizer("\nWhere is the red cube?")["input_ids"]
    text = "Straße, 東京 🙂"  # nothing is unknown
    assert tokenizer.decode(tokenizer(text)["input_ids"]).strip() == text
