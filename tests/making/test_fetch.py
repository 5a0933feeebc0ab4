"""Fetching: broken connections are gone on from, wrong files are refused, right ones become a backbone."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import HubertConfig, HubertModel

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.making import download as download_module
from speechprompt.making import fetch, sources
from speechprompt.making.download import download, extract
from speechprompt.models.hubert import HubertEncoder
from speechprompt.storage import bundled
from tests.making.fairseq_hubert import save_fairseq
from tests.tiny import make_waveform

ROOT = Path(__file__).parents[2]
CHECKPOINTS = ROOT / "tests" / "fixtures" / "checkpoints"
PGSLM = ROOT / "tests" / "fixtures" / "pgslm"
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 7}
SIZES |= {"conv_dim": (24,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}


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


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download_module, "PAUSE", 0.0)
    monkeypatch.setattr(download_module, "CHUNK", 1 << 12)
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


ADDRESSES = SimpleNamespace(
    KM=sources.KM, LM=sources.LM, HUBERT=sources.HUBERT
)  # before any test changes them
BYTES = np.random.default_rng(0).bytes(100_000)


def get(server: Server, folder: Path, max_bytes: int = 1 << 20) -> Path:
    server.files.setdefault("/file.bin", BYTES)
    download(server.url("/file.bin"), folder / "file.bin", max_bytes, "give the file with --km")
    return folder / "file.bin"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Downloads


def test_a_download_is_whole_and_comes_once(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path).read_bytes() == BYTES
    get(server, tmp_path)
    assert len(server.asked) == 1 and names(tmp_path) == ["file.bin"]


def test_a_broken_connection_is_gone_on_from(server: Server, tmp_path: Path) -> None:
    server.cuts = [30_000, 50_000]
    assert get(server, tmp_path).read_bytes() == BYTES
    assert [asked for _, asked in server.asked] == [None, "bytes=30000-", "bytes=80000-"]


def test_a_later_run_goes_on(server: Server, tmp_path: Path) -> None:
    server.cuts = [30_000, *[0] * download_module.ATTEMPTS]
    with pytest.raises(
        SpeechPromptError, match=r"run the command again, which continues.*or give the file with --km"
    ):
        get(server, tmp_path)
    assert names(tmp_path) == ["file.bin.part"]
    server.asked.clear()
    assert get(server, tmp_path).read_bytes() == BYTES
    assert server.asked == [("/file.bin", "bytes=30000-")]
    for rest in (
        BYTES,
        BYTES + b"x",
    ):  # all was here, only not yet under its name; more than there is was here
        (tmp_path / "file.bin").unlink()
        (tmp_path / "file.bin.part").write_bytes(rest)
        assert get(server, tmp_path).read_bytes() == BYTES and names(tmp_path) == ["file.bin"]


def test_a_server_that_knows_no_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [30_000]
    assert get(server, tmp_path).read_bytes() == BYTES
    assert names(tmp_path) == ["file.bin"]


def test_sizes_are_bounded_whether_announced_or_not(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SpeechPromptError, match="100000 bytes, more than the 5000 expected"):
        get(server, tmp_path, 5000)
    server.lengths = False
    with pytest.raises(SpeechPromptError, match=r"file.bin is longer than the 5000 bytes"):
        get(server, tmp_path, 5000)
    assert get(server, tmp_path).read_bytes() == BYTES


def test_an_address_that_does_not_answer_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SpeechPromptError, match=r"/none could not be reached \(404 Not Found\)"):
        download(server.url("/none"), tmp_path / "none", 10, "give the file with --km")
    server.shutdown()
    server.server_close()
    with pytest.raises(SpeechPromptError, match=r"/none could not be reached \(.*Connection refused\)"):
        download(server.url("/none"), tmp_path / "none", 10, "give the file with --km")
    with pytest.raises(SpeechPromptError, match="nowhere.invalid/x could not be reached"):
        download("https://nowhere.invalid/x", tmp_path / "none", 10, "give the file with --km")
    assert names(tmp_path) == []


def test_a_full_disk_is_said_before_it_is_full(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "RESERVE", 1 << 60)
    with pytest.raises(OSError, match=r"are free on this disk.*'file.bin'") as error:
        get(server, tmp_path)
    assert not isinstance(error.value, SpeechPromptError) and error.value.filename == "file.bin"


# Archives


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


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


WANTED = {"a.pt": 100, "dict.txt": 100}
GOOD: list[tarfile.TarInfo | tuple[str, bytes]] = [
    special("lm", tarfile.DIRTYPE),
    ("lm/a.pt", b"a" * 100),
    ("lm/._a.pt", b"?"),
    ("lm/notes.txt", b"n" * 5000),
    ("lm/dict.txt", b"d"),
]


def test_only_what_is_wanted_is_unpacked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    extract(make_tgz(tmp_path / "x.tgz", GOOD), WANTED, out)
    assert names(out) == ["a.pt", "dict.txt"] and (out / "a.pt").read_bytes() == b"a" * 100


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        (("../a.pt", b"evil"), "must be there once"),
        (("/tmp/dict.txt", b"evil"), "must be there once"),
        (special("lm/a.pt", tarfile.SYMTYPE, "/etc/passwd"), "as a regular file"),
        (special("lm/dict.txt", tarfile.LNKTYPE, "lm/notes.txt"), "as a regular file"),
        (special("dict.txt", tarfile.FIFOTYPE), "as a regular file"),
        (("other/a.pt", b"twice"), "must be there once"),
    ],
)
def test_hostile_archives_are_refused(
    tmp_path: Path, hostile: tarfile.TarInfo | tuple[str, bytes], message: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(SpeechPromptError, match=f"x.tgz.*{message}"):
        extract(make_tgz(tmp_path / "x.tgz", [*GOOD, hostile]), WANTED, out)
    assert set(names(out)) <= set(WANTED) and not any(path.is_symlink() for path in out.iterdir())
    assert names(tmp_path) == ["out", "x.tgz"]


def test_a_path_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    extract(
        make_tgz(tmp_path / "x.tgz", [("../a.pt", b"a"), ("/../d/dict.txt", b"d"), ("../../e", b"")]),
        WANTED,
        out,
    )
    assert names(out) == ["a.pt", "dict.txt"] and names(tmp_path) == ["out", "x.tgz"]


def test_incomplete_damaged_and_large_archives_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_tgz(tmp_path / "x.tgz", GOOD[:-1])
    with pytest.raises(SpeechPromptError, match=r"x.tgz lacks dict.txt"):
        extract(archive, WANTED, tmp_path)
    whole = make_tgz(archive, [("a.pt", np.random.default_rng(0).bytes(90)), *GOOD[3:]]).read_bytes()
    for damaged in (whole[:150], whole[:40] + b"x" + whole[41:], b"<html>no such file</html>", b""):
        archive.write_bytes(damaged)
        with pytest.raises(SpeechPromptError, match=r"x.tgz is damaged or no .tgz archive"):
            extract(archive, WANTED, tmp_path)
    make_tgz(archive, [("a.pt", b"a" * 101)])
    with pytest.raises(
        SpeechPromptError, match="a.pt must be there once, as a regular file of at most 100 bytes"
    ):
        extract(archive, WANTED, tmp_path)
    make_tgz(archive, GOOD)
    monkeypatch.setattr(download_module, "MAX_UNPACKED", 5000)
    with pytest.raises(SpeechPromptError, match="unpacks to more than"):
        extract(archive, WANTED, tmp_path)


# The command


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with hubert/ (small, random), km.bin with 100 of its frames, and hubert100_lm.tgz."""
    folder = tmp_path_factory.mktemp("originals")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HubertModel(HubertConfig(**SIZES)).eval()
    model.config.save_pretrained(folder / "hubert")
    torch.save(model.state_dict(), folder / "hubert" / "pytorch_model.bin")
    with torch.inference_mode():
        output = model(torch.from_numpy(make_waveform(4.0))[None], output_hidden_states=True)
    with (folder / "km.bin").open("wb") as file:  # numpy would add .npy to the name
        np.save(file, output.hidden_states[6][0, 10:110].numpy())
    checkpoint, dictionary = (CHECKPOINTS / name for name in ("base_lm.pt", "dict.txt"))
    members = [("lm/checkpoint_best.pt", checkpoint.read_bytes()), ("lm/dict.txt", dictionary.read_bytes())]
    make_tgz(folder / "hubert100_lm.tgz", [*members])
    shutil.copyfile(PGSLM / "discrete.pt", folder / "discrete_prosody_shift_1_1.pt")
    edges = load_file(PGSLM / "discrete.safetensors")["f0_edges"].double().numpy()
    torch.save({32: edges}, folder / "mean_norm_log_f0_seg_bin.th")  # as pGSLM's own script writes them
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the backbones to be fetched as they are committed, which counts as the repository."""
    for name in fetch.FETCHED:
        folder = tmp_path / "backbones" / name
        folder.mkdir(parents=True)
        for part in ("backbone.json", "README.md"):
            shutil.copyfile(ROOT / "backbones" / name / part, folder / part)
    mini = ROOT / "backbones" / "hubert-mini" / "unit_lm"
    shutil.copytree(mini, tmp_path / "backbones" / "hubert-mini" / "unit_lm")
    monkeypatch.setattr(bundled, "ROOTS", (tmp_path,))
    return tmp_path


@pytest.fixture
def online(server: Server, originals: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The addresses that fetch knows, served here with digests that are known where they are published."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def served(source: sources.Source, path: Path) -> sources.Source:
        content = path.read_bytes()
        server.files[f"/{source.name}"] = server.files[urlsplit(source.url).path] = content
        digest = hashlib.sha256(content).hexdigest() if source.sha256 else None
        return replace(source, url=server.url(f"/{source.name}"), sha256=digest)

    hubert = tuple(served(source, originals / "hubert" / source.name) for source in sources.HUBERT)
    monkeypatch.setattr(sources, "HUBERT", hubert)
    for name in ("KM", "LM", "PROSODY_LM", "F0_EDGES"):
        source = getattr(sources, name)
        monkeypatch.setattr(sources, name, served(source, originals / source.name))
    return server


def run(*argv: str | Path) -> None:
    parser = argparse.ArgumentParser(description=fetch.__doc__)
    fetch.add_arguments(parser)
    fetch.run(parser.parse_args([str(argument) for argument in argv]))


def local(originals: Path, lm: bool = True) -> list[str | Path]:
    options: list[str | Path] = ["--hubert", originals / "hubert", "--km", originals / "km.bin"]
    return options + (["--lm", originals / "hubert100_lm.tgz"] if lm else [])


def is_untouched(folder: Path) -> bool:
    return not ({"encoder", "unit_lm", "fetched.json"} & set(names(folder)))


def test_all_is_fetched_checked_converted_and_installed(
    online: Server, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    online.cuts = [100]
    run("gslm")
    folder = root / "backbones" / "gslm"
    assert names(folder) == ["README.md", "backbone.json", "encoder", "fetched.json", "unit_lm"]
    backbone = Backbone.load("gslm")
    assert backbone.missing is None and isinstance(backbone.encoder, HubertEncoder)
    assert len(backbone.encoder.units(make_waveform())) > 5
    assert backbone.lm.config.vocab_size == 104
    notes = json.loads((folder / "fetched.json").read_text())["files"]
    assert sorted(notes) == ["config.json", "hubert100_lm.tgz", "km.bin", "pytorch_model.bin"]
    km = hashlib.sha256(online.files["/km.bin"]).hexdigest()
    assert notes["km.bin"] == {"sha256": km, "from": online.url("/km.bin")}
    message = capsys.readouterr().out
    assert "hubert100_lm.tgz: sha256" in message and "not known before" in message
    assert "pytorch_model.bin: sha256" not in message and "km.bin: sha256" not in message
    online.asked.clear()
    run("gslm")  # nothing is left to do
    assert online.asked == [] and "already here" in capsys.readouterr().out


def test_the_second_backbone_takes_the_encoder_of_the_first(online: Server, root: Path) -> None:
    run("hubert-mini")
    assert not any("lm.tgz" in path for path, _ in online.asked)
    assert Backbone.load("hubert-mini").missing is None
    online.asked.clear()
    run("gslm")
    assert {path for path, _ in online.asked} == {"/hubert100_lm.tgz"}
    assert Backbone.load("gslm").missing is None
    notes = json.loads((root / "backbones" / "gslm" / "fetched.json").read_text())["files"]
    assert sorted(notes) == ["config.json", "hubert100_lm.tgz", "km.bin", "pytorch_model.bin"]


def test_local_files_need_no_network(originals: Path, root: Path) -> None:
    run("gslm", *local(originals))
    backbone = Backbone.load("gslm")
    (a,), (b,) = (b.features([make_waveform()]) for b in (backbone.encoder, backbone.encoder))
    assert backbone.missing is None and torch.equal(a, b)
    notes = json.loads((root / "backbones" / "gslm" / "fetched.json").read_text())["files"]
    assert {note["from"] for note in notes.values()} == {"a local file"}


def test_another_folder_becomes_a_whole_backbone(originals: Path, root: Path, tmp_path: Path) -> None:
    run("hubert-mini", "--out", tmp_path / "mine", *local(originals, lm=False))
    mine = Backbone.load(tmp_path / "mine")
    assert mine.missing is None and mine.lm.config.vocab_size == 104
    assert is_untouched(root / "backbones" / "gslm") and not Backbone.load("hubert-mini").has_encoder
    with pytest.raises(SpeechPromptError, match="holds the backbone hubert-mini, not gslm"):
        run("gslm", "--out", tmp_path / "mine")


def test_the_prosody_lm_of_the_papers_is_fetched_and_hears_recordings(
    online: Server, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("gslm")
    capsys.readouterr()
    online.asked.clear()
    there, folder = "/discrete_prosody_shift_1_1.pt", root / "backbones" / "pgslm"
    right = online.files[there]
    for content, message in (
        (b"<html>please log in</html>", "is no PyTorch checkpoint"),
        (right[:-5000], "is damaged or cut short"),
    ):
        online.files[there] = content
        with pytest.raises(SpeechPromptError, match=f"discrete_prosody_shift_1_1.pt {message}"):
            run("pgslm")
        assert not (folder / "unit_lm").exists() and not (folder / "fetched.json").read_text().count(
            "_1_1.pt"
        )
        assert (folder / "encoder").is_dir()  # it is the one of gslm
    online.files[there] = right
    run("pgslm")
    backbone = Backbone.load("pgslm")
    assert backbone.missing is None and backbone.needs_f0 and backbone.lm.config.vocab_size == 104
    (units,) = backbone.listen([make_waveform()])
    assert units.f0 is not None and len(units) > 5
    assert backbone.lm.prosody.f0_edges is not None and len(backbone.lm.prosody.f0_edges) == 31
    message = capsys.readouterr().out
    assert all(f"{source.name}: sha256" in message for source in (sources.PROSODY_LM, sources.F0_EDGES))
    notes = json.loads((folder / "fetched.json").read_text())["files"]
    assert {"km.bin", "discrete_prosody_shift_1_1.pt", "mean_norm_log_f0_seg_bin.th"} <= notes.keys()
    assert "hubert100_lm.tgz" not in notes
    for option in ("--edges", "--lm"):
        with pytest.raises(SpeechPromptError, match=f"{option} is a file of .*pgslm, not of hubert-mini"):
            run("hubert-mini", option, folder / "fetched.json")


def test_a_mirror_has_every_file_at_its_path_and_the_same_digests(
    online: Server, originals: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KM", "LM"):
        there = urlsplit(getattr(ADDRESSES, name).url).path
        monkeypatch.setattr(
            sources, name, replace(getattr(sources, name), url=f"https://nowhere.invalid{there}")
        )
        online.files[f"/models{there}"] = online.files[there]
    hubert = []
    for ours, source in zip(sources.HUBERT, ADDRESSES.HUBERT, strict=True):
        there = urlsplit(source.url).path
        hubert.append(replace(ours, url=f"https://nowhere.invalid{there}"))
        online.files[f"/models{there}"] = online.files[there]
    monkeypatch.setattr(sources, "HUBERT", tuple(hubert))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # a mirror is not the Hub
    km = f"/models{urlsplit(ADDRESSES.KM.url).path}"
    right, online.files[km] = online.files[km], b"another"
    with pytest.raises(SpeechPromptError, match=r"km.bin has the sha256 .* but"):
        run("gslm", "--mirror", online.url("/models/"))
    assert is_untouched(root / "backbones" / "gslm")
    online.files[km] = right
    online.cuts = [500]
    run("gslm", "--mirror", online.url("/models"))
    assert Backbone.load("gslm").missing is None
    notes = json.loads((root / "backbones" / "gslm" / "fetched.json").read_text())["files"]
    assert notes["km.bin"]["from"] == online.url(km)
    assert any(asked for _, asked in online.asked)  # gone on from where it broke


@pytest.mark.parametrize(
    "address",
    [
        "mirror.example.org",
        "file:///etc",
        "https://",
        "https://me:secret@host/x",
        "https://host/?a=1",
        "http://a b/",
    ],
)
def test_a_mirror_must_be_an_address(address: str, root: Path) -> None:
    with pytest.raises(SpeechPromptError, match="--mirror takes an address such as") as error:
        run("gslm", "--mirror", address)
    assert "secret" not in str(error.value)


def test_fairseqs_own_hubert_is_taken_and_its_digest_known(
    originals: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = torch.load(originals / "hubert" / "pytorch_model.bin", weights_only=True)
    settings = json.loads((originals / "hubert" / "config.json").read_text())
    path = save_fairseq(tmp_path / "hubert_base_ls960.pt", weights, settings)
    run("hubert-mini", "--hubert", path, "--km", originals / "km.bin")
    assert (
        "hubert_base_ls960.pt: sha256" in capsys.readouterr().out
    )  # not the published one, being a small one
    ours = Backbone.load("hubert-mini")
    run("gslm", *local(originals))
    clip = make_waveform()
    assert torch.equal(ours.encoder.features([clip])[0], Backbone.load("gslm").encoder.features([clip])[0])
    with pytest.raises(SpeechPromptError, match="hubert_base_ls960.pt has the sha256"):
        run(
            *["gslm", "--out", tmp_path / "o", "--hubert", path, "--km", originals / "km.bin"],
            "--sha256",
            f"hubert_base_ls960.pt={sources.FAIRSEQ_HUBERT.sha256}",
        )


def test_a_digest_that_was_given_is_enforced(online: Server, originals: Path, root: Path) -> None:
    gslm = root / "backbones" / "gslm"
    for name in ("km.bin", "hubert100_lm.tgz"):
        with pytest.raises(SpeechPromptError, match=f"{name} has the sha256 .* but {'0' * 64} was expected"):
            run("gslm", "--sha256", f"{name}={'0' * 64}")
    assert (gslm / "encoder").is_dir() and not (gslm / "unit_lm").exists()  # km.bin was right the second time
    assert not (gslm / ".fetch" / "hubert100_lm.tgz").exists()
    mini = root / "backbones" / "hubert-mini"
    with pytest.raises(SpeechPromptError, match="pytorch_model.bin has the sha256 .* give the right file"):
        run("hubert-mini", *local(originals, lm=False), "--sha256", f"pytorch_model.bin={'0' * 64}")
    assert not (mini / "encoder").exists() and (originals / "hubert" / "pytorch_model.bin").is_file()
    for text in ("km.bin", "km.bin=12", f"other.bin={'0' * 64}"):
        with pytest.raises(SpeechPromptError, match="--sha256 takes NAME=64 HEX DIGITS"):
            run("gslm", "--sha256", text)


def test_the_digest_seen_first_is_enforced_later(online: Server, root: Path) -> None:
    run("gslm")
    gslm = root / "backbones" / "gslm"
    shutil.rmtree(gslm / "unit_lm")
    right = online.files["/hubert100_lm.tgz"]
    online.files["/hubert100_lm.tgz"] = right + b"\0"
    with pytest.raises(
        SpeechPromptError, match=r"hubert100_lm.tgz has the sha256 .* ask why the file has changed"
    ):
        run("gslm")
    assert not (gslm / "unit_lm").exists()
    online.files["/hubert100_lm.tgz"] = right
    run("gslm")
    assert Backbone.load("gslm").missing is None


def test_the_published_digest_of_km100_is_enforced(online: Server, root: Path) -> None:
    online.files["/km.bin"] += b"\0"
    with pytest.raises(SpeechPromptError, match=r"km.bin has the sha256 .* but"):
        run("gslm")
    assert is_untouched(root / "backbones" / "gslm")


def test_every_published_digest_is_one() -> None:
    published = (*sources.HUBERT, sources.KM, sources.FAIRSEQ_HUBERT)
    assert all(re.fullmatch("[0-9a-f]{64}", source.sha256 or "") for source in published)
    assert all(
        f"/{sources.REPOSITORY}/resolve/{sources.REVISION}/" in source.url for source in sources.HUBERT
    )


def test_the_published_digest_of_hubert_is_enforced(
    online: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = (sources.HUBERT[0], replace(sources.HUBERT[1], sha256="1" * 64))
    monkeypatch.setattr(sources, "HUBERT", changed)
    with pytest.raises(SpeechPromptError, match="pytorch_model.bin has the sha256 .* but 1111"):
        run("hubert-mini")
    assert not Backbone.load("hubert-mini").has_encoder
    assert not (root / "backbones" / "hubert-mini" / "fetched.json").exists()


def test_a_page_in_place_of_a_file_is_not_trusted(online: Server, root: Path) -> None:
    """As a hotel's network answers: nothing is installed or noted, and the next run gets the file anew."""
    right = {name: online.files[name] for name in ("/km.bin", "/hubert100_lm.tgz")}
    for name, content in right.items():
        online.files[name] = b"<html>please log in</html>"
        with pytest.raises(SpeechPromptError, match=name[1:]):
            run("gslm")
        notes = root / "backbones" / "gslm" / "fetched.json"
        assert not notes.exists() or name[1:] not in json.loads(notes.read_text())["files"]
        online.files[name] = content
    run("gslm")
    assert Backbone.load("gslm").missing is None


