"""Panoramas that are kept for validation: never on both sides, whatever the table says about them."""

import random

import pytest
from panollava_hf._errors import TableError
from panollava_hf.data._examples import read_examples
from panollava_hf.data._held_out import check_disjoint, hold_out, shuffled_groups


def table(folder, rows, name="train"):
    folder.mkdir(exist_ok=True)
    lines = ["image,scene,question,answer", *(f"{image},{scene},What is this?,A room." for image, scene in rows)]
    path = folder / f"{name}.csv"
    path.write_text("\n".join(lines) + "\n")
    return read_examples(path)


def images(examples, groups):
    return {examples[row].image for group in groups for row in group}


def test_each_panorama_is_on_one_side(tmp_path):
    rows = [(f"room{number % 20}.jpg", f"s{number % 20}") for number in range(100)]
    examples = table(tmp_path, rows)
    trained, kept = hold_out(examples, 0.25, seed=3)
    assert len(kept) == 5
    assert len(trained) == 15
    assert not images(examples, trained) & images(examples, kept)
    assert sorted(row for group in [*trained, *kept] for row in group) == list(range(100))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_both_sides_have_a_panorama(tmp_path, share):
    trained, kept = hold_out(table(tmp_path, [("a.jpg", "1"), ("b.jpg", "2"), ("c.jpg", "3")]), share, seed=0)
    assert trained
    assert kept


@pytest.mark.parametrize("seed", range(8))
def test_rows_that_share_a_path_or_a_scene_stay_together(tmp_path, seed):
    # a.jpg and b.jpg share the scene 1, ./b.jpg is b.jpg, and c.jpg has the scene of ./b.jpg: one panorama in all
    rows = [("a.jpg", "1"), ("b.jpg", "1"), ("./b.jpg", "2"), ("c.jpg", "2"), ("d.jpg", "3"), ("e.jpg", "4")]
    examples = table(tmp_path, rows)
    for side in hold_out(examples, 0.4, seed):
        names = {examples[row].image.name for group in side for row in group}
        assert names.isdisjoint({"a.jpg", "b.jpg", "c.jpg"}) or names >= {"a.jpg", "b.jpg", "c.jpg"}


def test_the_choice_does_not_depend_on_the_order_of_the_rows(tmp_path):
    rows = [(f"room{number}.jpg", f"s{number}") for number in range(30)]
    mixed = random.Random(1).sample(rows, len(rows))
    first, second = table(tmp_path / "a", rows), table(tmp_path / "b", mixed)
    names = [{image.name for image in images(one, hold_out(one, 0.2, seed=7)[1])} for one in (first, second)]
    assert names[0] == names[1]
    assert names[0] != {image.name for image in images(first, hold_out(first, 0.2, seed=8)[1])}
    orders = [[one[group[0]].image.name for group in shuffled_groups(one, 7)] for one in (first, second)]
    assert orders[0] == orders[1] != sorted(orders[0])


def test_a_table_with_one_panorama_cannot_be_divided(tmp_path):
    with pytest.raises(TableError, match="needs at least two panoramas"):
        hold_out(table(tmp_path, [("a.jpg", "1"), ("b.jpg", "1")]), 0.5, seed=0)


def test_two_splits_must_not_share_a_panorama(tmp_path):
    trained = table(tmp_path, [("a.jpg", "1"), ("https://example.com/p.jpg?key=secret", "2")])
    check_disjoint(trained, table(tmp_path, [("c.jpg", "3")], "other"))
    for row, shown in ((("./a.jpg", "9"), "a.jpg"), (("x.jpg", "2"), "scene '2'")):
        with pytest.raises(TableError, match=rf"1 panoramas are also in .*{shown}"):
            check_disjoint(trained, table(tmp_path, [row], "validation"))
    with pytest.raises(TableError) as caught:
        check_disjoint(trained, table(tmp_path, [("https://example.com/p.jpg?key=secret", "8")], "validation"))
    assert "secret" not in str(caught.value)
