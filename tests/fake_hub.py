"""A small Hub on loopback for the real client: repositories in memory, as much of its protocol as is used.

What the real one answers to creating, committing, listing and downloading; and the lies that a hostile or broken
one could tell, which a test sets.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub
import pytest
import yaml

TOKEN = "hf_token_of_the_test"
OWNER = "me"


@dataclass
class Stored:
    """One repository: commits (sha -> path -> bytes) and refs (name -> sha)."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        sha = hashlib.sha1(f"{len(self.commits)}{sorted(files)}{branch}".encode()).hexdigest()
        self.commits[sha], self.refs[branch] = files, sha
        return sha

    def at(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)

    def tags(self) -> list[str]:
        card = self.commits[self.refs["main"]].get("README.md", b"").decode().split("---\n")
        data = yaml.safe_load(card[1]) if len(card) > 2 else {}
        return [*data.get("tags", []), data.get("library_name", "")]


def is_lfs(path: str) -> bool:
    return path.endswith((".safetensors", ".bin"))


def tree_entry(path: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": blob}
    if is_lfs(path):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


class FakeHub:
    """The repositories, what was asked, and the lies.

    lies: path -> what the listing says of it, beside or in place of the truth. cut: how many bytes of each file are
    sent before the connection breaks. status: what every request is answered with instead.

    Below /silent requests are not answered, below /dripping a space at a time, until `over`.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Stored] = {}
        self.blobs: dict[str, bytes] = {}
        self.lies: dict[str, dict[str, Any]] = {}
        self.served: dict[str, bytes] = {}  # path -> what is sent in place of the file
        self.cut: int | None = None
        self.status: int | None = None
        self.over = threading.Event()
        self.asked: list[str] = []
        self.address = ""

    def add(self, name: str, folder: Path | dict[str, bytes], private: bool = False) -> Stored:
        files = folder if isinstance(folder, dict) else read(folder)
        stored = self.repositories.setdefault(name, Stored(private))
        stored.commit(files)
        return stored

    def downloads(self) -> list[str]:
        return [line for line in self.asked if line.startswith("GET") and "/resolve/" in line]


def read(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def handler_of(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def answer(self, body: Any = b"", status: int = 200, **headers: str) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def stored(self, name: str, writing: bool = False) -> Stored | None:
            token = self.headers.get("Authorization", "")
            found = hub.repositories.get(name)
            allowed = token == f"Bearer {TOKEN}"
            if writing and not allowed:
                self.answer({"error": "Invalid token"}, 401)
                return None
            if found is None or (found.private and not allowed):
                self.answer({"error": "Repository not found"}, 401, X_Error_Code="RepoNotFound")
                return None
            return found

        def handle_one(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            if self.path.startswith(("/silent/", "/dripping/")):
                self.keep_waiting()
                return
            if hub.status is not None:
                self.body()
                self.answer({"error": "broken"}, hub.status)
                return
            url = urlsplit(self.path)
            parts = [unquote(part) for part in url.path.strip("/").split("/")]
            if parts == ["api", "models"]:
                wanted = parse_qs(url.query).get("filter", [])
                names = [n for n, s in hub.repositories.items() if not s.private and {*wanted} <= {*s.tags()}]
                self.answer(
                    [{"id": name, "modelId": name, "downloads": 3, "private": False} for name in names]
                )
            elif parts == ["api", "repos", "create"]:
                asked = json.loads(self.body())
                name = f"{asked.get('organization') or OWNER}/{asked['name']}"
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    self.answer({"error": "Invalid token"}, 401)
                    return
                known = name in hub.repositories
                if not known:
                    hub.repositories[name] = Stored(asked.get("visibility") == "private")
                    hub.repositories[name].commit({})
                self.answer({"url": f"{hub.address}/{name}", "id": name}, 409 if known else 200)
            elif parts == ["api", "validate-yaml"]:
                self.body()
                self.answer({"errors": [], "warnings": []})
            elif parts[:2] == ["api", "models"]:
                self.model("/".join(parts[2:4]), parts[4:])
            elif parts[2:] == ["info", "lfs", "objects", "batch"]:
                objects = json.loads(self.body())["objects"]
                for one in objects:
                    one["actions"] = {"upload": {"href": f"{hub.address}/lfs/{one['oid']}"}}
                self.answer({"transfer": "basic", "objects": objects})
            elif parts[0] == "lfs":
                hub.blobs[parts[1]] = self.body()
                self.answer()
            elif parts[2:3] == ["resolve"]:
                self.resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
            else:
                self.answer({"error": "unknown"}, 404)

        def keep_waiting(self) -> None:
            self.close_connection, dripping = True, self.path.startswith("/dripping/")
            if dripping:
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
            while not hub.over.wait(0.05):
                if dripping:
                    self.wfile.write(b" ")

        def model(self, name: str, rest: list[str]) -> None:
            writing = rest[:1] in (["preupload"], ["commit"])
            body = self.body()
            stored = self.stored(name, writing)
            if stored is None:
                return
            revision = rest[1] if len(rest) > 1 else "main"
            sha = stored.at(revision)
            if sha is None:
                self.answer({"error": "no such revision"}, 404, X_Error_Code="RevisionNotFound")
            elif rest[:1] == ["preupload"]:
                files = [
                    {
                        "path": f["path"],
                        "uploadMode": "lfs" if is_lfs(f["path"]) else "regular",
                        "shouldIgnore": False,
                    }
                    for f in json.loads(body)["files"]
                ]
                self.answer({"files": files})
            elif rest[:1] == ["commit"]:
                files_after = dict(stored.commits[sha])
                for line in map(json.loads, body.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        files_after[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        files_after[value["path"]] = hub.blobs[value["oid"]]
                sha = stored.commit(files_after, revision)
                self.answer({"commitUrl": f"{hub.address}/{name}/commit/{sha}", "commitOid": sha})
            elif rest[:1] == ["tree"]:
                files = {path: tree_entry(path, data) for path, data in stored.commits[sha].items()}
                files |= {p: files.get(p, {"type": "file", "path": p, "oid": "0" * 40, "size": 1}) | lie
                          for p, lie in hub.lies.items()}  # fmt: skip
                self.answer([*files.values()])
            else:
                siblings = [{"rfilename": path} for path in stored.commits[sha]]
                self.answer({"id": name, "sha": sha, "siblings": siblings, "private": stored.private})

        def resolve(self, name: str, revision: str, path: str) -> None:
            stored = self.stored(name)
            if stored is None:
                return
            sha = stored.at(revision)
            if sha is None or path not in stored.commits[sha]:
                self.answer({"error": "no such file"}, 404, X_Error_Code="EntryNotFound")
                return
            data = stored.commits[sha][path]
            etag = tree_entry(path, data).get("lfs", {}).get("oid") or tree_entry(path, data)["oid"]
            data = hub.served.get(path, data)
            headers = {"ETag": f'"{etag}"', "X_Repo_Commit": sha, "X_Linked_Size": str(len(data))}
            if hub.cut is not None and self.command == "GET":
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: hub.cut])
                self.close_connection = True
                return
            self.answer(data, 200, **headers)

        do_GET = do_HEAD = do_POST = do_PUT = handle_one

    return Handler


@contextmanager
def serve() -> Iterator[FakeHub]:
    """A Hub of its own on a free port of loopback."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def point_client_at(hub: FakeHub, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client of this process asks the fake Hub, as one started with HF_ENDPOINT and HF_HOME would."""
    constants = huggingface_hub.constants
    for name, value in {
        "ENDPOINT": hub.address,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HOME": str(place),
        "HF_HUB_CACHE": str(place / "hub"),
        "HF_TOKEN_PATH": str(place / "token"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)


def environment(hub: FakeHub, place: Path) -> dict[str, str]:
    """What a process of its own is given, to ask the fake Hub."""
    return {
        "HF_ENDPOINT": hub.address,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(place),
    }
