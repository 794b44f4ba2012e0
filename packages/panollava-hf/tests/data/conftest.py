import pytest


@pytest.fixture(scope="session")
def shapes(training_scenes):
    return training_scenes


@pytest.fixture(autouse=True)
def _caches(datasets_cache):
    """`datasets` caches tables in a temporary folder."""
