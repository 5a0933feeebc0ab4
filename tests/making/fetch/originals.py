"""What the tests of fetching share: a small server, and files like those that are fetched."""

from __future__ import annotations

import argparse
import io
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from speechprompt.commands import fetch

ROOT = Path(__file__).parents[3]
CHECKPOINTS = ROOT / "tests" / "fixtures" / "checkpoints"
PGSLM = ROOT / "tests" / "fixtures" / "pgslm"
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 7}


class Server(ThreadingHTTPServer):
    """Serves `files` by path; cuts = bytes after which the next connections break, one each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.ranges = True
        self.lengths = True
        self.asked: list[tuple[str, str | None]] = []  # path, Range

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append((self.path, asked))
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if asked and server.ranges:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.lengths:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if body:
            rest = content[start:]
            self.wfile.write(rest[: server.cuts.pop(0)] if server.cuts else rest)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_tgz(path: Path, members: list[tarfile.TarInfo | tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def run(*argv: str | Path) -> None:
    parser = argparse.ArgumentParser(description=fetch.__doc__)
    fetch.add_arguments(parser)
    fetch.run(parser.parse_args([str(argument) for argument in argv]))


def local(originals: Path, lm: bool = True) -> list[str | Path]:
    options: list[str | Path] = ["--hubert", originals / "hubert", "--km", originals / "km.bin"]
    return options + (["--lm", originals / "hubert100_lm.tgz"] if lm else [])


def is_untouched(folder: Path) -> bool:
    return not ({"encoder", "unit_lm", "fetched.json"} & set(names(folder)))
