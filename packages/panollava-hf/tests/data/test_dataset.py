"""Items of a dataset: views, questions that rotate with their panorama, the cache, and unreadable images."""

import json

import pytest
import torch
from panollava_geometry import PanoramaError, extract_views, load_equirectangular
from panollava_geometry._sources._address import private_redirect_option
from panollava_hf import PanoLLaVaImageProcessor
from panollava_hf._errors import TableError
from panollava_hf.data._dataset import PanoramaDataset
from panollava_hf.data._examples import read_examples
from panollava_hf.data._order import ItemOrder, RisingLimit
from panollava_hf.panoshapes import Scene, answer, write_panoshapes
from panollava_hf.training._scene_augmentation import scene_augmentation


@pytest.fixture
def cutter():
    return PanoLLaVaImageProcessor(size=32)


def dataset_of(examples, cutter, *, yaw_augmentation=None, cache=None, skip_bad=False, **order):
    """A dataset with the order that the keywords describe; the default is one pass."""
    groups = examples.groups()
    order = ItemOrder(groups, **{"length": len(groups), **order})
    return PanoramaDataset(examples, order, cutter, yaw_augmentation=yaw_augmentation, cache=cache, skip_bad=skip_bad)


def test_items_depend_on_seed_and_index_alone(shapes, cutter):
    examples = read_examples(shapes)
    settings = {"length": 40, "questions": 3, "seed": 5, "yaw_augmentation": scene_augmentation(examples, "train")}
    first, second = (dataset_of(examples, cutter, **settings) for _ in range(2))
    for index in (30, 2, 17):  # in any order
        assert torch.equal(first[index].views, second[index].views)
        assert first[index].examples == second[index].examples


def test_views_are_those_of_the_processor(shapes, cutter):
    dataset = dataset_of(read_examples(shapes), cutter, shuffle=False)
    item = dataset[3]
    direct = cutter.denormalise(cutter(item.examples[0].image)["pixel_values"][0])
    assert torch.equal(item.views, direct)


def shift_of(erp, item, dataset):
    """By how many columns a panorama was rotated, found from the views alone."""
    found = [
        shift
        for shift in range(erp.shape[-1])
        if torch.equal(extract_views(erp.roll(shift, -1), dataset.plan, dataset.size), item.views)
    ]
    assert len(found) == 1
    return found[0]


def test_rotated_questions_are_true_of_the_rotated_image(shapes, cutter):
    examples = read_examples(shapes)
    rotation = scene_augmentation(examples, "train")
    dataset = dataset_of(examples, cutter, length=16, yaw_augmentation=rotation, seed=1)
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
    assert moved > 10, "some answers must have changed, or nothing was rotated"


def test_yaw_augmentation_needs_scenes(shapes, tmp_path):
    (tmp_path / "train.jsonl").write_text((shapes / "train.jsonl").read_text())
    with pytest.raises(TableError, match="yaw augmentation needs the scenes of PanoShapes"):
        scene_augmentation(read_examples(tmp_path), "train")


@pytest.mark.parametrize("rotated", [False, True])
def test_the_cache_gives_the_same_items_without_the_image(shapes, cutter, tmp_path, monkeypatch, rotated):
    examples = read_examples(shapes)
    settings = {"length": 12, "yaw_augmentation": scene_augmentation(examples, "train") if rotated else None}
    plain = dataset_of(examples, cutter, **settings)
    cached = dataset_of(examples, cutter, cache=str(tmp_path / "cache"), **settings)
    wanted = [plain[i].views for i in range(12)]
    assert all(torch.equal(cached[i].views, wanted[i]) for i in range(12))
    assert len(list((tmp_path / "cache").iterdir())) == 12

    def decoded(*args):
        raise AssertionError("decoded again")

    monkeypatch.setattr(PanoLLaVaImageProcessor, "fetch_images", decoded)
    again = dataset_of(examples, cutter, cache=str(tmp_path / "cache"), **settings)
    assert all(torch.equal(again[i].views, wanted[i]) for i in range(12))


def test_another_plan_has_another_cache(shapes, cutter, tmp_path):
    examples = read_examples(shapes)
    wide = PanoLLaVaImageProcessor(size=32, fov_deg=100)
    first = dataset_of(examples, cutter, cache=str(tmp_path), shuffle=False)[0]
    second = dataset_of(examples, wide, cache=str(tmp_path), shuffle=False)[0]
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


def test_an_unreadable_image_ends_the_run_by_name(shapes, cutter, tmp_path):
    folder, name = spoil(shapes, tmp_path)
    dataset = dataset_of(read_examples(folder), cutter, shuffle=False)
    assert dataset[4].error is None
    assert name in dataset[5].error
    assert "train.jsonl, row" in dataset[5].error
    assert "--skip-bad" in dataset[5].error


def test_or_it_is_skipped_and_reported(shapes, cutter, tmp_path):
    folder, name = spoil(shapes, tmp_path)
    dataset = dataset_of(read_examples(folder), cutter, shuffle=False, skip_bad=True)
    item, following = dataset[5], dataset[6]
    assert torch.equal(item.views, following.views)
    assert item.examples == following.examples
    assert len(item.skipped) == 1
    assert name in item.skipped[0]
    assert dataset[4].skipped == []


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("kind", ["refused", "missing", "outside"])
def test_every_unreadable_image_is_skipped(shapes, cutter, tmp_path, monkeypatch, kind, cached):
    folder, name = spoil(shapes, tmp_path)
    if kind == "refused":
        read = PanoLLaVaImageProcessor.fetch_images

        def fetch(self, image):
            if image.name == name:
                raise PanoramaError("whatever a decoder says")
            return read(self, image)

        monkeypatch.setattr(PanoLLaVaImageProcessor, "fetch_images", fetch)
    else:
        (folder / "images" / name).unlink()
        if kind == "outside":
            (folder / "images" / name).symlink_to(shapes / "images" / name)
    cache = str(tmp_path / "cache") if cached else None
    item = dataset_of(read_examples(folder), cutter, shuffle=False, skip_bad=True, cache=cache)[5]
    assert item.error is None
    assert len(item.skipped) == 1
    assert item.skipped[0].count("train.jsonl, row") == 1
    stopped = dataset_of(read_examples(folder), cutter, shuffle=False, cache=cache)[5]
    assert item.skipped[0] in stopped.error


