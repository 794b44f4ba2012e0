import pytest
from panollava_hf._shown import listed, shortened, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é\n", "'é\\n'"),
        ("x" * 1000, "'" + "x" * 80 + "'…"),
        (True, "True"),
        (10**1000, "an integer of 3322 bits"),
        ([1, None, "a"], "[1, None, 'a']"),
        ((1.5,), "(1.5,)"),
        ({"height": 3, "width": None}, "{'height': 3, 'width': None}"),
        ({}, "{}"),
        ({"a": {}}, "a dict of 1 item"),
        ({1}, "a set of 1 item"),
        ([0] * 7, "a list of 7 items"),
        (object(), "a value of type object"),
    ],
)
def test_a_value_is_short_and_on_one_line(value, text):
    assert shown(value) == text
    assert text.isprintable()


def test_what_a_value_contains_is_not_followed():
    shared = []
    for _ in range(100):
        shared = [shared, shared]
    assert shown(shared) == "a list of 2 items"
    shared[0] = shared
    assert shown({"a": shared}) == "a dict of 1 item"


def test_few_of_many_texts():
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c"], 2, "; ") == "a; b; and 1 more"
    assert listed([], 2) == ""
    assert shortened("a \n b", 3) == "a b"
    assert shortened("x" * 1000, 10) == "x" * 9 + "…"
