"""Images of the page for the documentation, light and dark, at both sizes."""

import os
from pathlib import Path

import pytest
from page import SIZES
from panollava_hf.demo._samples import SAMPLES
from PIL import Image

FOLDER = os.environ.get("PANOLLAVA_SCREENSHOTS")


@pytest.mark.skipif(FOLDER is None, reason="--screenshots was not given")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_screenshots(open_page, size, scheme):
    page = open_page(size, color_scheme=scheme).load()
    question = next(iter(SAMPLES.values())).questions[0]
    page.ask(question)
    page.page.locator("[data-kind=spot]").first.click()
    page.wait_until_still()
    page.page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.page.mouse.move(2, 2)
    path = Path(FOLDER) / f"demo-{size}-{scheme}.jpg"
    page.page.screenshot(path=path, type="jpeg", quality=88, animations="disabled")
    with Image.open(path) as image:
        assert image.size == SIZES[size]


@pytest.mark.skipif(FOLDER is None, reason="--screenshots was not given")
def test_screenshot_of_the_evidence(open_page):
    page = open_page("1280").load()
    page.ask(next(iter(SAMPLES.values())).questions[1])
    page.tab("Evidence")
    page.button("explain").click()
    page.width_of_image("evidence")
    page.wait_until_idle()
    page.page.mouse.move(2, 2)
    path = Path(FOLDER) / "demo-evidence.jpg"
    page.element("tabs").screenshot(path=path, type="jpeg", quality=88, animations="disabled")
    with Image.open(path) as image:
        assert image.width > 1000
