"""Nothing of a session remains, and nothing leaves the app."""

import json
import urllib.error
import urllib.request


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def status(address):
    try:
        with urllib.request.urlopen(address, timeout=10) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_nothing_of_a_session_remains(open_page, scenes, demo):
    page = open_page("1280").load()
    page.upload(scenes["green-cube"].path)
    address = page.page.evaluate("new URL(panollavaViewer.image(), document.baseURI).href")
    assert status(address) == 200
    page.page.close()
    page = open_page("1280").load()  # gives the app time to end the session
    page.page.wait_for_function(
        "async address => (await fetch(address)).status === 404", arg=address, timeout=30_000, polling=200
    )
    assert status(address) == 404
    pixels = scenes["green-cube"].path.read_bytes()
    assert [path for path in files_in(demo.temporary) if path.read_bytes() == pixels] == [], "no copy of the upload"


def test_no_address_of_another_server_is_in_the_page(demo):
    with urllib.request.urlopen(demo.address, timeout=10) as reply:
        html = reply.read().decode()
    for other in ("googleapis", "gstatic", "cdnjs", "unpkg", "jsdelivr", "googletagmanager"):
        assert other not in html
    with urllib.request.urlopen(f"{demo.address}/config", timeout=10) as reply:
        assert json.loads(reply.read()).get("analytics_enabled") in (False, None)
