"""Queries through a small tower, the evaluation, and the commands."""

import json

import numpy as np
import pytest
import torch
from panollava_geometry import (
    PerspectiveView,
    extract_views,
    load_equirectangular,
    plan_views,
    rotate_equirectangular,
    rotation_matrix,
)
from panollava_geometry.drawing import colour
from panollava_hf import cli
from panollava_hf._errors import EvaluationError, TableError
from panollava_hf.jobs._embedder import PanoramaEmbedder
from panollava_hf.search import Hit, QueryEmbedder, evaluate_retrieval, read_vectors, search
from panollava_hf.search._distortion import Distortion, tilted
from panollava_hf.search._retrieval_results import Recall, wilson
from panollava_hf.search._sheet import hits_sheet
from PIL import Image

SIDE = 28
TURN = 97.0


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """A small random DINOv2 as transformers saves it."""
    from transformers import Dinov2Config, Dinov2Model

    folder = tmp_path_factory.mktemp("tower")
    torch.manual_seed(0)
    model = Dinov2Model(
        Dinov2Config(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=SIDE, patch_size=14, mlp_ratio=2
        )
    )
    for parameter in model.parameters():  # as after training: vectors of different images differ
        torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    settings = {
        "image_processor_type": "BitImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.25] * 3,
        "do_center_crop": True, "crop_size": {"height": SIDE, "width": SIDE}, "size": {"shortest_edge": 32},
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def panorama(seed, width=256):
    """A smooth panorama `[3, H, 2H]`, different for every seed, whose left and right edges meet."""
    generator = np.random.default_rng(seed)
    x, y = np.arange(width) / width * 2 * np.pi, np.linspace(-1, 1, width // 2)[:, None]
    planes = sum(
        generator.uniform(0.3, 1) * np.sin(k * x + generator.uniform(0, 6, (3, 1, 1)) + generator.normal() * y)
        for k in (1, 2, 3, 5)
    )
    return torch.from_numpy((np.tanh(planes) + 1) * 127).to(torch.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panoramas")
    for seed in range(6):
        Image.fromarray(panorama(seed).permute(1, 2, 0).numpy()).save(folder / f"{seed}.png")
    turned = rotate_equirectangular(panorama(4), TURN)
    Image.fromarray(turned.permute(1, 2, 0).numpy()).save(folder.parent / "query.png")
    return folder


@pytest.fixture(scope="module")
def embedder(tower):
    return QueryEmbedder(PanoramaEmbedder(str(tower), device="cpu"))


@pytest.fixture(scope="module")
def vectors(tower, folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("vectors") / "v.parquet"
    assert cli.run(["embed", str(folder), "-o", str(output), "--model", str(tower), "--device", "cpu"]) == 0
    return output


def test_a_query_at_heading_0_has_the_vectors_of_the_job(embedder):
    image = panorama(1)
    row = embedder.job({"image": [image.permute(1, 2, 0).numpy()]})
    query = embedder.embed(image.permute(1, 2, 0).numpy(), headings=1)
    np.testing.assert_allclose(query.vector, row["vector"][0], atol=1e-6)
    np.testing.assert_allclose(query.views, [view["vector"] for view in row["views"][0]], atol=1e-6)
    assert query.directions == tuple((view["yaw_deg"], view["pitch_deg"]) for view in row["views"][0])


def test_each_heading_is_a_ring_of_views_cut_there(embedder):
    image = panorama(2)
    query = embedder.embed(image, headings=2)
    assert query.directions[6:] == tuple((yaw, 0.0) for yaw in (30.0, 90.0, 150.0, -150.0, -90.0, -30.0))
    cut = extract_views(image, plan_views("e2p"), (SIDE, SIDE))
    again = extract_views(image, [PerspectiveView(yaw, 0.0) for yaw, _ in query.directions[6:]], (SIDE, SIDE))
    assert not torch.equal(cut, again)
    whole = extract_views(rotate_equirectangular(image, 30.0), plan_views(), (SIDE, SIDE))[:1]
    _, views = embedder.embed_cuts([torch.cat([whole, again])])
    np.testing.assert_allclose(query.views[6:], views[0], atol=1e-5)


def test_the_heading_of_a_hit_is_the_rotation(vectors, embedder, folder):
    query = embedder.embed(folder.parent / "query.png", headings=8)
    hit = search(read_vectors(vectors), query, 1)[0]
    assert hit.id == "4.png"
    assert abs(hit.heading_deg - TURN) < 4
    assert abs((hit.yaw_deg - hit.query_yaw_deg - TURN + 180) % 360 - 180) < 4


def test_a_panorama_agrees_with_its_rotation_at_the_heading_of_the_rotation(embedder):
    image = panorama(3)
    rows = embedder.embed(image, headings=1).views
    turned = rotate_equirectangular(image, 64 * 360 / 256 + 45 / 32)  # 65 columns
    assert embedder.agreement(turned, rows, 65 * 360 / 256) > 0.99999
    assert embedder.agreement(turned, rows, 65 * 360 / 256 + 5) < 0.9999


@pytest.mark.parametrize("headings", [1, 3, 8])
def test_the_image_of_a_row_has_score_1_and_heading_0(vectors, embedder, folder, headings):
    for name in ("0.png", "3.png"):
        hit = search(read_vectors(vectors), embedder.embed(folder / name, headings=headings), 1)[0]
        assert (hit.id, hit.heading_deg) == (name, 0.0)
        assert hit.score > 0.99999
        assert hit.similarity > 0.99999


def test_the_image_of_a_row_turned_by_columns_has_its_heading(vectors, embedder):
    turned = rotate_equirectangular(panorama(2), 45.0)  # 32 columns, and 6 of 8 headings
    hit = search(read_vectors(vectors), embedder.embed(turned, headings=8), 1)[0]
    assert (hit.id, hit.heading_deg) == ("2.png", 45.0)


def test_the_same_seed_gives_the_same_results_and_a_longer_run_begins_with_them(embedder):
    images = [panorama(seed) for seed in range(4)]
    distortion = Distortion(tilt=20, noise=3, brightness=0.1)
    short, long, again = (
        evaluate_retrieval(embedder, images, queries=n, distortion=distortion, self_similarity=1) for n in (6, 10, 6)
    )
    assert short.queries == long.queries[:6] == again.queries
    assert short.to_dict() | {"seconds": 0} == again.to_dict() | {"seconds": 0}
    other = evaluate_retrieval(embedder, images, queries=6, distortion=distortion, seed=1, self_similarity=0)
    assert [one["yaw_deg"] for one in other.queries] != [one["yaw_deg"] for one in short.queries]


def test_ranks_of_the_record_give_the_recall(embedder):
    results = evaluate_retrieval(embedder, [panorama(seed) for seed in range(12)], queries=24, self_similarity=2)
    ranks = [one["rank"] for one in results.queries]
    assert results.recalls[0].recall == {k: np.mean([rank <= k for rank in ranks]) for k in (1, 5, 10)}
    assert results.recalls[0].recall[1] == 1
    assert results.self_similarity["minimum"] > 0.999
    assert all((one["rank"] == 1) == (one["first"] == one["panorama"]) for one in results.queries)


def test_baselines_are_computed_apart(embedder):
    pytest.importorskip("py360convert")
    results = evaluate_retrieval(
        embedder, [panorama(seed) for seed in range(4)], queries=4, baselines=True, self_similarity=0
    )
    assert len(results.recalls) == 4


def test_unreadable_panoramas_are_left_out_and_named(embedder, folder, tmp_path):
    (tmp_path / "bad.jpg").write_text("no image")
    results = evaluate_retrieval(
        embedder, [folder / "0.png", tmp_path / "bad.jpg", folder / "1.png"], queries=2, self_similarity=0
    )
    assert (results.panoramas, list(results.failed)) == (2, [str(tmp_path / "bad.jpg")])
    with pytest.raises(EvaluationError, match="expected at least 2"):
        evaluate_retrieval(embedder, [tmp_path / "bad.jpg", folder / "1.png"], queries=2)


@pytest.mark.parametrize("towards", [0.0, 0.7, 2.0, 3.9, 5.5])
def test_a_tilt_has_its_angle_whatever_its_direction(towards):
    pitch, roll = tilted(20.0, towards)
    turned = np.asarray(rotation_matrix(33.0, pitch, roll))
    assert np.isclose(turned[1, 1], np.cos(np.radians(20)), atol=1e-6)  # between the old and the new vertical


@pytest.mark.parametrize("changes", [{"tilt": -1}, {"tilt": 91}, {"noise": float("nan")}, {"yaw": "left"}])
def test_impossible_distortions_are_refused(changes):
    with pytest.raises(EvaluationError, match="expected"):
        Distortion(**changes)


def test_the_interval_of_a_share_is_wilsons():
    low, high = wilson(9, 10)  # 0.5958 to 0.9821, Newcombe 1998, method 3
    assert (round(low, 4), round(high, 4)) == (0.5958, 0.9821)
    assert Recall.of("search", [0, 0, 7, 12]).recall == {1: 0.5, 5: 0.5, 10: 0.75}


def test_the_command_prints_hits_and_draws_them(vectors, folder, tmp_path, capsys):
    sheet = tmp_path / "hits.png"
    query = str(folder.parent / "query.png")
    assert cli.run(["search", str(vectors), query, "-k", "2", "--device", "cpu", "--contact-sheet", str(sheet)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "4.png" in first
    assert "yaw" in first
    assert "turned by +9" in first
    assert float(first.split()[0]) > float(second.split()[0])
    with Image.open(sheet) as image:
        assert image.height > image.width / 2
    assert cli.run(["search", str(vectors), query, "-k", "1", "--view", "30,0", "--json", "--device", "cpu"]) == 0
    hit = json.loads(capsys.readouterr().out)
    assert (hit["rank"], hit["query_yaw_deg"], hit["id"]) == (1, 30.0, "4.png")


@pytest.mark.parametrize("known", [True, False])
def test_a_sheet_shows_hits_of_every_kind(folder, known):
    path = str(folder / "3.png")
    hits = [
        Hit("a", path, 0.9, 0.9, 100.0, 20.0, -170.0, 0.0, 33.0),
        Hit("gone", "gone.png", 0.5, 0.5, 0.0, 0.0, -170.0, 0.0, 0.0),
        Hit("x" * 300, None, 0.4, 0.4, None, None, None, None, None),
    ]
    query = load_equirectangular(path) if known else None
    drawn = np.asarray(hits_sheet(query, "name " * 100, hits))
    rows = [(drawn[-396 * (3 - k) - 24 :][:396] == colour(k)).all(-1).sum() for k in range(3)]
    assert min(rows) > 500  # the number of each hit, on its colour
    assert (drawn[: 24 + 42 + 615] == colour(0)).all(-1).sum() > (500 if known else 0)
    assert tuple(drawn[-1, -1]) == (255, 255, 255)


def test_a_row_of_the_table_is_kept_or_left_out(vectors, capsys):
    assert cli.run(["search", str(vectors), "3.png", "-k", "9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert "3.png" in lines[0]
    assert lines[0].split()[0] == "1.000"
    assert cli.run(["search", str(vectors), "3.png", "-k", "9", "--exclude-self"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_the_file_of_a_row_is_left_out_by_a_relative_path_too(vectors, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert cli.run(["search", str(vectors), "3.png", "-k", "9", "--exclude-self", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert not any("3.png" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.jpg"], "not a file"),
        (["3.png", "--view", "90"], "expected yaw and pitch"),
        (["3.png", "--view", "0,91"], "expected yaw and pitch"),
        (["3.png", "--contact-sheet", "hits.gif"], "must end in"),
        (["3.png", "--index", "."], "this is a folder"),
    ],
)
def test_errors_of_the_command_are_one_line(vectors, capsys, arguments, message):
    assert cli.run(["search", str(vectors), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_a_manifest_only_ids_can_be_searched(vectors, folder, tmp_path):
    copy = tmp_path / "v.parquet"
    copy.write_bytes(vectors.read_bytes())
    table = read_vectors(copy)
    assert search(table, "2.png", 1)[0].id == "2.png"
    with pytest.raises(TableError, match="the model of these vectors is not known"):
        QueryEmbedder.of(table)


def test_a_model_that_was_moved_is_named_with_an_option(vectors, folder, tmp_path, capsys):
    copy = tmp_path / "v.parquet"
    copy.write_bytes(vectors.read_bytes())
    manifest = (vectors.parent / "v.parquet.manifest.json").read_text().replace("/tower", "/gone")
    (tmp_path / "v.parquet.manifest.json").write_text(manifest)
    assert cli.run(["search", str(copy), str(folder / "1.png"), "--device", "cpu"]) == 2
    assert "name it with --model" in capsys.readouterr().err


def test_eval_retrieval_writes_its_results(tower, folder, tmp_path, capsys):
    arguments = [
        "eval-retrieval", str(folder), "--model", str(tower), "--queries", "6", "--tilt", "5", "--device", "cpu",
        "--self-similarity", "1", "-o", str(tmp_path / "out"),
    ]  # fmt: skip
    assert cli.run(arguments) == 0
    assert "| search |" in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (results["panoramas"], len(results["queries"]), results["settings"]["seed"]) == (6, 6, 0)
    assert {one["panorama"] for one in results["queries"]} == {f"{seed}.png" for seed in range(6)}
    assert cli.run(["eval-retrieval", str(folder), "--tilt", "100"]) == 2