def test_files_of_another_size_are_refused(originals: Path, root: Path, tmp_path: Path) -> None:
    gslm = root / "backbones" / "gslm"
    np.save(tmp_path / "few.npy", np.zeros((50, 32), np.float32))
    with pytest.raises(SpeechPromptError, match="has 50 units, but the backbone has 100"):
        run("gslm", "--hubert", originals / "hubert", "--km", tmp_path / "few.npy")
    np.save(tmp_path / "wide.npy", np.zeros((100, 33), np.float32))
    with pytest.raises(SpeechPromptError, match=r"centroids have the shape \[100, 33\]"):
        run("gslm", "--hubert", originals / "hubert", "--km", tmp_path / "wide.npy")
    with pytest.raises(SpeechPromptError, match="--km: there is no file 'none.bin'"):
        run("gslm", "--hubert", originals / "hubert", "--km", tmp_path / "none.bin")
    with pytest.raises(SpeechPromptError, match="--hubert: there is no folder 'none'"):
        run("gslm", "--hubert", tmp_path / "none", "--km", originals / "km.bin")
    assert is_untouched(gslm)


def test_offline_says_which_address_could_not_be_reached(
    online: Server, originals: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online.shutdown()
    online.server_close()
    message = r"/{} could not be reached .* or give a local copy with {}"
    with pytest.raises(SpeechPromptError, match=message.format("km.bin", "--km")):
        run("gslm")
    with pytest.raises(SpeechPromptError, match=message.format("config.json", "--hubert")):
        run("gslm", "--km", originals / "km.bin")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SpeechPromptError, match=r"config.json .* HF_HUB_OFFLINE is set: .* with --hubert"):
        run("gslm", "--km", originals / "km.bin")
    assert is_untouched(root / "backbones" / "gslm")


def test_the_command_line_knows_it(originals: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "speechprompt", "fetch", "gslm", "--out", str(tmp_path / "out")]
    command += ["--km", str(originals / "km.bin")]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "cannot be downloaded because HF_HUB_OFFLINE is set" in done.stderr
