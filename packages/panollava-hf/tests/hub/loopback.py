"""A local Hub with the requests that `huggingface_hub` sends to create, push and download models.

It keeps repositories in memory, has branches, tags, private repositories and large files, checks hashes and parents,
uses the error codes of the real Hub, and records the requests. `python loopback.py FOLDER SCRIPT ARGUMENTS…` serves a
folder as `owner/export` to a Python script, twice with one cache: first empty, then filled.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "hf_loopbackTokenThatMustNeverBePrinted"
LARGE = (".safetensors", ".bin", ".jpg", ".png")


@dataclass
class Repository:
    private: bool
    commits: dict = field(default_factory=dict)
    branches: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)
    messages: list = field(default_factory=list)

    def commit(self, branch, files, message):
        """Add a commit with these files (path → bytes)."""
        listing = json.dumps([len(self.commits), sorted((p, hashlib.sha1(b).hexdigest()) for p, b in files.items())])
        oid = hashlib.sha1(listing.encode()).hexdigest()
        self.commits[oid] = files
        self.branches[branch] = oid
        self.messages.append(message)
        return oid

    def find(self, revision):
        """Commit id of a branch, tag or commit id."""
        return (
            self.branches.get(revision) or self.tags.get(revision) or (revision if revision in self.commits else None)
        )


class Refused(Exception):
    def __init__(self, status, code, message, headers=(), **details):
        super().__init__(message)
        self.status, self.code, self.headers, self.details = status, code, dict(headers), details


class Hub:
    """The server and its repositories; a context manager."""

    def __init__(self):
        self.repositories = {}
        self.large = {}
        self.requests = []
        self.broken = None  # a path fragment whose requests fail with 500
        hub = self

        class Bound(Handler):
            pass

        Bound.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def asked(self, method, fragment=""):
        """The requests of one method whose path contains a fragment."""
        return [path for verb, path in self.requests if verb == method and fragment in path]


def git_oid(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def answer(self):
        address = urllib.parse.urlsplit(self.path)
        self.parts = [urllib.parse.unquote(part) for part in address.path.strip("/").split("/")]
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append((self.command, self.path))
        try:
            if self.hub.broken and self.hub.broken in self.path:
                raise Refused(500, "Broken", "the loopback hub is set to fail here")
            if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
                raise Refused(411, "LengthRequired", "Content-Length is required")
            status, headers, data = self.route()
        except Refused as refused:
            data = json.dumps({"error": str(refused), **refused.details}).encode()
            status = refused.status
            headers = {"X-Error-Code": refused.code, "X-Error-Message": str(refused), **refused.headers}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def route(self):
        match self.parts:
            case ["api", "repos", "create"]:
                return self.create()
            case ["api", "validate-yaml"]:
                return as_json({"errors": [], "warnings": []})
            case ["api", "whoami-v2"]:
                self.writer()
                return as_json({"name": "owner", "type": "user", "orgs": []})
            case ["lfs", oid]:
                if hashlib.sha256(self.body).hexdigest() != oid:
                    raise Refused(400, "BadHash", "the content has another hash")
                self.hub.large[oid] = self.body
                return 200, {}, b""
            case ["spaces", owner, name, "info", "lfs", "objects", "batch"]:
                self.repository(f"spaces/{owner}", name.removesuffix(".git"), write=True)
                return self.batch()
            case [owner, name, "info", "lfs", "objects", "batch"]:
                self.repository(owner, name.removesuffix(".git"), write=True)
                return self.batch()
            case ["api", "models", owner, name, *rest]:
                return self.model(owner, name, rest)
            case ["api", "spaces", owner, name, *rest]:
                return self.model(f"spaces/{owner}", name, rest)
            case [owner, name, "resolve", revision, *path]:
                return self.file(self.repository(owner, name), revision, "/".join(path))
        raise Refused(404, "NotImplemented", f"the loopback hub does not support {self.command} {self.path}")

    def model(self, owner, name, rest):
        match self.command, rest:
            case "GET", []:
                return self.info(owner, name, "main")
            case "GET", ["revision", revision]:
                return self.info(owner, name, revision)
            case "GET", ["refs"]:
                return self.refs(self.repository(owner, name))
            case "GET", ["tree", revision, *path]:
                return self.tree(self.repository(owner, name), revision, "/".join(path))
            case "POST", ["preupload", revision]:
                return self.preupload(self.repository(owner, name, write=True), revision)
            case "POST", ["commit", revision]:
                return self.commit(self.repository(owner, name, write=True), revision, f"{owner}/{name}")
            case "POST", ["tag", revision]:
                return self.tag(self.repository(owner, name, write=True), revision)
        raise Refused(404, "NotImplemented", f"the loopback hub does not support {self.command} {self.path}")

    # Permissions.

    def writer(self):
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Unauthorized", "Invalid username or password.")

    def repository(self, owner, name, write=False):
        found = self.hub.repositories.get(f"{owner}/{name}")
        if write:
            self.writer()
        if found is None or (found.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            raise Refused(404 if found is None else 401, "RepoNotFound", "Repository not found")
        return found

    def files(self, repository, revision):
        oid = repository.find(revision)
        if oid is None:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return oid, repository.commits[oid]

    # Writing.

    def create(self):
        self.writer()
        asked = json.loads(self.body)
        owner = asked.get("organization") or asked["name"].split("/")[0]
        name = f"{owner}/{asked['name'].split('/')[-1]}"
        if asked.get("type") == "space":
            if not asked.get("sdk"):
                raise Refused(400, "BadRequest", "sdk is required for a Space")
            name = f"spaces/{name}"
        if name in self.hub.repositories:
            raise Refused(409, "Conflict", "You already created this model repo", url=f"{self.hub.endpoint}/{name}")
        made = self.hub.repositories[name] = Repository(
            asked.get("private", False) or asked.get("visibility") == "private"
        )
        made.commit(
            "main", {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}, "initial commit"
        )
        return as_json({"url": f"{self.hub.endpoint}/{name}", "name": name})

    def preupload(self, repository, revision):
        _, there = self.files(repository, revision)
        answers = []
        for file in json.loads(self.body)["files"]:
            large = file["path"].endswith(LARGE)
            old = there.get(file["path"])
            oid = None if old is None else hashlib.sha256(old).hexdigest() if large else git_oid(old)
            mode = "lfs" if large else "regular"
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return as_json({"files": answers})

    def batch(self):
        objects = []
        for asked in json.loads(self.body)["objects"]:
            answer = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.hub.large:
                answer["actions"] = {"upload": {"href": f"{self.hub.endpoint}/lfs/{asked['oid']}", "header": {}}}
            objects.append(answer)
        return as_json({"transfer": "basic", "objects": objects}, kind="application/vnd.git-lfs+json")

    def commit(self, repository, revision, name):
        parent, there = self.files(repository, revision)
        files, message = dict(there), ""
        for line in self.body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
                if value.get("parentCommit") not in (None, parent):
                    raise Refused(
                        412, "PreconditionFailed", "A commit has happened since. Please refresh and try again."
                    )
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
            else:
                raise Refused(400, "BadRequest", f"unknown operation {entry['key']}")
        oid = repository.commit(revision, files, message)
        url = f"{self.hub.endpoint}/{name}/commit/{oid}"
        return as_json({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def tag(self, repository, revision):
        name = json.loads(self.body)["tag"]
        if name in repository.tags:
            raise Refused(409, "Conflict", f"Tag {name} exists already")
        repository.tags[name], _ = self.files(repository, revision)
        return as_json({}, status=201)

    # Reading.

    def info(self, owner, name, revision):
        repository = self.repository(owner, name)
        oid, files = self.files(repository, revision)
        siblings = [{"rfilename": path} for path in sorted(files)]
        answer = {"id": f"{owner}/{name}", "sha": oid, "siblings": siblings, "private": repository.private, "tags": []}
        return as_json(answer)

    def refs(self, repository):
        branches = [ref(name, f"refs/heads/{name}", oid) for name, oid in repository.branches.items()]
        tags = [ref(name, f"refs/tags/{name}", oid) for name, oid in repository.tags.items()]
        return as_json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})

    def tree(self, repository, revision, folder):
        oid, files = self.files(repository, revision)
        inside = {path: data for path, data in files.items() if not folder or path.startswith(f"{folder}/")}
        if not inside:
            raise Refused(404, "EntryNotFound", f"{folder} does not exist", {"X-Repo-Commit": oid})
        entries = []
        for path, data in sorted(inside.items()):
            entry = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
            if path.endswith(LARGE):
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            entries.append(entry)
        return as_json(entries)

    def file(self, repository, revision, path):
        oid, files = self.files(repository, revision)
        if path not in files:
            raise Refused(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": oid})
        data = files[path]
        tag = hashlib.sha256(data).hexdigest() if path.endswith(LARGE) else git_oid(data)
        return 200, {"ETag": f'"{tag}"', "X-Repo-Commit": oid, "Content-Type": "application/octet-stream"}, data


def ref(name, path, oid):
    return {"name": name, "ref": path, "targetCommit": oid}


def as_json(content, status=200, kind="application/json"):
    return status, {"Content-Type": kind}, json.dumps(content).encode()


def serve(folder, *command):
    """Serve a folder to a script, with an empty and a filled cache; return the first exit code that is not 0."""
    with Hub() as hub, tempfile.TemporaryDirectory() as home:
        repository = hub.repositories["owner/export"] = Repository(private=True)
        repository.commit("main", {path.name: path.read_bytes() for path in Path(folder).iterdir()}, "all")
        own = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": home, "HF_HUB_DISABLE_XET": "1"}
        environment = {**os.environ, **own, "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "0"}
        for _ in ("cold", "warm"):
            done = subprocess.run([sys.executable, *command], env=environment, check=False)
            if done.returncode:
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(serve(*sys.argv[1:]))
