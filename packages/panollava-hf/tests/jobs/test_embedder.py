"""`PanoramaEmbedder`: vectors of towers and checkpoints, compared with the same computation by hand."""

import io
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from panollava_geometry import extract_views, load_equirectangular, plan_views
from panollava_hf import PanoLLaVaImageProcessor
from panollava_hf._errors import ModelError
from panollava_hf.jobs._embedder import PanoramaEmbedder
from panollava_hf.jobs._embedder_model import direction
from panollava_hf.modeling_panollava_vision import PanoLLaVaForFeatureExtraction
from PIL import Image
from towers import MEAN, SIDE, STD, save_tower, seamless, write_eight


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tower")
    return folder, save_tower(folder)


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def by_hand(model, image, plan, **reading):
    """Vectors of the views of one panorama, and that of the panorama, from the tower alone."""
    panorama = load_equirectangular(image, max_width=plan.required_width(SIDE), **reading)
    views = extract_views(panorama, plan, SIDE).float().permute(0, 2, 3, 1).numpy() / 255
    pixels = torch.from_numpy((views - np.array(MEAN)) / np.array(STD)).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        return model(pixel_values=pixels).last_hidden_state[:, 0].numpy()


def files(tmp_path, panorama):
    """The same panorama in all kinds of cells, and their ids."""
    file = io.BytesIO()
    Image.fromarray(panorama).save(file, "png")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    return [
        str(tmp_path / "a.png"), file.getvalue(), Image.fromarray(panorama), panorama,
        {"bytes": file.getvalue(), "path": "a.png"}, {"bytes": None, "path": str(tmp_path / "a.png")},
    ]  # fmt: skip


def job(tower, **options):
    """The embedder of the CLS token and the tiles alone, which `by_hand` computes too."""
    return PanoramaEmbedder(str(tower[0]), pooling="cls", pooled_views="tiles", device="cpu", **options)


def test_the_default_joins_cls_and_patches_of_all_views(tower, panorama):
    plan = plan_views()
    views = extract_views(load_equirectangular(panorama, max_width=plan.required_width(SIDE)), plan, SIDE)
    pixels = torch.stack([(views[:, c] / 255 - MEAN[c]) / STD[c] for c in range(3)], dim=1)
    with torch.no_grad():
        tokens = tower[1](pixel_values=pixels).last_hidden_state.numpy()
    expected = np.concatenate([unit(tokens[:, 0]), unit(tokens[:, 1:].mean(1))], axis=1)
    rows = PanoramaEmbedder(str(tower[0]), device="cpu")({"image": [panorama]})
    np.testing.assert_allclose([view["vector"] for view in rows["views"][0]], unit(expected[1:]), atol=2e-5)
    np.testing.assert_allclose(rows["vector"][0], unit(expected.mean(0)), atol=2e-5)


def test_vectors_are_those_of_the_tower(tower, tmp_path, panorama):
    model, plan = tower[1], plan_views("anyres_e2p")
    images = files(tmp_path, panorama)
    rows = job(tower)({"image": images})
    assert rows["error"] == [None] * len(images)
    expected = by_hand(model, panorama, plan)
    for row in range(len(images)):
        views = rows["views"][row]
        assert (rows["width"][row], rows["height"][row]) == (256, 128)
        assert [(view["yaw_deg"], view["pitch_deg"]) for view in views] == [
            (view.yaw_deg, view.pitch_deg) for view in list(plan)[1:]
        ]
        np.testing.assert_allclose([view["vector"] for view in views], unit(expected[1:]), atol=2e-5)
        np.testing.assert_allclose(rows["vector"][row], unit(unit(expected[1:]).mean(0)), atol=2e-5)
        assert rows["vector"][row].dtype == np.float32
    assert np.ptp(unit(expected), axis=0).max() > 0.05, "the views of this tower differ"


def test_views_resemble_those_of_py360convert(tower, shared):
    e2p = pytest.importorskip("py360convert").e2p
    model = tower[1]
    paths = sorted((shared / "panoramas").glob("*.jpg"))
    rows = job(tower, strategy="cubemap")({"path": list(map(str, paths))})
    for path, views in zip(paths, rows["views"], strict=True):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((512, 256), Image.Resampling.BOX))
        for view in views:
            large = e2p(pixels, 90, view["yaw_deg"], view["pitch_deg"], (8 * SIDE, 8 * SIDE))
            tile = large.reshape(SIDE, 8, SIDE, 8, 3).mean((1, 3)) / 255
            normal = torch.from_numpy((tile - MEAN) / STD).float().permute(2, 0, 1)[None]
            with torch.no_grad():
                expected = model(pixel_values=normal).last_hidden_state[0, 0].numpy()
            assert unit(expected) @ view["vector"] > 0.97