@pytest.mark.parametrize(("allowed", "option"), [(False, "data.private_redirects: true"), (True, None)])
def test_urls_of_a_table_do_not_lead_into_the_local_network(shapes, cutter, monkeypatch, allowed, option):
    seen = []

    def fetch(self, image):
        seen.append(private_redirect_option())
        raise PanoramaError("not read")

    monkeypatch.setattr(PanoLLaVaImageProcessor, "fetch_images", fetch)
    examples = read_examples(shapes)
    order = ItemOrder(examples.groups(), length=1)
    assert PanoramaDataset(examples, order, cutter, private_redirects=allowed)[0].error
    assert seen == [option]
    assert private_redirect_option() is None


def test_our_own_bugs_keep_their_traceback(shapes, cutter, monkeypatch):
    def fetch(self, image):
        raise ZeroDivisionError

    monkeypatch.setattr(PanoLLaVaImageProcessor, "fetch_images", fetch)
    with pytest.raises(ZeroDivisionError):
        dataset_of(read_examples(shapes), cutter, skip_bad=True)[0]


def test_a_damaged_cache_is_not_blamed_on_the_image(shapes, cutter, tmp_path):
    examples = read_examples(shapes)
    wanted = dataset_of(examples, cutter, cache=str(tmp_path), shuffle=False)[0].views
    for entry in tmp_path.iterdir():
        entry.write_bytes(b"")
    item = dataset_of(examples, cutter, cache=str(tmp_path), shuffle=False, skip_bad=True)[0]
    assert item.skipped == []
    assert torch.equal(item.views, wanted)


def test_a_full_disk_is_not_an_unreadable_image(shapes, cutter, tmp_path, monkeypatch):
    def full(path, content, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("panollava_hf.data._view_cache.write_whole", full)
    item = dataset_of(read_examples(shapes), cutter, cache=str(tmp_path), skip_bad=True)[0]
    assert "No space left on device" in item.error
    assert "data.cache" in item.error


def test_only_unreadable_images_are_an_error(shapes, cutter, tmp_path):
    folder, _ = spoil(shapes, tmp_path)
    for path in (folder / "images").iterdir():
        path.write_bytes(b"not an image")
    dataset = dataset_of(read_examples(folder), cutter, skip_bad=True)
    assert "none of the 12 panoramas" in dataset[0].error
    assert "can be used: " in dataset[0].error


def test_hard_questions_about_an_easy_panorama_come_later(tmp_path, cutter):
    write_panoshapes(tmp_path, "train", 30, width=128, workers=1)  # enough for scenes of a single object
    examples = read_examples(tmp_path)
    difficulty = examples.numbers("difficulty")
    curriculum = RisingLimit("difficulty", difficulty, 1.0)
    dataset = dataset_of(examples, cutter, length=700, curriculum=curriculum)
    groups = dataset.order.groups
    lone = {panorama for panorama, rows in enumerate(groups) if {*difficulty[rows]} == {0, 3}}
    early, late = (
        next(i for i in indices if dataset.order.panorama(i) in lone) for indices in (range(30), range(660, 700))
    )
    first, last = ([example.question for example in dataset[index].examples] for index in (early, late))
    assert first
    assert all("shape" in question for question in first)
    assert sorted(last) == sorted(examples[row].question for row in groups[dataset.order.panorama(late)])
    assert len(first) < len(last)


def test_pairs_are_compared_near_the_front_first(shapes, cutter):
    examples = read_examples(shapes)
    scenes = {
        s["name"]: Scene.from_dict(s) for s in map(json.loads, (shapes / "scenes-train.jsonl").read_text().splitlines())
    }
    curriculum = RisingLimit("aside", examples.numbers("aside"), 1.0, 20)
    rotation = scene_augmentation(examples, "train")
    dataset = dataset_of(examples, cutter, length=400, curriculum=curriculum, yaw_augmentation=rotation)

    def aside(indices):
        """How far the second of two compared objects is from the front, in the rotated panorama."""
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


def test_a_curriculum_holds_for_the_panorama_taken_instead_too(shapes, cutter, tmp_path):
    folder, bad = spoil(shapes, tmp_path)
    examples = read_examples(folder)
    values = examples.numbers("aside")
    curriculum = RisingLimit("aside", values, 1.0)
    dataset = dataset_of(examples, cutter, length=300, curriculum=curriculum, skip_bad=True)
    replaced = [index for index in range(300) if dataset.order.panorama(index) == 5][:5]
    assert replaced
    for index in replaced:
        assert len(dataset[index].skipped) == 1
        asked = [int(example.where.rpartition(" ")[2]) - 1 for example in dataset[index].examples]
        assert bad not in str(dataset[index].examples[0].image)
        assert len(asked) < len(dataset.order.groups[6]), "hard questions are left out"
        assert values[asked].max() <= dataset.order.limit(index).value
