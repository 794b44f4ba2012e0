"""The documentation page: its images and its table are what the command writes."""

import re
from pathlib import Path

import numpy as np
import pytest
from panollava_hf.panoshapes import render_scene, sample_scene, write_panoshapes
from panollava_hf.panoshapes._dataset import summarise
from panollava_hf.panoshapes.families import family_names
from PIL import Image

DOCS = Path(__file__).resolve().parents[4] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is only in a checkout")


@pytest.mark.parametrize(
    ("name", "seed", "index", "width", "size"),
    [("panoshapes-example.jpg", 21640, 0, 768, 60_000), ("sample-panorama.jpg", 15196, 0, 2048, 180_000)],
)
def test_images_show_the_scenes_that_the_documentation_names(name, seed, index, width, size):
    path = DOCS / "assets" / name
    assert path.stat().st_size < size
    with Image.open(path) as image:
        shown = np.asarray(image).astype(float)
    assert abs(shown - render_scene(sample_scene(seed, "test", index), width)).mean() < 3


def test_the_sample_is_what_the_documentation_says():
    scene = sample_scene(15196, "test", 0)
    assert {item.name: item.direction for item in scene.objects} == {
        "yellow cone": "front",
        "red cone": "front right",
        "green sphere": "right",
        "yellow sphere": "back right",
        "purple torus": "back",
        "blue cylinder": "back",
    }
    (across,) = [item for item in scene.objects if abs(item.yaw_deg) > 175]
    assert across.name == "blue cylinder"


@pytest.mark.slow
def test_table_is_what_the_command_prints(tmp_path):
    rows = {}
    for line in (DOCS / "panoshapes.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"\s*\|\s*", line.strip("| "))]
        if cells[0] in family_names():
            rows[cells[0]] = cells[3:]
    write_panoshapes(tmp_path / "out", "test", 1000, width=64)
    measured = {
        row.family: [str(row.questions), str(row.answers), f"{row.prior:.1%}", row.commonest]
        for row in summarise(tmp_path / "out" / "test.jsonl")
    }
    assert rows == measured
