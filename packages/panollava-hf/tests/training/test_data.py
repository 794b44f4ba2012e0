"""Panoramas for training: the same items whoever asks, rolled with their questions, and no bad picture unseen."""

import json

import numpy as np
import pytest
import torch
from panollava_geometry import extract_views, load_equirectangular
from panollava_hf import PanoLLaVaImageProcessor
from panollava_hf._errors import TableError
from panollava_hf.data._dataset import PanoramaDataset
from panollava_hf.data._examples import read_examples
from panollava_hf.panoshapes import Scene, answer, write_panoshapes
from panollava_hf.training._rolling import scene_roller


@pytest.fixture
def cutter():
    return PanoLLaVaImageProcessor(size=32)


def test_items_depend_on_seed_and_index_alone(shapes, cutter):
    examples = read_examples(shapes)
    first = PanoramaDataset(examples, cutter, length=40, questions=3, seed=5)
    second = PanoramaDataset(examples, cutter, length=40, questions=3, seed=5)
    for index in (30, 2, 17):  # in any order
        assert torch.equal(first[index].views, second[index].views)
        assert first[index].examples == second[index].examples
    other = PanoramaDataset(examples, cutter, length=40, questions=3, seed=6)
    assert [other.panorama_of(i) for i in range(12)] != [first.panorama_of(i) for i in range(12)]


def test_every_pass_sees_every_panorama_once_in_a_new_order(shapes, cutter):
    dataset = PanoramaDataset(read_examples(shapes), cutter, length=36)
    orders = [[dataset.panorama_of(12 * turn + place) for place in range(12)] for turn in range(3)]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert orders[0] != orders[1]


def test_views_are_those_of_the_processor(shapes, cutter):
    dataset = PanoramaDataset(read_examples(shapes), cutter, shuffle=False)
    item = dataset[3]
    direct = cutter.denormalise(cutter(item.examples[0].image)["pixel_values"][0])
    assert torch.equal(item.views, direct)


def shift_of(erp, item, dataset):
    """By how many columns a panorama was rolled, as the views say."""
    found = [
        shift
        for shift in range(erp.shape[-1])
        if torch.equal(extract_views(erp.roll(shift, -1), dataset.plan, dataset.size), item.views)
    ]
    assert len(found) == 1
    return found[0]


def test_rolled_questions_are_true_of_the_rolled_picture(shapes, cutter):
    examples = read_examples(shapes)
    roll = scene_roller(examples, "train")
    dataset = PanoramaDataset(examples, cutter, length=16, roll=roll, seed=1)
    scenes = {}
    for line in (shapes / "scenes-train.jsonl").read_text().splitlines():
        scenes[json.loads(line)["name"]] = Scene.from_dict(json.loads(line))
    asked = moved = 0
    for index in range(16):
        item = dataset[index]
        scene = scenes[item.examples[0].extra["scene"]]
        erp = load_equirectangular(item.examples[0].image)
        turned = scene.rotated(shift_of(erp, item, dataset) * 360 / erp.shape[-1])
        for example in item.examples:
            asked += 1
            assert answer(turned, json.loads(example.extra["program"])) == example.answer
            moved += answer(scene, json.loads(example.extra["program"])) != example.answer
    assert asked > 50
    assert moved > 10, "some answers must have changed, or nothing was rolled"


def test_rolling_needs_scenes(shapes, tmp_path):
    (tmp_path / "train.jsonl").write_text((shapes / "train.jsonl").read_text())
    with pytest.raises(TableError, match="rolling needs the scenes of PanoShapes"):
        scene_roller(read_examples(tmp_path), "train")


@pytest.mark.parametrize("rolled", [False, True])
def test_the_cache_gives_the_same_items_without_the_picture(shapes, cutter, tmp_path, monkeypatch, rolled):
    examples = read_examples(shapes)
    settings = {"length": 12, "roll": scene_roller(examples, "train") if rolled else None}
    plain = PanoramaDataset(examples, cutter, **settings)
    cached = PanoramaDataset(examples, cutter, cache=str(tmp_path / "cache"), **settings)
    wanted = [plain[i].views for i in range(12)]
    assert all(torch.equal(cached[i].views, wanted[i]) for i in range(12))
    assert len(list((tmp_path / "cache").iterdir())) == 12

    def decoded(*args):
        raise AssertionError("decoded again")

    monkeypatch.setattr(PanoLLaVaImageProcessor, "fetch_images", decoded)
    again = PanoramaDataset(examples, cutter, cache=str(tmp_path / "cache"), **settings)
    assert all(torch.equal(again[i].views, wanted[i]) for i in range(12))


