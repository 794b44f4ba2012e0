import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from panollava_hf.jobs import PanoramaAnswerer, PanoramaCaptioner, PanoramaCropper, PanoramaEmbedder
from panollava_hf.panoshapes import render_scene, sample_scene
from PIL import Image

datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'panollava-hf[jobs]'")

#: Python 3.12 and later warn of any fork of a process with threads.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:this image is unlike::"),  # the images are not scenes
]

JOBS = {
    "embed": "PanoramaEmbedder('embedded')",
    "caption": "PanoramaCaptioner('embedded', max_new_tokens=1)",
    "answer": "PanoramaAnswerer('embedded', max_new_tokens=1)",
    "crop": "PanoramaCropper('views', strategy='cubemap', size=16)",
}
NAMES = {c.__name__: c for c in (PanoramaAnswerer, PanoramaCaptioner, PanoramaCropper, PanoramaEmbedder)}


def made(name):
    return eval(JOBS[name], dict(NAMES))


def jpeg(index):
    """A rendered scene, which the embedded checkpoint knows."""
    buffer = io.BytesIO()
    Image.fromarray(render_scene(sample_scene(0, "test", index), 256)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def rows():
    """Six panoramas; the first two and the last one are broken, so a whole batch of the first process fails."""
    return {
        "id": [f"row{i}" for i in range(6)],
        "bytes": [b"", b"no image", jpeg(0), jpeg(1), jpeg(2), b"no image"],
        "path": [f"{i}.jpg" for i in range(6)],
        "question": ["What is ahead?"] * 6,
    }


@pytest.mark.parametrize("name", JOBS)
def test_map_gives_what_a_loop_gives_also_after_the_model_ran_in_the_parent(
    name, rows, tmp_path, monkeypatch, datasets_cache
):
    monkeypatch.chdir(tmp_path)
    job, table = made(name), datasets.Dataset.from_dict(rows)
    looped = job(rows)  # uses torch in this process, before datasets forks
    for processes in (None, 2):
        mapped = table.map(job, batched=True, batch_size=2, num_proc=processes, remove_columns=table.column_names)
        assert mapped["id"][:] == rows["id"]
        assert [error is not None for error in mapped["error"]] == [True, True, False, False, False, True]
        assert mapped["error"][:] == list(looped["error"])
        assert mapped.features["error"] == datasets.Value("string")
        for column in job.columns:
            values = mapped[column][:]
            assert values[0] is values[1] is values[5] is None
            if column not in ("vector", "views"):
                assert values == list(looped[column])
            if column in ("answer", "caption"):
                assert all(values[2:5])
        if name == "embed":
            np.testing.assert_allclose(mapped["vector"][2:5], np.stack(looped["vector"][2:5]), rtol=1e-4, atol=1e-6)
            assert [len(views) for views in mapped["views"][2:5]] == [6, 6, 6]


def test_the_cache_is_used_again(rows, tmp_path, monkeypatch, datasets_cache):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "table.parquet"
    datasets.Dataset.from_dict(rows).to_parquet(path)
    table = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    first = table.map(made("embed"), batched=True)
    again = table.map(made("embed"), batched=True)
    assert first.cache_files == again.cache_files != []
    other = table.map(PanoramaEmbedder("embedded", pooled_views="all", batch_size=3), batched=True)
    assert other.cache_files != first.cache_files


@pytest.mark.parametrize("name", JOBS)
def test_the_hash_is_stable_and_a_pickle_holds_settings_only(name, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = made(name)
    before = datasets.fingerprint.Hasher.hash(job)
    job(rows)
    assert datasets.fingerprint.Hasher.hash(job) == before
    assert len(pickle.dumps(job)) < 2500


def test_the_hash_is_that_of_another_process(tmp_path):
    code = (
        "from panollava_hf.jobs import *\nfrom datasets.fingerprint import Hasher\n"
        f"print(*[Hasher.hash(job) for job in [{', '.join(JOBS.values())}]])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert found.stdout.split() == [datasets.fingerprint.Hasher.hash(made(name)) for name in JOBS]


def test_a_table_gives_a_table_with_the_schema_of_the_job(rows):
    import pyarrow as pa

    job = made("embed")
    broken = job(pa.table(rows).slice(0, 2))  # all of its vectors are null
    whole = job(pa.table(rows).slice(2, 2))
    assert broken.schema == whole.schema == job.schema()
    assert broken["vector"].null_count == 2
    assert whole["vector"].null_count == 0


def test_a_data_frame_may_have_any_index_and_missing_cells(tmp_path):
    import pandas as pd
    from counting import CountingJob, result

    names = ["a", None, "bad", "d", "e"]
    frame = pd.DataFrame(
        {"image": [f"{n}.jpg" for n in range(5)], "id": names, "path": [None, "p1", np.nan, "p3", "p4"]}
    )
    for kind in (object, "string"):
        frame["id"] = frame["id"].astype(kind)
        part = frame.sort_index(ascending=False).iloc[1:4]  # rows 3, 2 and 1
        found = CountingJob(tmp_path / "log")(part)
        assert found["id"] == ["d", "bad", "p1"]
        assert found["path"] == ["p3", "2.jpg", "p1"]
        assert found["text"] == [result("d")["text"], None, result("p1")["text"]]
        assert [error is None for error in found["error"]] == [True, False, True]
