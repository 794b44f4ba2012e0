"""The page of licences lists what the packages require."""

from email.message import Message
from importlib.metadata import distribution

import pytest

from tools import licences


def test_the_page_lists_every_dependency_and_no_other():
    """If this fails, run `python -m tools.licences`."""
    text = licences.PAGE.read_text(encoding="utf-8")
    assert licences.listed(text) == list(licences.dependencies())
    assert "unknown" not in text


def test_dependencies_of_extras_are_listed_and_siblings_are_not():
    found = set(licences.dependencies())
    assert ("panollava-hf[train]", "pydantic") in found
    assert ("panollava-geometry", "pillow") in found
    assert not [name for _, name in found if name.startswith("panollava")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("License-Expression", "MIT OR Apache-2.0"), ("License", "x")], "MIT OR Apache-2.0"),
        ([("Classifier", "License :: OSI Approved :: Apache Software License"), ("License", "x")], "Apache-2.0"),
        ([("License", "BSD")], "BSD-3-Clause"),
        ([], "unknown"),
    ],
)
def test_licence_of_metadata(fields, expected):
    metadata = Message()
    for name, value in fields:
        metadata[name] = value
    found = type("Found", (), {"metadata": metadata})()
    assert licences.licence(found) == expected


def test_an_installed_package_states_its_licence():
    assert licences.licence(distribution("pytest")) == "MIT"
