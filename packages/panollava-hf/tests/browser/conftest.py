"""The page of `panollava demo` in Chromium; run by `nox -s browser`, ignored by `nox -s tests`.

`PANOLLAVA_BROWSER=1` switches these tests on. `PANOLLAVA_CHROMIUM` names the browser, `PANOLLAVA_SPACE` the folder of a
Space whose app is tested in place of the command, `PANOLLAVA_SPACE_PYTHON` the Python for it, and
`PANOLLAVA_SCREENSHOTS` a folder for images of the page.
"""

import importlib.util
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).parent

if not os.environ.get("PANOLLAVA_BROWSER"):
    collect_ignore_glob = ["*"]
else:
    sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session")
def chromium():
    """The browser, which all tests share."""
    from playwright.sync_api import sync_playwright

    names = [os.environ.get("PANOLLAVA_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    program = next((found for name in names if name and (found := shutil.which(name))), None)
    if program is None:
        pytest.fail("there is no Chromium: install the package chromium, or name a program with PANOLLAVA_CHROMIUM")
    # Software rendering: `--use-gl=swiftshader` would have no WebGL.
    arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The running app: its address, its process, and a folder for temporary files of its own."""
    from server import running

    with running(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture
def slow_demo(tmp_path):
    """The app with a model at an endpoint that keeps each question waiting; `release` ends the waiting."""
    from server import running

    spec = importlib.util.spec_from_file_location("asking_loopback", HERE.parent / "asking" / "loopback.py")
    loopback = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loopback  # its data classes look their module up
    spec.loader.exec_module(loopback)
    release = threading.Event()
    answer = loopback.fine("a door on the left")
    answer.hang = release
    (tmp_path / "slow").mkdir()
    with loopback.serve(answer) as endpoint:
        options = ["--base-url", endpoint.url, "--model", "stand-in"]
        with running(tmp_path / "slow", *options) as server:
            server.release = release
            yield server
            release.set()


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Rendered scenes, by index."""
    from scenes import written

    return written(tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def open_page(chromium, demo):
    """Open the app in a new session; `size` is the width of a desktop or of a phone."""
    from page import SIZES, DemoPage

    contexts = []

    def opened(size="1280", address=None, **settings):
        width, height = SIZES[size]
        given = {"has_touch": size == "390", "reduced_motion": "reduce", **settings}
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, **given))
        return DemoPage(contexts[-1].new_page(), address or demo.address)

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(params=["1280", "390"])
def page(request, open_page):
    """The app at either size."""
    return open_page(request.param)