@pytest.mark.parametrize("strategy", ["cubemap", "sliding_window", "resize", "anyres_max"])
def test_every_view_with_a_direction_has_a_vector(tower, panorama, strategy):
    embed = PanoramaEmbedder(str(tower[0]), strategy=strategy, pooling="cls", device="cpu")
    rows = embed({"image": [panorama]})
    plan = plan_views(strategy)
    expected = by_hand(tower[1], panorama, plan)
    directed = [index for index, view in enumerate(plan) if direction(view) is not None]
    views = rows["views"][0]
    assert len(views) == len(directed) == len(plan) - (strategy in ("resize", "anyres_max"))
    for view, index in zip(views, directed, strict=True):
        np.testing.assert_allclose(view["vector"], unit(expected[index]), atol=2e-5)
        yaw, pitch = direction(plan[index])
        assert (yaw, pitch) == (view["yaw_deg"], view["pitch_deg"])
        if strategy != "cubemap":
            middle = plan[index].pixels_to_angles(np.array([SIDE / 2, SIDE / 2]), (SIDE, SIDE))
            turned = (np.degrees(middle[0]) - yaw + 180) % 360 - 180
            np.testing.assert_allclose([turned, np.degrees(middle[1])], [0, pitch], atol=1e-4)
        assert -180 < yaw <= 180


@pytest.mark.filterwarnings("ignore:this image is unlike::")  # it is not a scene
def test_vectors_of_the_embedded_checkpoint(checkpoint, panorama, tmp_path):
    Image.fromarray(panorama).save(tmp_path / "a.png")
    model = PanoLLaVaForFeatureExtraction.from_pretrained(checkpoint).eval()
    from panollava_hf import PanoLLaVaProcessor

    cut = PanoLLaVaProcessor.from_pretrained(checkpoint).image_processor
    assert isinstance(cut, PanoLLaVaImageProcessor)
    with torch.no_grad():
        pooled = model(cut([str(tmp_path / "a.png")])["pixel_values"]).pooler_output.numpy()
    for name in ("embedded", str(checkpoint)):
        rows = PanoramaEmbedder(name, device="cpu")({"path": [str(tmp_path / "a.png")]})
        assert rows["error"] == [None]
        np.testing.assert_allclose(rows["vector"], unit(pooled), atol=2e-6)


def test_rows_that_fail_do_not_change_the_others(tower, tmp_path):
    paths = write_eight(tmp_path / "in")
    embed = PanoramaEmbedder(str(tower[0]), device="cpu")
    rows = embed({"path": list(map(str, paths))})
    good = [path.name.startswith("good") for path in paths]
    assert [error is None for error in rows["error"]] == good
    for row, path in enumerate(paths):
        if good[row]:
            alone = embed({"path": [str(path)]})
            np.testing.assert_allclose(rows["vector"][row], alone["vector"][0], atol=1e-5)
        else:
            assert [rows[name][row] for name in embed.columns] == [None] * 4
            assert "\n" not in rows["error"][row]
            assert path.name in rows["error"][row]
    assert embed({"path": [str(paths[0])]})["vector"] == [None]


def test_sizes_are_those_of_the_whole_panorama(tower, tmp_path):
    """Files are decoded coarser than they are; the size of a panorama is its own."""
    photo = (2048, 1024)
    image = Image.fromarray(seamless(0, photo[0]))
    image.save(tmp_path / "plain.jpg")
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    image.crop((0, 256, 2048, 768)).save(tmp_path / "strip.jpg")
    stereo = Image.new("RGB", (2048, 2048))
    stereo.paste(image, (0, 0))
    stereo.save(tmp_path / "stereo.jpg")

    def size(name, **options):
        rows = PanoramaEmbedder(str(tower[0]), device="cpu", **options)({"path": [str(tmp_path / name)]})
        assert rows["error"] == [None]
        return rows["width"][0], rows["height"][0]

    assert size("plain.jpg") == size("turned.jpg") == photo
    assert size("strip.jpg", hfov_deg=360) == photo
    assert size("strip.jpg", hfov_deg=180) == (4096, 2048)
    assert size("strip.jpg", whole_sphere=True) == photo
    assert size("stereo.jpg", eye="left") == photo


