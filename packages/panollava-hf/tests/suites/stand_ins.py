"""Empty stand-ins for the parts of transformers' tests that a release does not publish."""

import atexit
import importlib.abc
import importlib.machinery
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from material import panoramas

__all__ = ["absent", "install", "missing"]

#: What shows the same for our classes, by the first part of a module's name under `tests`.
CONTRACTS = {
    "generation": "test_generation_contract.py, test_generation.py and test_compiled.py stand instead",
    "exporters": "test_compiled.py stands instead",
    "pipelines": "test_generation.py and serving/test_decision.py stand instead",
    "utils": "test_configuration.py stands instead",
}
_made: dict[str, ModuleType] = {}


class _Anything(ModuleType):
    """A module in which every name is an empty class, and every name in lower case an empty dict."""

    __path__: list[str] = []  # noqa: RUF012 - what makes a module a package

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = {} if name.islower() else type(name, (), {})
        setattr(self, name, value)
        return value


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Comes last, so that it answers only for modules that exist nowhere."""

    def find_spec(self, name, path=None, target=None):
        if not name.startswith("tests."):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        _made[spec.name] = _Anything(spec.name)
        return _made[spec.name]

    def exec_module(self, module):
        pass


def install(folder):
    """Make `tests` the package in `folder`, whatever else is named `tests`."""
    package = ModuleType("tests")
    package.__path__ = [str(folder / "tests")]
    sys.modules["tests"] = package
    sys.meta_path.append(_Finder())
    if not (folder / "utils" / "fetch_hub_objects_for_ci.py").exists():
        downloads = ModuleType("fetch_hub_objects_for_ci")
        downloads.url_to_local_path = _local_file
        sys.modules["fetch_hub_objects_for_ci"] = downloads
        utils = ModuleType("utils")  # its package in 4.57
        utils.fetch_hub_objects_for_ci = downloads
        sys.modules.update({"utils": utils, "utils.fetch_hub_objects_for_ci": downloads})


def _local_file(url):
    """A panorama in a temporary file in place of an image on the Hub; other addresses stay as they are."""
    if Path(url).suffix not in (".jpg", ".jpeg", ".png"):
        return url
    folder = Path(tempfile.mkdtemp(prefix="suites-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    panoramas(1)[0].save(folder / "panorama.png")
    return str(folder / "panorama.png")


def missing(module):
    """Whether `tests.<module>` is a stand-in, after it was imported."""
    return f"tests.{module}" in _made


def absent():
    """Each part that is missing, and what stands instead."""
    parts = sorted({name.split(".")[1] for name in _made})
    return [(f"tests/{part}", CONTRACTS.get(part, "nothing here uses it")) for part in parts]
