"""Search in files of vectors, against brute force in float64 and known rotations."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from panollava_hf._errors import TableError
from panollava_hf.search import Query, read_vectors, search
from panollava_hf.search._alignment import align, between
from panollava_hf.search._index_file import HEAD, MAGIC

RING = tuple((yaw, 0.0) for yaw in (0.0, 60.0, 120.0, 180.0, -120.0, -60.0))
WIDTH = 12


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def places(count, seed=0, width=WIDTH):
    """Views `[N, 6, D]` that share a large common part, as those of real towers do, and their mean vectors."""
    generator = np.random.default_rng(seed)
    views = unit(generator.normal(size=(count, 6, width)) + 3 * generator.normal(size=width))
    return views, unit(views.mean(1))


def rows_of(views, vectors, directions=RING, names=None):
    names = names or [f"place {n}" for n in range(len(views))]
    return [
        {
            "id": name,
            "path": f"{name}.jpg",
            "width": 8,
            "height": 4,
            "vector": vectors[n].tolist(),
            "views": [
                {"yaw_deg": yaw, "pitch_deg": pitch, "vector": view.tolist()}
                for (yaw, pitch), view in zip(directions, views[n], strict=True)
            ],
            "error": None,
        }
        for n, name in enumerate(names)
    ]


def bad(name):
    return dict.fromkeys(("width", "height", "vector", "views")) | {"id": name, "path": name, "error": "broken"}


def schema(width=WIDTH):
    vector = pa.list_(pa.float32(), width)
    view = pa.struct([("yaw_deg", pa.float32()), ("pitch_deg", pa.float32()), ("vector", vector)])
    names = [("id", pa.string()), ("path", pa.string()), ("width", pa.int32()), ("height", pa.int32())]
    return pa.schema([*names, ("vector", vector), ("views", pa.list_(view)), ("error", pa.string())])


def save(path, rows, group=5, width=WIDTH):
    pq.write_table(pa.Table.from_pylist(rows, schema=schema(width)), path, row_group_size=group)
    return path


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    views, vectors = places(23)
    rows = rows_of(views, vectors)
    rows[7:7] = [bad("a"), bad("b")]
    return save(tmp_path_factory.mktemp("vectors") / "v.parquet", rows), views, vectors


def brute_force(query_views, query_vector, views, vectors):
    """Score and shift of every place, in float64 and plain loops."""
    count = len(views)
    share = (count - 1) / count
    centre, view_centre = vectors.mean(0) * share, views.reshape(-1, views.shape[-1]).mean(0) * share
    found = []
    for n in range(count):
        whole = unit(query_vector - centre) @ unit(vectors[n] - centre)
        shifts = [
            np.mean([unit(query_views[j] - view_centre) @ unit(views[n][(j + s) % 6] - view_centre) for j in range(6)])
            for s in range(6)
        ]
        found.append(((whole + max(shifts)) / 2, int(np.argmax(shifts))))
    return found


def test_scores_equal_brute_force(stored):
    path, views, vectors = stored
    turned = np.roll(views[11], -2, 0)  # what it shows at yaw 0, place 11 shows at yaw 120
    noisy = unit(turned + 0.1 * np.random.default_rng(1).normal(size=turned.shape))
    query = Query(unit(noisy.mean(0)).astype(np.float32), noisy.astype(np.float32), RING)
    hits = search(read_vectors(path), query, 23)
    expected = brute_force(noisy, unit(noisy.mean(0)), views, vectors)
    order = sorted(range(23), key=lambda n: -expected[n][0])
    assert [hit.id for hit in hits] == [f"place {n}" for n in order]
    np.testing.assert_allclose([hit.score for hit in hits], [expected[n][0] for n in order], atol=2e-5)
    assert hits[0].id == "place 11"
    assert abs(hits[0].heading_deg - 120) < 15
    similarity = np.mean([noisy[j] @ views[11][(j + 2) % 6] for j in range(6)])
    assert hits[0].similarity == pytest.approx(similarity, abs=1e-5)


def test_an_id_finds_itself_and_can_be_left_out(stored):
    path, _, _ = stored
    table = read_vectors(path)
    first = search(table, "place 3", 2)[0]
    assert (first.id, first.path, first.score, first.similarity) == ("place 3", "place 3.jpg", 1.0, 1.0)
    assert (first.heading_deg, first.yaw_deg, first.pitch_deg) == (first.heading_deg, first.query_yaw_deg, 0.0)
    assert all(hit.id != "place 3" for hit in search(table, "place 3", 30, exclude="place 3"))
    assert len(search(table, "place 3", 30, exclude="place 3")) == 22


def test_rows_with_errors_are_counted_and_never_found(stored):
    table = read_vectors(stored[0])
    assert (table.rows, table.errors, len(table), table.width) == (25, 2, 23, WIDTH)
    assert {hit.id for hit in search(table, "place 0", 50)} == {f"place {n}" for n in range(23)}
    with pytest.raises(TableError, match="no panorama with the id 'a' that has a vector"):
        search(table, "a")


def test_one_view_finds_the_view_and_the_heading(stored):
    path, views, _ = stored
    query = Query(np.ones(WIDTH, np.float32), views[9][2:3].astype(np.float32), ((35.0, 0.0),))
    hit = search(read_vectors(path), query, 1, view=0)[0]
    assert (hit.id, hit.yaw_deg, hit.pitch_deg, hit.query_yaw_deg, hit.heading_deg) == (
        "place 9",
        120.0,
        0.0,
        35.0,
        85.0,
    )
    assert hit.similarity == pytest.approx(1, abs=1e-5)


def test_a_folder_of_parts_is_one_table(stored, tmp_path):
    _, views, vectors = stored
    rows = rows_of(views, vectors)
    save(tmp_path / "part-0.parquet", rows[:10])
    save(tmp_path / "part-1.parquet", rows[10:])
    (tmp_path / "_manifest.json").write_text(json.dumps({"settings": {"job": "embed", "model": "m"}}))
    table = read_vectors(tmp_path)
    assert (len(table), table.settings["model"]) == (23, "m")
    assert search(table, "place 12", 23) == search(read_vectors(stored[0]), "place 12", 23)


def test_an_index_finds_the_same_and_refuses_another_table(tmp_path):
    views, vectors = places(400, seed=3)
    path = save(tmp_path / "v.parquet", rows_of(views, vectors), group=64)
    table, index = read_vectors(path), tmp_path / "v.faiss"
    for name in ("place 5", "place 399", "place 5"):
        assert search(table, name, 1, index=index)[0].id == name
    other = save(tmp_path / "other.parquet", rows_of(views[:50], vectors[:50]))
    with pytest.raises(TableError, match="of another table"):
        search(read_vectors(other), "place 5", 1, index=index)


def test_an_index_of_a_table_with_vectors_that_are_not_finite_is_used_again(tmp_path):
    views, vectors = places(30, seed=4)
    vectors[7, 0] = np.nan
    table = read_vectors(save(tmp_path / "v.parquet", rows_of(views, vectors)))
    found = [search(table, "place 5", 40, index=tmp_path / "v.index") for _ in range(2)]
    assert found[0] == found[1]
    assert found[0][0].id == "place 5"
    assert all(hit.id != "place 7" for hit in found[0])


def test_views_that_are_not_finite_resemble_nothing_and_views_need_directions(tmp_path):
    views, vectors = places(6, seed=4)
    rows = rows_of(views, vectors)
    rows[2]["views"][1]["vector"] = [float("nan")] * WIDTH
    hits = search(read_vectors(save(tmp_path / "v.parquet", rows)), "place 1", 9)
    assert [hits[0].id, len(hits)] == ["place 1", 6]
    assert all(np.isfinite(hit.score) for hit in hits)
    rows[3]["views"][1]["yaw_deg"] = float("nan")
    with pytest.raises(TableError, match="a view has no yaw or pitch"):
        search(read_vectors(save(tmp_path / "w.parquet", rows)), "place 1", 9)


def head(content, **changes):
    fields = json.loads(content[len(MAGIC) : HEAD]) | changes
    return (MAGIC + json.dumps(fields).encode()).ljust(HEAD) + content[HEAD:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"IwSq" + bytes(range(256)) * 40,
        lambda content: content[:-1],
        lambda content: content[:HEAD],
        lambda content: MAGIC + b"[" * 400,
        lambda content: head(content, rows=-1),
        lambda content: head(content, rows=2**62),
        lambda content: head(content, width=True),
        lambda content: head(content, clusters=10**30),
        lambda content: head(content, rows="40"),
        lambda content: content[:HEAD] + b"\xff" * (len(content) - HEAD),
        lambda content: content[: HEAD + 8] + b"\x7f" * 8 + content[HEAD + 16 :],
        lambda content: content[: HEAD + 8 * 7] + b"\x7f" * 8 * 40 + content[HEAD + 8 * 47 :],
    ],
    ids=[
        "empty", "of FAISS", "cut", "head alone", "JSON too deep", "negative", "huge", "bool", "more clusters", "text",
        "all ones", "starts", "places",
    ],
)  # fmt: skip
def test_a_damaged_index_is_one_line(tmp_path, damage):
    views, vectors = places(40, seed=3)
    table = read_vectors(save(tmp_path / "v.parquet", rows_of(views, vectors)))
    index = tmp_path / "v.index"
    search(table, "place 5", 1, index=index)
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(TableError, match=r"remove the file, and it is made again|name another file"):
        search(table, "place 5", 1, index=index)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_small_tables_can_be_searched(tmp_path, count):
    views, vectors = places(count, seed=count)
    table = read_vectors(save(tmp_path / "v.parquet", rows_of(views, vectors)))
    hits = search(table, f"place {count - 1}", 5)
    assert (hits[0].id, hits[0].score, len(hits)) == (f"place {count - 1}", 1.0, count)


def test_without_directions_the_vectors_alone_count(tmp_path):
    views, vectors = places(4)
    rows = [row | {"views": []} for row in rows_of(views, vectors)]
    hit = search(read_vectors(save(tmp_path / "v.parquet", rows)), "place 2", 1)[0]
    assert (hit.id, hit.score, hit.yaw_deg, hit.heading_deg) == ("place 2", 1.0, None, None)


def test_rows_with_different_views_are_compared_each_by_its_own(tmp_path):
    views, vectors = places(4)
    four = tuple((yaw, 0.0) for yaw in (0.0, 90.0, 180.0, -90.0))
    rows = [*rows_of(views[:2], vectors[:2]), *rows_of(views[2:, :4], vectors[2:], four, ["c", "d"])]
    table = read_vectors(save(tmp_path / "v.parquet", rows))
    assert search(table, "c", 1)[0].id == "c"
    assert search(table, "place 1", 1)[0].id == "place 1"


def test_variable_lists_of_double_are_read_too(stored, tmp_path):
    table = pq.read_table(stored[0])
    values = pa.array([None if v is None else [float(x) for x in v] for v in table["vector"].to_pylist()])
    path = tmp_path / "v.parquet"
    pq.write_table(table.set_column(table.schema.get_field_index("vector"), "vector", values), path)
    assert [hit.id for hit in search(read_vectors(path), "place 4", 3)] == [
        hit.id for hit in search(read_vectors(stored[0]), "place 4", 3)
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "no .parquet files"),
        (lambda path: path.write_text("id,vector"), "not a readable Parquet file"),
        (lambda path: pq.write_table(pa.table({"id": ["a"]}), path), "no column path, vector, views"),
        (lambda path: save(path, [bad("a")]), "no row has a vector"),
    ],
)
def test_files_that_are_not_vectors_are_one_line(tmp_path, make, message):
    path = tmp_path / "v.parquet"
    make(path)
    with pytest.raises(TableError, match=message) as caught:
        read_vectors(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_that_does_not_exist_names_the_nearest(stored):
    path, _, _ = stored
    with pytest.raises(TableError, match=rf"no such file or folder; did you mean .*{re.escape(path.name)}"):
        read_vectors(path.with_suffix(".parqet"))


def test_vectors_of_another_width_are_refused(stored):
    query = Query(np.ones(5, np.float32), np.ones((1, 5), np.float32), ((0.0, 0.0),))
    with pytest.raises(TableError, match="5 numbers"):
        search(read_vectors(stored[0]), query)


def test_a_denser_query_meets_the_ring_at_more_headings():
    dense = tuple((yaw + turn, 0.0) for turn in (0.0, 15.0, 30.0, 45.0) for yaw, _ in RING)
    alignment = align(dense, RING)
    assert alignment.headings_deg.tolist() == sorted(180.0 - 15 * n for n in range(24))
    np.testing.assert_allclose(alignment.pairs.sum((1, 2)), 1, rtol=1e-6)
    assert (np.count_nonzero(alignment.pairs, axis=(1, 2)) == 6).all()


@pytest.mark.parametrize("true", [-178.0, -61.0, 0.0, 3.5, 97.0])
def test_a_heading_between_those_that_were_compared_is_found(true):
    """Views whose similarity falls off evenly with the angle between them, on a circle of 720 half degrees."""
    yaws = np.arange(0, 360, 0.5)
    apart = np.abs((yaws[:, None] - yaws[None] + 180) % 360 - 180)
    values, axes = np.linalg.eigh(np.exp(-((apart / 40) ** 0.6)))
    circle = axes * np.sqrt(np.maximum(values, 0))  # rows with these similarities

    def at(yaw):
        return circle[round(yaw % 360 * 2) % 720]

    dense = tuple((yaw + turn, 0.0) for turn in (0.0, 15.0, 30.0, 45.0) for yaw, _ in RING)
    alignment = align(dense, RING)
    query = np.array([at(yaw) for yaw, _ in dense], np.float32)
    row = np.array([at(yaw - true) for yaw, _ in RING], np.float32)
    scores = alignment.scores(query, row[None])
    (found,) = between(alignment, query, scores, scores.argmax(1))
    assert abs((found - true + 180) % 360 - 180) < (1.5 if true % 15 else 1e-9)


def test_the_image_of_a_row_is_found_at_heading_0_with_a_score_of_1(stored):
    path, views, vectors = stored
    rng = np.random.default_rng(7)
    turns = [rng.normal(size=(6, WIDTH)) for _ in range(2)]  # between two tiles, everything is different
    ring = np.concatenate([views[4], *map(unit, turns)]).astype(np.float32)
    wholes = np.stack([vectors[4], *(unit(turn.mean(0)) for turn in turns)]).astype(np.float32)
    directions = tuple((yaw + turn, 0.0) for turn in (0.0, 20.0, 40.0) for yaw, _ in RING)
    query = Query(unit(wholes.mean(0)), ring, directions, wholes)
    hit = search(read_vectors(path), query, 1)[0]
    assert (hit.id, hit.score, hit.similarity, hit.heading_deg) == ("place 4", 1.0, 1.0, 0.0)


def test_the_lancedb_snippet_of_the_docs_runs(stored, tmp_path, monkeypatch, capsys):
    pytest.importorskip("lancedb")
    docs = Path(__file__).parents[4] / "docs" / "search.md"
    if not docs.exists():
        pytest.skip("docs are not part of the source distribution")
    snippet = next(
        code for code in re.findall(r"```python\n(.*?)```", docs.read_text(), re.S) if "import lancedb" in code
    )
    (tmp_path / "vectors.parquet").write_bytes(stored[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, str(docs), "exec"), {})
    cosines = stored[2] @ stored[2][0]
    lines = [line.rsplit(" ", 1) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == [f"place {n}" for n in np.argsort(-cosines)[:5]]
    np.testing.assert_allclose([float(value) for _, value in lines], np.sort(cosines)[::-1][:5], atol=1e-3)
