import pytest


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A dozen PanoShapes scenes of the training split, and four of the test split."""
    from panollava_hf.panoshapes import write_panoshapes

    folder = tmp_path_factory.mktemp("data") / "panoshapes"
    write_panoshapes(folder, "train", 12, width=128, workers=1)
    write_panoshapes(folder, "test", 4, width=128, workers=1)
    return folder


@pytest.fixture(autouse=True)
def _caches(tmp_path_factory, monkeypatch):
    """`datasets` caches tables in a temporary folder."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


@pytest.fixture
def tiny(shapes, tmp_path):
    """A tiny recipe on these scenes, with changes."""
    from panollava_hf.training import load_recipe

    def recipe(*changes):
        return load_recipe("tiny", [f"output={tmp_path / 'run'}", f"data.source={shapes}", *changes])

    return recipe
