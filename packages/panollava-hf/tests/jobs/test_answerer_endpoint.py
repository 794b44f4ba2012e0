"""Jobs at an endpoint over loopback: failing requests, concurrency, refused keys, servers that die."""

import pickle
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("openai")

from loopback import failed, fine, serve
from panollava_hf._errors import ChatError
from panollava_hf.asking.models import _endpoint
from panollava_hf.jobs import PanoramaAnswerer, PanoramaCaptioner
from PIL import Image
from rows_at_endpoint import Endpoint, fails, question

KEY = "sk-secret-of-the-jobs-0123456789"


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that were waited between tries; nothing waits."""
    found = []
    monkeypatch.setattr(_endpoint, "time", types.SimpleNamespace(sleep=found.append))
    return found


@pytest.fixture
def tries(monkeypatch):
    """The address of each request that was tried, also where nothing listens."""
    found, once = [], _endpoint.EndpointChat._once

    def recorded(chat, *arguments):
        found.append(chat.device)
        return once(chat, *arguments)

    monkeypatch.setattr(_endpoint.EndpointChat, "_once", recorded)
    return found


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A few small panoramas."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(4):
        values = np.full((64, 128, 3), 40 * number, np.uint8)
        Image.fromarray(values).save(folder / f"{number}.png")
    return sorted(map(str, folder.iterdir()))


def rows_of(images, count, start=0):
    return [
        {"id": str(number), "image": images[number % len(images)], "question": f"What is in room {number}?"}
        for number in range(start, count)
    ]


def job_at(url, **options):
    return PanoramaAnswerer("m", base_url=url, **{"view_size": 16, "max_retries": 2, "concurrency": 4, **options})


def done(job, rows, batch_size=16, ahead=3):
    """The results of rows; a few batches are prepared in threads before the first is finished, as engines do."""
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    columns = [{name: [row[name] for row in batch] for name in batch[0]} for batch in batches]
    found = []
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(job.prepare, batch) for batch in columns[:ahead]]
        for place in range(len(columns)):
            prepared = waiting.pop(0).result()
            waiting += [pool.submit(job.prepare, batch) for batch in columns[place + ahead : place + ahead + 1]]
            results = job.finish(prepared)
            found += [dict(zip(results, values, strict=True)) for values in zip(*results.values(), strict=True)]
    return found


def test_each_row_is_answered_or_has_an_error_and_nothing_is_sent_without_need(images, waits):
    endpoint = Endpoint(together=4)
    with serve(endpoint) as server:
        found = done(job_at(server.url), rows_of(images, 80))
    assert [row["id"] for row in found] == [str(number) for number in range(80)]
    for number, row in enumerate(found):
        if fails(number):
            assert "the server failed (500: out of memory)" in row["error"]
            assert {value for name, value in row.items() if name not in ("id", "path", "error")} == {None}
        else:
            assert (row["answer"], row["error"]) == (f"room {number}", None)
            assert row["question"] == f"What is in room {number}?"
            assert (row["calls"], row["prompt_tokens"], row["new_tokens"]) == (1, 5000, 2)
    lost = [number for number in range(80) if number % 40 in (3, 13, 23)]
    expected = {number: 3 if fails(number) else 2 if number in lost else 1 for number in range(80)}
    assert dict(endpoint.asked) == expected  # a request is repeated after a failure only
    assert endpoint.most == 4
    assert waits.count(0.01) == 2  # what the server asked for with 429


@pytest.mark.parametrize("concurrency", [1, 3])
def test_the_number_of_requests_at_the_same_time(images, concurrency):
    endpoint = Endpoint(together=concurrency)
    with serve(endpoint) as server:
        done(job_at(server.url, concurrency=concurrency), rows_of(images, 24), batch_size=8)
    assert endpoint.most == concurrency


def test_a_slow_row_does_not_stop_the_rows_of_other_batches(images):
    """Row 1 is answered when rows of the batches after its own were: with a barrier per batch that never happens."""
    endpoint, later = Endpoint(), threading.Event()

    def slow(request):
        if "room 1?" in question(request):
            assert later.wait(60)
        if "room 40?" in question(request):
            later.set()
        return endpoint(request)

    with serve(slow) as server:
        job = job_at(server.url)
        done(job, rows_of(images, 1))  # the first request of a job goes alone, and it must not be that of row 1
        found = done(job, [row for row in rows_of(images, 64) if not fails(int(row["id"]))])
    assert later.is_set()
    assert all(row["answer"] == f"room {row['id']}" for row in found)


def test_descriptions_of_an_image_are_made_once_for_the_rows_of_a_batch(images):
    asked = []

    def describing(request):
        asked.append(question(request))
        return fine("a door")

    with serve(describing) as server:
        found = done(job_at(server.url, strategy="describe"), rows_of(images, 8), batch_size=8)
        assert server.requests
    descriptions = [text for text in asked if text.startswith("Describe")]
    assert len(descriptions) == 6 * len(images)
    assert len(asked) == len(descriptions) + 8
    assert sum(row["calls"] for row in found) == len(asked)


def test_a_refused_key_stops_the_job_after_one_request(images):
    with serve(failed(401, f"wrong key {KEY}")) as server:
        with pytest.raises(ChatError, match=r"the key was refused \(401\).*run the same command again") as caught:
            done(job_at(server.url), rows_of(images, 200))
    assert len(server.requests) == 1
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_expires_stops_the_job(images):
    endpoint = Endpoint()

    def expiring(request):
        return failed(401) if sum(endpoint.asked.values()) >= 20 else endpoint(request)

    with serve(expiring) as server:
        with pytest.raises(ChatError, match="the key was refused"):
            done(job_at(server.url), [row for row in rows_of(images, 200) if int(row["id"]) % 10 != 3])
    assert len(server.requests) <= 20 + 8


def test_a_host_that_cannot_be_reached_stops_the_job_at_once(images, tries):
    with serve(fine()) as server:
        pass
    with pytest.raises(ChatError, match=r"connection refused.*run the same command again"):
        done(job_at(server.url), rows_of(images, 200))
    assert 3 <= tries.count(server.url) <= 3 + 3 * 8  # rows that were in work, not 200


def test_a_server_that_dies_stops_the_job(images, tries):
    endpoint = Endpoint()
    with serve(endpoint) as server:
        job = job_at(server.url)
        first = done(job, [row for row in rows_of(images, 16) if int(row["id"]) not in (3, 13)])
    assert all(row["answer"] for row in first)
    with pytest.raises(ChatError, match="connection refused"):
        done(job, rows_of(images, 200, start=16))
    assert tries.count(server.url) - 14 <= 3 * 16  # not 184 rows


def test_a_proxy_whose_server_is_down_stops_the_job(images):
    endpoint = Endpoint()

    def dying(request):
        return failed(503, "no backend") if sum(endpoint.asked.values()) >= 20 else endpoint(request)

    with serve(dying) as server:
        with pytest.raises(ChatError, match=r"none of the last 2\d questions was answered.*503"):
            done(job_at(server.url), [row for row in rows_of(images, 200) if int(row["id"]) % 10 != 3])
    assert len(server.requests) < 20 + 3 * 40


def test_a_server_that_comes_back_loses_no_row(images, monkeypatch):
    """While nothing listens, rows wait: that is not their failure."""
    from panollava_hf.asking.models.endpoint._faults import Fault

    tried = []
    once = _endpoint.EndpointChat._once

    def interrupted(chat, request, arguments, shown):
        tried.append(request)
        if len(tried) == 11:
            return Fault("nothing listens there (connection refused)", whole=True)
        return once(chat, request, arguments, shown)

    monkeypatch.setattr(_endpoint.EndpointChat, "_once", interrupted)
    endpoint = Endpoint()
    with serve(endpoint) as server:
        rows = [row for row in rows_of(images, 30) if int(row["id"]) % 10 != 3]
        found = done(job_at(server.url, concurrency=1), rows)
    assert all(row["answer"] == f"room {row['id']}" for row in found)
    assert set(endpoint.asked.values()) == {1}


def test_captions_of_views_wait_for_the_server_too(images):
    with serve(lambda request: fine("a wall")) as server:
        job = PanoramaCaptioner("m", base_url=server.url, per_view=True, view_size=16, concurrency=3)
        found = done(job, [{"image": path} for path in images])
    assert len(server.requests) == 6 * len(images)
    assert [view["caption"] for view in found[0]["views"]] == ["a wall"] * 6
    assert found[0]["views"][0] == {"direction": "left", "yaw_deg": -90.0, "pitch_deg": 0.0, "caption": "a wall"}
    assert found[0]["caption"].splitlines()[0] == "left (yaw -90°, pitch 0°): a wall"
    assert (found[0]["calls"], found[0]["strategy"]) == (6, "views")


def test_a_view_without_a_caption_is_an_error_of_its_row(images):
    lock, count = threading.Lock(), []

    def sometimes(request):
        with lock:
            count.append(request)
        return failed(400, "no such thing") if len(count) == 3 else fine("a wall")

    with serve(sometimes) as server:
        job = PanoramaCaptioner("m", base_url=server.url, per_view=True, view_size=16, concurrency=1)
        (row,) = done(job, [{"image": images[0]}])
    assert row["error"].startswith("1 of 6 views have no caption; the first error: m at http://127.0.0.1")
    assert (row["caption"], row["views"], row["calls"]) == (None, None, None)


def test_no_key_and_no_password_leaves_the_process(images):
    with serve(fine("a door")) as server:
        secret = server.url.replace("http://", "http://me:pass-word-1@") + "?api-key=query-secret-2"
        job = job_at(secret)
        assert done(job, rows_of(images, 1))[0]["answer"] == "a door"
        assert server.headers[0]["authorization"].startswith("Basic ")
        data = pickle.dumps(job)
        for text in (KEY, "pass-word-1", "query-secret-2", "bWU6"):
            assert text.encode() not in data
            assert text not in repr(job.settings())
            assert text not in repr(job)
        assert len(data) < 2000  # no model
        copy = pickle.loads(data)
        with pytest.raises(ChatError, match="set OPENAI_BASE_URL to the whole address") as caught:
            done(copy, rows_of(images, 1))
        assert "pass-word" not in str(caught.value)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAI_BASE_URL", secret)
            assert done(copy, rows_of(images, 1))[0]["answer"] == "a door"


def test_the_key_is_that_of_the_process(images, monkeypatch):
    with serve(fine("a door")) as server:
        data = pickle.dumps(job_at(server.url))
        monkeypatch.setenv("OPENAI_API_KEY", "another-key-of-a-worker")
        done(pickle.loads(data), rows_of(images, 1))
    assert server.headers[0]["authorization"] == "Bearer another-key-of-a-worker"
