import http.server
import threading

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError
from panollava_hf.demo._events import Events
from panollava_hf.demo._fragments import sentence
from panollava_hf.demo._loading import DEFAULT_SHAPE, MAX_WIDTH, prepare, read_url
from panollava_hf.demo._models import Models
from panollava_hf.demo._samples import SAMPLES, read_sample
from panollava_hf.demo._settings import DemoSettings
from PIL import Image

FILES = {
    "words.txt": b"not an image",
    "cut.jpg": b"\xff\xd8\xff\xe0" + bytes(500),
    "empty.png": b"",
    "<img src=x onerror=alert(1)>.png": b"\x89PNG\r\n\x1a\n",
}


@pytest.fixture
def events(embedded):
    return Events(Models([embedded]), DemoSettings())


def upload(tmp_path, name, data):
    """A file in a folder of its own, as Gradio writes uploads."""
    folder = tmp_path / ("0" * 64)
    folder.mkdir()
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file_is_a_sentence_and_is_deleted(events, tmp_path, name):
    path = upload(tmp_path, name, FILES[name])
    session, said = events.load_file("a", str(path), DEFAULT_SHAPE)
    assert 'role="alert"' in said
    assert "Traceback" not in said
    assert "<img" not in said
    assert len(said) < 900
    assert not path.parent.exists()
    assert session.shown is None


def test_messages_name_the_upload_and_no_options_of_the_command_line(events, tmp_path):
    path = tmp_path / "square.png"
    Image.new("RGB", (80, 70)).save(path)
    _, said = events.load_file("a", str(upload(tmp_path, "square.png", path.read_bytes())), DEFAULT_SHAPE)
    assert "square.png: 80x70 is not a full equirectangular panorama" in said
    assert "choose what it shows in the settings" in said
    assert "--" not in said
    assert str(tmp_path) not in said


def test_an_upload_is_read_and_deleted(events, tmp_path, panorama):
    path = tmp_path / "panorama.png"
    Image.fromarray(panorama).save(path)
    data = path.read_bytes()
    path.unlink()
    session, said = events.load_file("a", str(upload(tmp_path, "panorama.png", data)), DEFAULT_SHAPE)
    assert "256 × 128 pixels" in said
    assert torch.equal(session.shown.image, torch.from_numpy(panorama).permute(2, 0, 1))
    assert list(tmp_path.iterdir()) == []


def test_the_viewer_gets_the_pixels_of_the_models(panorama):
    import io

    shown = prepare(panorama, "x")
    seen = np.asarray(Image.open(io.BytesIO(shown.jpeg)), float)
    assert np.abs(seen - panorama).mean() < 1


def test_large_panoramas_are_reduced():
    assert prepare(np.zeros((MAX_WIDTH, 2 * MAX_WIDTH, 3), np.uint8), "x").image.shape[-1] == MAX_WIDTH


@pytest.mark.parametrize("url", ["/etc/hostname", "panorama.png", "file:///etc/hostname", "data:image/png;base64,", ""])
def test_only_urls_are_fetched(url):
    with pytest.raises(PanoramaError, match="not a URL"):
        read_url(url)


@pytest.fixture
def server(panorama_file):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            asked.append(self.path)
            body = panorama_file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    asked = []
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}/panorama.png?key=s3cret#part", asked
    found.shutdown()
    found.server_close()


def test_a_url_is_loaded_without_its_query_in_the_page(events, server):
    session, said = events.load_url("a", server[0], DEFAULT_SHAPE)
    assert session.shown.image.shape == (3, 128, 256)
    assert "s3cret" not in said + session.shown.name


def test_a_public_page_reads_no_private_address(embedded, server):
    events = Events(Models([embedded]), DemoSettings(private_urls=False))
    session, said = events.load_url("a", server[0], DEFAULT_SHAPE)
    assert "private address" in said
    assert session.shown is None
    assert server[1] == []


def test_samples_have_tokens_of_their_own():
    title = next(iter(SAMPLES))
    first, second = read_sample(title), read_sample(title)
    assert first.token != second.token
    assert first.jpeg is second.jpeg


def test_samples_can_all_be_read():
    for title, sample in SAMPLES.items():
        assert read_sample(title).image.shape[-1] >= 1024
        assert sample.questions


def test_errors_become_sentences():
    assert sentence(ValueError("the file is damaged")) == "The file is damaged."
    assert sentence(ValueError("")) == "ValueError."
    assert sentence(ValueError("https://a/b: no")) == "https://a/b: no."


def test_a_kind_of_image_that_is_not_in_the_list(tmp_path, panorama):
    with pytest.raises(PanoramaError, match="choose one of the list"):
        prepare(panorama, "x", "a cube")
