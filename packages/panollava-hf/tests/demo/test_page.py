"""The page as its server sends it, without a browser."""

import json
import re

import pytest

gr = pytest.importorskip("gradio")

from fastapi.testclient import TestClient  # noqa: E402
from panollava_hf.demo import DemoSettings, Models, build_app  # noqa: E402
from panollava_hf.demo._loading import prepare  # noqa: E402
from panollava_hf.demo._names import ELEMENTS  # noqa: E402

#: What makes a browser ask for something.
LOADED = re.compile(
    r"""(?:\b(?:src|srcset|poster|data|action)\s*=\s*|<link\b[^>]*\bhref\s*=\s*|url\(|@import\s+|\bimport\s*\(?\s*|"""
    r"""fetch\(\s*)["']?\s*((?:https?:)?//[^"'\s)>]+)"""
)


@pytest.fixture(scope="module")
def app(embedded):
    return build_app(Models([embedded]), DemoSettings(max_upload_mb=1))


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app, base_url="http://127.0.0.1") as found:
        yield found


def test_the_page_names_no_other_server(client):
    reply = client.get("/")
    assert reply.status_code == 200
    own = "http://127.0.0.1"
    assert [url for url in LOADED.findall(reply.text) if not url.startswith(own)] == []
    assert "fonts.g" not in reply.text
    assert "gradio.app" not in reply.text
    assert "cdn" not in reply.text.lower().replace("cdnurl", "")


def test_the_check_can_fail():
    assert LOADED.findall('<script src="https://cdn.example/x.js">') == ["https://cdn.example/x.js"]
    assert LOADED.findall("@import url(//fonts.example/a.css)") == ["//fonts.example/a.css"]


def test_the_styles_load_no_fonts(client):
    for path in re.findall(r'href="([^"]*theme\.css[^"]*)"', client.get("/").text):
        assert "http" not in client.get(path).text


def test_browsers_are_told_to_ask_nobody_else(client):
    for path in ("/", "/config", "/panollava/panorama/x.jpg"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "http" not in policy


def test_analytics_are_off(client):
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False
    assert config["footer_links"] == []


def test_all_elements_have_their_ids(client):
    text = client.get("/config").text
    own = {"viewer", "outlines"}  # inside the HTML of another element
    ids = {component["props"].get("elem_id") for component in client.get("/config").json()["components"]}
    assert {ELEMENTS[name] for name in ELEMENTS if name not in own} <= ids
    assert all(ELEMENTS[name] in text for name in own)


def test_every_field_has_a_label(client):
    kinds = {"textbox", "dropdown", "radio", "slider", "file", "chatbot"}
    for component in client.get("/config").json()["components"]:
        if component["type"] in kinds:
            assert component["props"].get("label"), component["props"].get("elem_id")


def test_an_image_is_served_to_who_has_its_token_only(client, app, panorama):
    session = app.state.sessions.of("a")
    session.show(prepare(panorama, "a"))
    address = f"/panollava/panorama/{session.shown.token}.jpg"
    reply = client.get(address)
    assert reply.content == session.shown.jpeg
    assert reply.headers["cache-control"] == "no-store"
    assert client.get("/panollava/panorama/x.jpg").status_code == 404
    app.state.sessions.end("a")
    assert client.get(address).status_code == 404


def test_large_uploads_are_refused(client):
    reply = client.post("/gradio_api/upload", files={"files": ("a.jpg", b"x" * (2 << 20))})
    assert reply.status_code == 413


def test_the_events_have_their_names(client):
    names = {entry["api_name"] for entry in client.get("/config").json()["dependencies"]}
    expected = {"load_file", "load_url", "load_sample", "ask", "stop", "new_chat", "find", "explain", "choose"}
    assert expected <= names


def test_texts_from_outside_are_escaped():
    from panollava_hf.demo import _fragments as fragments
    from panollava_hf.demo._page import plain
    from panollava_hf.demo._spots import HotSpot

    evil = "<img src=x onerror=alert(1)>\"'"
    spot = HotSpot(evil, 1.0, 2.0, "object", evil)
    for text in (fragments.message(evil), fragments.spot_buttons([spot]), fragments.state(None, [spot])):
        assert "<img" not in text
    state = fragments.state(None, [spot])
    value = json.loads(re.search(r'data-state="([^"]*)"', state)[1].replace("&quot;", '"').replace("&lt;", "<")
                       .replace("&gt;", ">").replace("&#x27;", "'").replace("&amp;", "&"))  # fmt: skip
    assert value["spots"][0]["label"] == evil
    assert "![" not in plain("![](https://example.com/x.png)").replace("!\\[", "")
