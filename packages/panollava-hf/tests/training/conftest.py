import sys
from pathlib import Path

import pytest

# `import own_table`: pytest's import mode finds no modules next to a test.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def shapes(training_scenes):
    return training_scenes


@pytest.fixture(autouse=True)
def _caches(datasets_cache):
    """`datasets` caches tables in a temporary folder."""


@pytest.fixture
def tiny(shapes, tmp_path):
    """A tiny recipe on these scenes, with changes."""
    from panollava_hf.training import load_recipe

    def recipe(*changes):
        return load_recipe("tiny", [f"output={tmp_path / 'run'}", f"data.source={shapes}", *changes])

    return recipe