def test_another_plan_has_another_cache(shapes, cutter, tmp_path):
    examples = read_examples(shapes)
    wide = PanoLLaVaImageProcessor(size=32, fov_deg=100)
    first = PanoramaDataset(examples, cutter, cache=str(tmp_path), shuffle=False)[0]
    second = PanoramaDataset(examples, wide, cache=str(tmp_path), shuffle=False)[0]
    assert not torch.equal(first.views, second.views)


def spoil(shapes, tmp_path):
    folder = tmp_path / "spoilt"
    (folder / "images").mkdir(parents=True)
    for path in (shapes / "images").iterdir():
        (folder / "images" / path.name).write_bytes(path.read_bytes())
    (folder / "train.jsonl").write_text((shapes / "train.jsonl").read_text())
    bad = sorted((folder / "images").glob("train-*"))[5]
    bad.write_bytes(bad.read_bytes()[:500])
    return folder, bad.name


def test_a_bad_picture_ends_the_run_by_name(shapes, cutter, tmp_path):
    folder, name = spoil(shapes, tmp_path)
    dataset = PanoramaDataset(read_examples(folder), cutter, shuffle=False)
    assert dataset[4].error is None
    assert name in dataset[5].error
    assert "train.jsonl, row" in dataset[5].error
    assert "--skip-bad" in dataset[5].error


def test_or_it_is_passed_over_and_told(shapes, cutter, tmp_path):
    folder, name = spoil(shapes, tmp_path)
    dataset = PanoramaDataset(read_examples(folder), cutter, shuffle=False, skip_bad=True)
    item, following = dataset[5], dataset[6]
    assert torch.equal(item.views, following.views)
    assert item.examples == following.examples
    assert len(item.skipped) == 1
    assert name in item.skipped[0]
    assert dataset[4].skipped == []


def test_nothing_but_bad_pictures_is_an_error(shapes, cutter, tmp_path):
    folder, _ = spoil(shapes, tmp_path)
    for path in (folder / "images").iterdir():
        path.write_bytes(b"no picture")
    dataset = PanoramaDataset(read_examples(folder), cutter, skip_bad=True)
    assert "none of the 12 panoramas" in dataset[0].error


def test_easy_panoramas_come_first(shapes, cutter):
    examples = read_examples(shapes)
    objects = {}
    for line in (shapes / "scenes-train.jsonl").read_text().splitlines():
        scene = json.loads(line)
        objects[scene["name"]] = len(scene["objects"])
    dataset = PanoramaDataset(examples, cutter, length=600, easy_first=("objects", 0.5))
    names = [examples[dataset.groups[dataset.panorama_of(i)][0]].extra["scene"] for i in range(600)]
    smallest, largest = min(objects.values()), max(objects.values())
    for index, name in enumerate(names[:300]):
        assert objects[name] <= smallest + index / 300 * (largest - smallest)
    assert {objects[name] for name in names[280:300]} > {smallest}, "harder ones join in"
    assert set(names[300:]) == set(objects), "after the share, all are alike"
    again = PanoramaDataset(examples, cutter, length=600, easy_first=("objects", 0.5))
    assert [again.panorama_of(i) for i in (250, 3, 599)] == [dataset.panorama_of(i) for i in (250, 3, 599)]


def test_hard_questions_about_an_easy_panorama_wait(tmp_path, cutter):
    write_panoshapes(tmp_path, "train", 30, width=128, workers=1)  # enough for scenes of a single object
    examples = read_examples(tmp_path)
    difficulty = examples.numbers("difficulty")
    dataset = PanoramaDataset(examples, cutter, length=700, easy_first=("difficulty", 1.0))
    lone = next(place for place, rows in enumerate(dataset.groups) if {*difficulty[rows]} == {0, 3})
    dataset.panorama_of = lambda index: lone
    first, last = ([example.question for example in dataset[index].examples] for index in (0, 699))
    assert first
    assert all("shape" in question for question in first)
    assert sorted(last) == sorted(examples[row].question for row in dataset.groups[lone])
    assert len(first) < len(last)


