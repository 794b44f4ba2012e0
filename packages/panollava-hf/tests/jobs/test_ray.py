import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
import ray_work
from panollava_hf._errors import JobError
from panollava_hf.jobs._ray import run_ray
from ray_work import LoggedWork, parts

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'panollava-hf[ray]'")

# Ray leaves sockets and files to the garbage collector, and warns of its own plans.
pytestmark = [
    pytest.mark.filterwarnings("ignore:this image is unlike::"),  # the images are not scenes
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

KEY = "sk-secret-of-the-cluster-0123456789"


@pytest.fixture(scope="module")
def cluster():
    """A cluster of the caller with two CPUs."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.cloudpickle.register_pickle_by_value(ray_work)
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as environment:
        warnings.simplefilter("ignore")
        environment.setenv("OPENAI_API_KEY", KEY)  # of the cluster; this process has none afterwards
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
    yield
    ray.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(ray_work)


def printed(text):
    """What was printed without the lines of Ray, which may report that it retries a worker it is about to stop."""
    return [line for line in text.splitlines() if "(raylet)" not in line]


def numbers(reports):
    return [report.part.index for report in reports]


def test_parts_are_done_once_by_several_processes_and_reported_as_they_end(cluster, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    work = LoggedWork(Path("out"), waits_for=4, held=11)  # a relative path, as on the command line
    reports = run_ray(work, parts(12), 4)  # more than CPUs
    first = next(reports)
    assert not work.path_of(parts(12)[11]).exists()
    work.release()
    rest = list(reports)
    assert sorted(numbers([first, *rest])) == list(range(12))
    assert all(report.done == report.computed == 10 for report in rest)
    begun = [words for words in work.begun() if words[0] == "begin"]
    assert sorted(int(index) for _, index, _ in begun) == list(range(12))
    assert len({process for *_, process in begun}) == 4
    for part in parts(12):
        written = json.loads(work.path_of(part).read_text())
        assert written == {"rows": [part.start, part.stop], "threads": 1, "cwd": str(tmp_path)}
    shown = capfd.readouterr()
    assert printed(shown.out) == []
    assert "4 workers with 0.25 CPU each; the Ray cluster has 2 CPUs" in shown.err
    assert not any(word in shown.err for word in ("Dataset", "it/s", "Tip", "Traceback"))


def test_the_cluster_and_the_settings_of_the_caller_stay(cluster, tmp_path):
    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars, context.enable_operator_progress_bars
    node = ray.get_runtime_context().get_node_id()
    assert len(list(run_ray(LoggedWork(tmp_path), parts(1), 1))) == 1
    assert ray.is_initialized()
    assert ray.get_runtime_context().get_node_id() == node
    assert (context.enable_progress_bars, context.enable_operator_progress_bars) == before


def test_a_part_that_raises_stops_the_job_with_one_line(cluster, tmp_path, capfd):
    (tmp_path / "next").mkdir()
    work, done = LoggedWork(tmp_path, broken=3, held=5), []
    with pytest.raises(JobError) as caught:
        done += run_ray(work, parts(40), 1)
    work.release()
    message = str(caught.value)
    assert "part 3 (rows 30 to 39) failed" in message
    assert "OSError: no model 'x' at all" in message
    assert "\n" not in message
    assert len(message) < 400
    assert "ray_work" in str(caught.value.__cause__)  # where it failed, for the developer
    assert all(work.path_of(part).exists() for part in parts(3))
    assert len(list(run_ray(LoggedWork(tmp_path / "next"), parts(4), 1))) == 4
    begun = {int(words[1]) for words in work.begun()}  # although the error is still held
    assert begun <= set(range(6)), "the workers went on after the error"
    assert printed(capfd.readouterr().out) == []


def test_a_part_whose_process_dies_is_done_again(cluster, tmp_path):
    work = LoggedWork(tmp_path, deadly=1, deaths=1)
    assert sorted(numbers(run_ray(work, parts(4), 2))) == [0, 1, 2, 3]
    assert [words[:2] for words in work.begun()].count(["begin", "1"]) == 2


def test_a_part_whose_process_always_dies_stops_the_job(cluster, tmp_path):
    work, done = LoggedWork(tmp_path, deadly=1), []
    with pytest.raises(JobError, match=r"part 1 \(rows 10 to 19\) failed.*its process died 3 times.*memory") as caught:
        done.extend(run_ray(work, parts(4), 2))
    assert "\n" not in str(caught.value)
    assert set(numbers(done)) <= {0, 2, 3}
    assert [words[:2] for words in work.begun()].count(["begin", "1"]) == 3


def test_no_parts_need_no_cluster(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert list(run_ray(LoggedWork(Path("nowhere")), [], 2)) == []


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(JobError, match=r"pip install 'panollava-hf\[ray\]'"):
        next(run_ray(LoggedWork(tmp_path), parts(1), 1))


def own_job(folder, **variables):
    """The program of `ray_work`, which starts a cluster of its own; its processes are known by a variable."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "RAY_JOB_OF_TEST": str(folder),
    }
    environment |= variables
    return subprocess.Popen(
        [sys.executable, ray_work.__file__, str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_of(folder):
    """Command lines of the processes that a job has started."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if f"RAY_JOB_OF_TEST={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
        except (OSError, ValueError):
            continue
    return [line for line in found if line]


def wait_until(condition, seconds):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        threading.Event().wait(0.1)
    return condition()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_a_job_that_is_killed_leaves_whole_parts_and_no_workers(tmp_path, name):
    with own_job(tmp_path, RAY_ADDRESS="") as job:
        assert job.stdout.readline().strip().isdigit(), job.stderr.read()
        job.send_signal(getattr(signal, name))
        assert job.wait(300) != 0
    # Two helpers of Ray without any work end by themselves within a minute after a SIGKILL.
    helpers = ("ray::DashboardAgent", "ray::RuntimeEnvAgent") if name == "SIGKILL" else ()
    assert wait_until(lambda: not [p for p in processes_of(tmp_path) if not p.startswith(helpers)], 120), processes_of(
        tmp_path
    )
    log = LoggedWork(tmp_path).begun()
    begun = [words[1] for words in log if words[0] == "begin"]
    assert 0 < len(begun) == len(set(begun)) < 200
    for path in tmp_path.glob("*.json"):
        assert json.loads(path.read_text())["rows"][0] == 10 * int(path.stem)


def test_a_cluster_that_is_not_there(tmp_path):
    with own_job(tmp_path, RAY_ADDRESS="127.0.0.1:1") as job:
        _, errors = job.communicate(timeout=300)
    line = errors.strip().splitlines()[-1]
    assert "cannot connect to the Ray cluster at RAY_ADDRESS=127.0.0.1:1" in line
    assert "unset RAY_ADDRESS" in line


def test_a_job_in_plain_ray_data(cluster, tmp_path):
    import numpy as np
    import pyarrow.parquet as pq
    from panollava_hf.jobs import PanoramaEmbedder
    from PIL import Image

    for grey in (0, 60, 120):
        Image.fromarray(np.full((64, 128, 3), grey, np.uint8)).save(tmp_path / f"{grey}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    paths = sorted(map(str, tmp_path.glob("*.png")))
    rows = ray.data.read_binary_files(paths, include_paths=True).map_batches(
        PanoramaEmbedder,
        fn_constructor_kwargs={"model": "embedded"},
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=0.5,
        batch_size=1,
        batch_format="pyarrow",
    )
    rows.write_parquet(str(tmp_path / "vectors"))
    found = pq.read_table(tmp_path / "vectors").sort_by("path")
    assert found.schema.remove_metadata() == PanoramaEmbedder("embedded").schema()
    assert found["path"].to_pylist() == paths
    assert [error is None for error in found["error"].to_pylist()] == [True, True, True, False]
    expected = PanoramaEmbedder("embedded")({"path": paths})
    np.testing.assert_allclose(found["vector"].to_pylist()[:3], expected["vector"][:3], rtol=1e-4, atol=1e-6)
    # without a batch format Ray Data passes dicts of arrays
    plain = ray.data.read_binary_files(paths, include_paths=True).map_batches(
        PanoramaEmbedder("embedded"), num_cpus=0.5
    )
    assert sum(row["vector"] is None for row in plain.take_all()) == 1


def test_both_engines_write_the_same_file(cluster, tmp_path):
    import counting
    from counting import CountingJob, ListSource
    from panollava_hf.jobs import run_job

    ray.cloudpickle.register_pickle_by_value(counting)
    names = [f"p{i}" for i in range(34)] + ["bad1"]
    for engine in ("local", "ray"):
        job = CountingJob(tmp_path / f"{engine}.log")
        summary = run_job(
            job, ListSource(names), tmp_path / f"{engine}.parquet", engine=engine, workers=2, progress=False
        )
        assert (summary.done, summary.failed) == (34, 1)
        assert sorted(counting.computed(tmp_path / f"{engine}.log")) == sorted(names[:-1])
    assert (tmp_path / "local.parquet").read_bytes() == (tmp_path / "ray.parquet").read_bytes()


def test_an_endpoint_is_asked_by_all_workers_with_the_key_of_the_cluster(cluster, tmp_path, capfd, monkeypatch):
    pytest.importorskip("openai")
    from loopback import failed, serve
    from panollava_hf.cli import run
    from PIL import Image
    from rows_at_endpoint import Endpoint

    Image.new("RGB", (64, 32), (90, 10, 10)).save(tmp_path / "0.png")
    lines = [json.dumps({"id": str(n), "image": "0.png", "question": f"What is in room {n}?"}) for n in range(24)]
    (tmp_path / "table.jsonl").write_text("\n".join(lines))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def command(url, output, *more):
        at = ["--base-url", url, "--model", "m", "--view-size", "16", "--batch-size", "4"]
        return ["answer", str(tmp_path / "table.jsonl"), "-o", str(tmp_path / output), *at, *more]

    on_ray = ("--engine", "ray", "--workers", "2", "--concurrency", "4")
    endpoint = Endpoint()
    endpoint.healthy = True
    with serve(endpoint) as server:
        assert run(command(server.url, "ray.jsonl", *on_ray)) == 0
        assert dict(endpoint.asked) == dict.fromkeys(range(24), 1)
        assert endpoint.most <= 4
        assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
        monkeypatch.setenv("OPENAI_API_KEY", "another")
        assert run(command(server.url, "local.jsonl")) == 0
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    capfd.readouterr()
    with serve(failed(401, f"wrong key {KEY}")) as server:
        assert run(command(server.url, "refused.jsonl", *on_ray)) == 2
        assert 1 <= len(server.requests) <= 4
    shown = capfd.readouterr()
    assert shown.err.count("panollava: ") == 1
    assert "the key was refused (401)" in shown.err
    assert shown.err.count("kept") == 1
    assert KEY not in shown.err + shown.out
