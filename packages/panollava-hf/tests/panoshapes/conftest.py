import numpy as np
import pytest
from panollava_hf.panoshapes import questions, sample_scene


@pytest.fixture(scope="session")
def scenes():
    return [sample_scene(5, "test", index) for index in range(250)]


@pytest.fixture(scope="session")
def asked(scenes):
    """Every question of every scene, with its scene."""
    rng = np.random.default_rng(11)
    return [(scene, question) for scene in scenes for question in questions(scene, rng, limit_per_family=3)]
