import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def load(name):
    """Load a module of this folder. The files are not a package, and some also run as scripts in other environments."""
    spec = importlib.util.spec_from_file_location(f"panollava_hub_tests_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def material():
    return load("material")


@pytest.fixture(scope="session")
def embedding_material():
    return load("embedding_material")


@pytest.fixture(scope="session")
def panorama_jpeg(tmp_path_factory, material):
    return material.write_panorama(tmp_path_factory.mktemp("panorama") / "panorama.png")


@pytest.fixture(scope="session", params=[pytest.param("embedded", marks=pytest.mark.slow), "siglip"])
def exported(request, tmp_path_factory, panorama_jpeg, material):
    """An exported folder, and the outputs of the installed package for its checkpoint."""
    from panollava_hf import default_checkpoint
    from panollava_hf.hub import export_checkpoint

    folder = tmp_path_factory.mktemp(request.param)
    source = default_checkpoint() if request.param == "embedded" else material.tiny_checkpoint(folder / "checkpoint")
    export_checkpoint(source, folder / "export.v1")
    material.write_reference(source, panorama_jpeg, folder / "reference.pt")
    return folder / "export.v1", folder / "reference.pt"


@pytest.fixture(scope="session")
def reference(tmp_path_factory, panorama_jpeg, material):
    """The outputs of the installed package for the embedded checkpoint."""
    from panollava_hf import default_checkpoint

    path = tmp_path_factory.mktemp("reference") / "reference.pt"
    material.write_reference(default_checkpoint(), panorama_jpeg, path)
    return path


@pytest.fixture(scope="session")
def embedded_export(tmp_path_factory):
    from panollava_hf import default_checkpoint
    from panollava_hf.hub import export_checkpoint

    return export_checkpoint(default_checkpoint(), tmp_path_factory.mktemp("embedded") / "export")


@pytest.fixture
def hub():
    """A local Hub that runs during the test; `hub.token` has write permission."""
    module = load("loopback")
    with module.Hub() as running:
        running.token = module.TOKEN
        yield running


@pytest.fixture(scope="session")
def make_checkpoint(material):
    return material.tiny_checkpoint


@pytest.fixture
def clean_run(tmp_path):
    """Run a script in a process without our packages and with an empty cache."""

    def run(script, *arguments, endpoint=None, home=None, token=None):
        environment = client_environment(home or tmp_path / "home", endpoint, token)
        command = [sys.executable, str(HERE / "hide.py"), str(script), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    return run


@pytest.fixture
def probe(clean_run):
    """Run `probe.py` without our packages and return its report."""

    def run(*arguments, **client):
        done = clean_run(HERE / "probe.py", *arguments, **client)
        return json.loads(done.stdout.splitlines()[-1])

    return run


def client_environment(home, endpoint=None, token=None):
    """Settings of huggingface_hub for one endpoint and one cache; without an endpoint it is offline."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {
        **kept,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",  # another protocol
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",  # faster for models this small
    }
    settings.update({"HF_ENDPOINT": endpoint} if endpoint else {"HF_HUB_OFFLINE": "1"})
    settings.update({"HF_TOKEN": token} if token else {})
    return settings


@pytest.fixture(scope="session")
def served(embedded_export, tmp_path_factory):
    """A Hub to which the command has pushed the embedded checkpoint, and the finished command."""
    module = load("loopback")
    with module.Hub() as running:
        running.token = module.TOKEN
        environment = client_environment(tmp_path_factory.mktemp("home"), running.endpoint, running.token)
        arguments = ["push", str(embedded_export), "owner/pano.v1", "--tag", "v0.1.0"]
        command = [sys.executable, "-m", "panollava_hf", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        yield running, done


@pytest.fixture
def own_copy(tmp_path):
    """A copy of a folder that a test may change."""
    return lambda folder: Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture
def client_run(tmp_path):
    """Run code with the installed packages in a separate process against an endpoint."""

    def run(code, *arguments, endpoint, token):
        environment = client_environment(tmp_path / "home", endpoint, token)
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    return run