def test_pairs_are_compared_near_the_front_first(shapes, cutter):
    examples = read_examples(shapes)
    scenes = {
        s["name"]: Scene.from_dict(s) for s in map(json.loads, (shapes / "scenes-train.jsonl").read_text().splitlines())
    }
    roll = scene_roller(examples, "train")
    dataset = PanoramaDataset(examples, cutter, length=400, easy_first=("aside", 1.0, 20), roll=roll)

    def aside(indices):
        """How far the second of two compared objects is from the front, in the panorama as it was rolled."""
        for index in indices:
            item = dataset[index]
            pairs = [json.loads(e.extra["program"])["second"] for e in item.examples if e.extra["family"] == "relative"]
            if pairs:
                erp = load_equirectangular(item.examples[0].image)
                turned = scenes[item.examples[0].extra["scene"]].rotated(shift_of(erp, item, dataset) * 360 / 128)
                kinds = {(o.colour, o.shape): o.yaw_deg for o in turned.objects}
                yield from (abs(kinds[pair["colour"], pair["shape"]]) for pair in pairs)

    early, late = list(aside(range(12))), list(aside(range(388, 400)))
    assert len(early) > 5
    assert max(early) <= 20 + 160 * 12 / 400
    assert max(late) > 120


def test_a_curriculum_needs_a_column_of_numbers(shapes, cutter):
    examples = read_examples(shapes)
    with pytest.raises(TableError, match="has no column 'size'; it has image, question"):
        PanoramaDataset(examples, cutter, easy_first=("size", 0.5))
    with pytest.raises(TableError, match="the column 'family' must hold numbers"):
        PanoramaDataset(examples, cutter, easy_first=("family", 0.5))
    with pytest.raises(TableError, match="starts at -1, below everything in the column 'difficulty'"):
        PanoramaDataset(examples, cutter, easy_first=("difficulty", 0.5, -1))


def test_favoured_questions_are_drawn_as_often_as_their_weights_say(shapes, cutter):
    examples = read_examples(shapes)
    favour = ("family", {"where": 3.0})
    dataset = PanoramaDataset(examples, cutter, length=4800, questions=1, favour=favour)
    rng = np.random.default_rng(0)
    for rows in dataset.groups[:4]:
        families = [examples[row].extra["family"] for row in rows]
        wheres = families.count("where")
        share = 3 * wheres / (3 * wheres + len(rows) - wheres)
        drawn = [examples[dataset._choose(rows, rng)[0]].extra["family"] == "where" for _ in range(1500)]
        error = (share * (1 - share) / 1500) ** 0.5
        assert abs(np.mean(drawn) - share) < 4 * error
    everything = PanoramaDataset(examples, cutter, favour=favour)
    assert sorted(everything._choose(rows, rng)) == rows, "weights leave nothing out where all are asked"


def test_favour_names_a_column_and_its_values(shapes, cutter):
    examples = read_examples(shapes)
    with pytest.raises(TableError, match="no row has 'were' in the column 'family'; its values are attribute, "):
        PanoramaDataset(examples, cutter, favour=("family", {"were": 2.0}))
    with pytest.raises(TableError, match="has no column 'kind'"):
        PanoramaDataset(examples, cutter, favour=("kind", {"where": 2.0}))


def test_a_word_is_one_token_wherever_it_stands(tmp_path):
    from panollava_hf.training._tokenizer import write_tokenizer
    from transformers import AutoTokenizer

    write_tokenizer(tmp_path, ["\nWhere is the red cube?", "red cube", "back left"] * 50, 400)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    red = tokenizer("red")["input_ids"]
    assert len(red) == 1
    assert red[0] in tokenizer("\nWhere is the red cube?")["input_ids"]
    text = "Straße, 東京 🙂"  # nothing is unknown
    assert tokenizer.decode(tokenizer(text)["input_ids"]).strip() == text