def test_the_options_of_reading_change_the_vector(tower, panorama):
    strip = panorama[32:96]

    def embed(**options):
        rows = job(tower, **options)({"image": [strip]})
        return rows["vector"][0], rows["error"][0]

    assert "pass" in embed()[1]
    vectors = [embed(**options)[0] for options in ({"hfov_deg": 360}, {"hfov_deg": 180}, {"whole_sphere": True})]
    for options, vector in zip(({"hfov_deg": 360}, {"hfov_deg": 180}), vectors, strict=False):
        expected = by_hand(tower[1], strip, plan_views(), **options)
        np.testing.assert_allclose(vector, unit(unit(expected[1:]).mean(0)), atol=2e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_a_job_pickles_by_name_before_and_after_use(tower, panorama):
    embed = PanoramaEmbedder(str(tower[0]), device="cpu", strategy="cubemap")
    first = embed({"image": [panorama]})
    copy = pickle.loads(pickle.dumps(embed))
    assert len(pickle.dumps(embed)) < 2000
    np.testing.assert_array_equal(copy({"image": [panorama]})["vector"], first["vector"])
    assert copy.settings() == embed.settings()


def test_threads_read_while_the_model_works(tower, tmp_path):
    paths = []
    for seed in range(12):
        paths.append(tmp_path / f"{seed}.png")
        Image.fromarray(seamless(seed)).save(paths[-1])
    embed = PanoramaEmbedder(str(tower[0]), device="cpu")
    batches = [{"path": [str(path)]} for path in paths]
    expected = [embed(batch)["vector"][0] for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = [embed.finish(prepared)["vector"][0] for prepared in pool.map(embed.prepare, batches)]
    np.testing.assert_array_equal(found, expected)


def test_settings_notice_other_weights(tmp_path):
    save_tower(tmp_path / "one", seed=0)
    before = PanoramaEmbedder(str(tmp_path / "one")).settings()
    assert PanoramaEmbedder(str(tmp_path / "one")).settings() == before
    json.dumps(before, allow_nan=False)
    save_tower(tmp_path / "one", seed=1)
    assert PanoramaEmbedder(str(tmp_path / "one")).settings() != before
    changed = [PanoramaEmbedder(str(tmp_path / "one"), **options).settings() for options in (
        {}, {"pooling": "max"}, {"strategy": "cubemap"}, {"num_views": 4}, {"view_size": 42}, {"dtype": "bfloat16"},
        {"eye": "left"},
    )]  # fmt: skip
    assert len({json.dumps(settings) for settings in changed}) == len(changed)


def test_too_little_memory_is_one_line(tower, panorama, monkeypatch):
    embed = PanoramaEmbedder(str(tower[0]), device="cpu")
    prepared = embed.prepare({"image": [panorama] * 2})
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        MemoryError(),
    ):

        def fail(*arguments, error=error, **options):
            raise error

        monkeypatch.setattr(embed.model.model, "forward", fail)
        with pytest.raises(ModelError, match=r"not enough memory for 1 panorama .*--view-size") as caught:
            embed.finish(prepared)
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(embed.model.model, "forward", lambda **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        embed.finish(prepared)


def test_a_model_that_does_not_exist_ends_the_job(tmp_path, panorama):
    with pytest.raises(ModelError) as caught:
        PanoramaEmbedder(str(tmp_path / "gone"))({"image": [panorama]})
    assert "gone" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_fit_the_schema(tower, panorama):
    pa = pytest.importorskip("pyarrow")
    embed = PanoramaEmbedder(str(tower[0]), device="cpu")
    schema = embed.schema()
    table = pa.table(embed({"id": ["a", "b"], "image": [panorama, "gone.jpg"]}), schema=schema)
    first, second = table.to_pylist()
    assert schema.names == ["id", "path", "width", "height", "vector", "views", "error"]
    assert schema.field("vector").type == pa.list_(pa.float32())
    assert (len(first["vector"]), len(first["views"]), first["error"]) == (32, 6, None)
    assert second == {**dict.fromkeys(schema.names), "id": "b", "path": "gone.jpg", "error": second["error"]}


@pytest.mark.parametrize(
    "name", ["one_pixel.png", "dual_fisheye.jpg", "orientation_6_already_upright.jpg", "gpano_zeros.jpg"]
)
@pytest.mark.filterwarnings("ignore::panollava_geometry.PanoramaWarning")
def test_odd_inputs_have_a_vector_or_an_error(tower, shared, name):
    path = Path(shared, "cases", name)
    rows = PanoramaEmbedder(str(tower[0]), device="cpu")({"path": [str(path)]})
    if rows["error"][0] is None:
        assert np.isclose(np.linalg.norm(rows["vector"][0]), 1, atol=1e-5)
        assert rows["width"][0] == load_equirectangular(path).shape[2]
    else:
        assert name in rows["error"][0]


@pytest.mark.parametrize("allowed", [True, False])
def test_redirects_to_private_addresses_must_be_allowed(tower, panorama, monkeypatch, allowed):
    from panollava_geometry import files
    from panollava_geometry._sources._address import private_redirect_option

    seen = []
    load = files.load_with_size
    monkeypatch.setattr(
        files,
        "load_with_size",
        lambda *given, **options: (seen.append(private_redirect_option()), load(*given, **options))[1],
    )
    job(tower, private_redirects=allowed)({"image": [panorama]})
    assert seen == [None if allowed else "private_redirects=True (--private-redirects)"]
    assert private_redirect_option() is None


@pytest.mark.filterwarnings("ignore:this image is unlike::")  # it is not a scene
def test_an_embedding_export_gives_the_vectors_of_its_checkpoint(tmp_path, panorama):
    from panollava_hf.cli import run

    assert run(["export", str(tmp_path / "export"), "--model", "embedded", "--for", "embedding"]) == 0
    exported, stored = (
        PanoramaEmbedder(name, device="cpu")({"image": [panorama]}) for name in (str(tmp_path / "export"), "embedded")
    )
    assert exported["error"] == [None]
    np.testing.assert_allclose(exported["vector"], stored["vector"], atol=1e-6)
