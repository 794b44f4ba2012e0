"""Images of the page for the documentation, light and dark, at both sizes."""

import os
from pathlib import Path

import pytest
from page import SIZES

FOLDER = os.environ.get("PANOLLAVA_SCREENSHOTS")


@pytest.mark.skipif(FOLDER is None, reason="--screenshots was not given")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_screenshots(open_page, scenes, size, scheme):
    asked = scenes["purple-sphere"]
    page = open_page(size, color_scheme=scheme).load()
    page.upload(asked.path)
    page.ask(asked.question)
    page.page.locator("[data-kind=spot]").first.click()
    page.wait_until_still()
    page.page.screenshot(path=Path(FOLDER) / f"demo-{size}-{scheme}.png", full_page=size == "390")
