"""What GitHub and those who cite read: citation, templates, policies, Dependabot."""

import re

import pytest
import yaml

from tools.check_release import PACKAGES, ROOT

GITHUB = ROOT / ".github"
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
#: What each kind of field of an issue form must say, by GitHub's syntax for them.
ATTRIBUTES = {"markdown": {"value"}, "textarea": {"label"}, "input": {"label"}}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_citation_has_what_the_format_requires():
    """The keys that version 1.2.0 of the Citation File Format requires, and no others than it knows."""
    found = read(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= found.keys()
    assert found.keys() <= {*"cff-version message title authors type license abstract keywords version".split()}
    assert (found["cff-version"], found["type"], found["license"]) == ("1.2.0", "software", "MIT")
    assert all(isinstance(keyword, str) for keyword in found["keywords"])
    author = (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines()[2].partition(" 2026 ")[2]
    assert found["authors"] == [{"name": author}]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_issue_forms(form):
    found = read(form)
    assert found.keys() == {"name", "description", "labels", "body"}
    fields = {}
    for field in found["body"]:
        assert ATTRIBUTES[field["type"]] <= field["attributes"].keys()
        if field["type"] != "markdown":
            assert field["id"] not in fields
            fields[field["id"]] = field["validations"]["required"]
    assert any(fields.values())


def test_reports_of_bugs_ask_for_what_is_needed():
    (form,) = [path for path in FORMS if path.stem == "bug"]
    required = {field.get("id"): field.get("validations", {}).get("required") for field in read(form)["body"]}
    assert {name for name, needed in required.items() if needed} == {"command", "output", "expected", "versions"}
    assert "file" in required


def test_dependabot_covers_each_package_and_the_actions():
    found = read(GITHUB / "dependabot.yml")
    assert found["version"] == 2
    covered = {(entry["package-ecosystem"], entry["directory"]) for entry in found["updates"]}
    assert covered == {("github-actions", "/"), *(("pip", f"/packages/panollava-{p}") for p in PACKAGES)}
    for entry in found["updates"]:
        assert (ROOT / entry["directory"].strip("/")).is_dir()
        assert entry["schedule"]["interval"] == "monthly"
        assert len(entry["groups"]) == 1  # one pull request a month for each


@pytest.mark.parametrize("name", ["CODE_OF_CONDUCT.md", "SECURITY.md", "pull_request_template.md"])
def test_policies_lead_somewhere(name):
    text = (GITHUB / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (GITHUB / target).exists(), target
    assert "@" not in text  # there is no address to write to
    if name != "pull_request_template.md":
        assert "*Report a vulnerability*" in text
    for session in re.findall(r"`nox -s ([\w -]+)`", text):
        noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
        assert all(re.search(rf"^def {each}\(session", noxfile, re.MULTILINE) for each in session.split()), session
