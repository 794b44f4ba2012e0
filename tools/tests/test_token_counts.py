import re

import pytest

from tools.token_counts import BEGIN, END, FAMILIES, PAGE, PUBLISHED, row, with_table


def rows():
    page = PAGE.read_text(encoding="utf-8")
    lines = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    return {cells[0]: cells for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}


def test_the_page_has_every_family_with_its_view_size_and_strategy():
    assert list(rows()) == [f"`{name}`" for name in PUBLISHED]
    for name, cells in zip(PUBLISHED, rows().values(), strict=True):
        assert cells[2].startswith(f"`{FAMILIES[name].strategy}`")
        assert cells[3].startswith(f"{FAMILIES[name].view_size}²: ")


@pytest.mark.parametrize("name", ["qwen3_vl", "llava_onevision", "smolvlm"])
def test_the_page_has_the_counts_of_the_processors(name):
    assert rows()[f"`{name}`"] == row(name)


def test_a_view_of_the_family_costs_no_more_than_a_larger_one():
    for cells in rows().values():
        own, *others = [int(re.sub(r".*: |,", "", cell)) for cell in cells[3:8]]
        assert own <= others[3]


def test_markers_are_required():
    assert with_table(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"
    with pytest.raises(ValueError, match="markers"):
        with_table("a", "new")
