import json

import pytest


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Eight small scenes of PanoShapes, as PNG so that rolling a picture can be exact."""
    from panollava_hf.panoshapes import write_panoshapes

    folder = tmp_path_factory.mktemp("shapes") / "data"
    write_panoshapes(folder, "test", 8, width=256, image_format="png", workers=1)
    return folder


@pytest.fixture(scope="session")
def rows(shapes):
    from panollava_hf.evaluation import read_rows

    return read_rows(str(shapes))


@pytest.fixture(scope="session")
def scenes(rows):
    from panollava_hf.evaluation._scenes import read_scenes

    return read_scenes(rows.scenes)


@pytest.fixture(scope="session")
def answerer():
    from panollava_hf.asking._answerer import Answerer

    return Answerer.load()


@pytest.fixture
def table(tmp_path, panorama_file):
    """Writes a JSONL table beside a panorama, and returns its path."""

    def write(*records):
        path = tmp_path / "table.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write
