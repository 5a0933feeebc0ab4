"""Programs at a real server with tiny models: every endpoint, bad inputs, forged files, and an agent's tools."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import re
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from speechprompt.ui.desk import Desk
from speechprompt.ui.endpoints import MAX_FILES
from speechprompt.ui.page import build, launch_options
from speechprompt.ui.recorder import CLASS
from speechprompt.ui.uploads import NOT_UNDERSTOOD, NOT_UPLOADED
from tests import tiny

ENDPOINTS = ("classify", "compare", "compare_files", "segments", "units", "classify_units", "tasks")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A tiny backbone that listens, and beside it one without an encoder."""
    root = tmp_path_factory.mktemp("root")
    desk = Desk(tiny.make_backbone(root), None, "cpu")
    deaf = tiny.make_backbone(root, "deaf", encoder=False)
    desk.backbones["deaf"] = Desk(deaf, None, "cpu").backbones["deaf"]
    return desk


@pytest.fixture(scope="module")
def server(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        demo = build(desk)
        _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options(desk))
        yield address.rstrip("/")
        demo.close()


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[Client]:
    opened = Client(server, verbose=False, analytics_enabled=False)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "tone.wav"
    soundfile.write(path, tiny.make_waveform(), 16_000)
    return path


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "silence.wav"
    soundfile.write(path, np.zeros(16_000), 16_000)
    return path


def without_timing(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("timing", "error")}


def close(one: Any, other: Any) -> bool:
    """The same but for the last digits of scores: a batch of another size sums in another order."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(one == pytest.approx(other, abs=1e-5)) if isinstance(one, float) else one == other


# What they answer


def test_compare_gives_what_classify_gives_one_by_one(client: Client, clip: Path) -> None:
    answers = client.predict(handle_file(clip), ["fruit", "colours"], "tiny", api_name="/compare")
    assert [answer["task"] for answer in answers] == ["fruit", "colours"]
    for answer in answers:
        single = client.predict(handle_file(clip), answer["task"], "tiny", api_name="/classify")
        assert answer["error"] == "" and close(without_timing(answer), without_timing(single))
    everything = client.predict(handle_file(clip), [], "tiny", api_name="/compare")
    assert [answer["task"] for answer in everything] == ["colours", "fruit"]


def test_a_task_without_an_answer_for_silence_takes_nothing_from_the_others(
    client: Client, silence: Path
) -> None:
    colours, fruit = client.predict(handle_file(silence), [], "tiny", api_name="/compare")
    assert set(colours) == {"task", "title", "error"} and "silence" in colours["error"]
    assert fruit["error"] == "" and fruit["label"] in {"apple", "pear", "plum", "nothing"}


def test_compare_files_records_the_error_of_each(client: Client, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("no sound here")
    files = [handle_file(clip), handle_file(tmp_path / "notes.wav"), handle_file(clip)]
    first, bad, last = client.predict(files, ["colours"], "tiny", api_name="/compare_files")
    assert (first["file"], bad["file"]) == ("tone.wav", "notes.wav")
    assert bad["answers"] == [] and bad["error"].startswith("The file cannot be read as sound")
    for entry in (first, last):
        assert entry["error"] == "" and [a["task"] for a in entry["answers"]] == ["colours"]


def test_units_are_those_that_are_classified(client: Client, desk: Desk, clip: Path) -> None:
    units = client.predict(handle_file(clip), "tiny", api_name="/units")
    assert units["seconds"] == 1.0 and len(units["ids"]) > 5
    assert units["starts"][1:] == list(np.cumsum(units["lengths"]))[:-1]
    heard = client.predict(handle_file(clip), "fruit", "tiny", api_name="/classify")
    assert {name: units[name] for name in ("ids", "starts", "lengths")} == heard["units"]
    text = " ".join(map(str, units["ids"]))
    for backbone in ("tiny", "deaf"):  # no encoder is needed; the two have the same unit LM
        answer = client.predict(text, "fruit", backbone, api_name="/classify_units")
        assert answer["label"] == heard["label"] and answer["units"]["ids"] == units["ids"]


def test_tasks_tell_what_a_prompt_knows_of_itself(client: Client, desk: Desk) -> None:
    listed = client.predict("tiny", api_name="/tasks")
    prompts = desk.backbone("tiny").prompts
    assert [task["task"] for task in listed] == list(prompts)
    for task in listed:
        prompt = prompts[task["task"]]
        assert task["labels"] == list(prompt.labels) and task["parameters"] == prompt.n_parameters
        assert (task["title"], task["group"], task["answer"]) == (prompt.title, prompt.group, "label")
        assert {task[name] for name in ("accuracy", "n", "split", "interval95")} == {None}


def test_every_endpoint_is_typed_and_explained(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert set(api["named_endpoints"]) == {f"/{name}" for name in ENDPOINTS} and not api["unnamed_endpoints"]
    for name, endpoint in api["named_endpoints"].items():
        assert len(endpoint["description"]) > 30, name
        assert endpoint["parameters"][-1]["parameter_name"] == "backbone"
        assert endpoint["parameters"][-1]["parameter_default"] == "tiny"
    tasks = api["named_endpoints"]["/compare"]["parameters"][1]
    assert tasks["type"] == {"type": "array", "items": {"type": "string"}}


# What they refuse


@pytest.mark.parametrize(
    ("endpoint", "arguments", "part"),
    [
        ("/compare", [["smells"], "tiny"], "its tasks are: colours, fruit"),
        ("/compare", [[{}], "tiny"], "tasks must be a list of task names"),
        ("/compare", [[], "huge"], "choose one of: tiny"),
        ("/compare", [[], "deaf"], "hubert-base"),
        ("/units", ["deaf"], "hubert-base"),
        ("/classify", ["smells", "tiny"], "its tasks are: colours, fruit"),
    ],
)
def test_wrong_names_are_one_sentence(
    client: Client, clip: Path, endpoint: str, arguments: list[Any], part: str
) -> None:
    with pytest.raises(AppError, match=part):
        client.predict(handle_file(clip), *arguments, api_name=endpoint)


@pytest.mark.parametrize(
    ("text", "part"), [("1 x 2", "'x' is no unit"), ("1 99", "Unit 99 does not exist"), ("", "no units")]
)
def test_text_that_is_no_units_is_one_sentence(client: Client, text: str, part: str) -> None:
    with pytest.raises(AppError, match=part):
        client.predict(text, "fruit", "tiny", api_name="/classify_units")


def test_too_many_files_are_refused_at_once(client: Client, clip: Path) -> None:
    for files in ([], [handle_file(clip)] * (MAX_FILES + 1)):
        with pytest.raises(AppError, match=f"1 to {MAX_FILES} recordings"):
            client.predict(files, [], "tiny", api_name="/compare_files")


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Its result, from a thread of its own: playwright leaves a running loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def upload(server: str, path: Path) -> dict[str, Any]:
    """Send a file as gradio's client does; what the server then calls it."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="tone.wav"\r\n\r\n'
    body += path.read_bytes() + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(f"{server.rstrip('/')}/gradio_api/upload", body, kind)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return forged(json.load(reply)[0])


def forged(path: Any, **more: Any) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def call(server: str, endpoint: str, data: list[Any]) -> tuple[bool, str]:
    """Ask by hand, because gradio's client would upload its own file: whether it was answered, and with what."""
    address = f"{server.rstrip('/')}/gradio_api/call/{endpoint}"
    body, kind = json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, body, kind), timeout=30) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{address}/{event}", timeout=30) as reply:
        told = reply.read().decode()
    return "event: complete" in told, told


@pytest.mark.parametrize("endpoint", ["classify", "compare", "compare_files", "units"])
@pytest.mark.parametrize("kind", ["path", "address", "own address", "link"])
def test_what_was_not_uploaded_is_not_read(
    server: str, desk: Desk, clip: Path, endpoint: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good recording lies at each of these, so that reading it would be an answer."""
    monkeypatch.setattr(
        "gradio.processing_utils.async_ssrf_protected_get", None
    )  # fetching would be an error
    file = {
        "path": forged(str(clip)),
        "address": forged("https://example.org/tone.wav", url="https://example.org/tone.wav"),
        "own address": forged(f"{server}/gradio_api/file={clip}"),
        "link": forged(f"file://{clip}"),
    }[kind]
    files = [file] if endpoint == "compare_files" else file
    rest: list[Any] = {"classify": ["fruit"], "units": []}.get(endpoint, [[]])  # type: ignore[assignment]
    answered, told = call(server, endpoint, [files, *rest, "tiny"])
    assert not answered and NOT_UPLOADED in told and str(clip) not in told


def takes_sound(block: Any) -> bool:
    return isinstance(block, gr.Audio) or CLASS in (getattr(block, "elem_classes", None) or ())


def test_no_event_of_the_page_fetches_an_address(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that programs are not told of can be asked by hand too."""
    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_get", None)
    demo = build(desk)
    hearing = [f for f in demo.fns.values() if any(takes_sound(block) for block in f.inputs)]
    assert len(hearing) > 8
    for function in hearing:
        data = [forged("http://127.0.0.1/a.wav") if takes_sound(b) else None for b in function.inputs]
        with pytest.raises(gr.Error, match=re.escape(NOT_UPLOADED)):
            finished(demo.process_api(function, data))


def test_the_own_address_of_an_upload_is_that_upload(server: str, clip: Path) -> None:
    sent = upload(server, clip)
    named = forged(f"{server}/gradio_api/file={sent['path']}")
    answered, told = call(server, "units", [named, "tiny"])
    assert answered and told.split("data: ")[1] == call(server, "units", [sent, "tiny"])[1].split("data: ")[1]


@pytest.mark.parametrize(
    "data", [["/etc/hostname", "tiny"], [{"path": "/etc/hostname"}, "tiny"], [7, "tiny"], [], [[[]], "tiny"]]
)
def test_an_input_of_another_kind_is_one_sentence(server: str, data: list[Any]) -> None:
    answered, told = call(server, "units", data)
    assert not answered and (NOT_UNDERSTOOD in told or NOT_UPLOADED in told)


# An agent's tools


def test_an_agent_finds_the_tools_and_calls_them(server: str, clip: Path) -> None:
    sent = f"{server}/gradio_api/file={upload(server, clip)['path']}"
    inline = f"data:audio/wav;base64,{base64.b64encode(clip.read_bytes()).decode()}"

    asked: list[tuple[str, dict[str, Any]]] = [
        ("classify", {"audio_file": inline, "task": "fruit", "backbone": "tiny"}),
        ("classify", {"audio_file": sent, "task": "fruit", "backbone": "tiny"}),
        ("compare", {"audio_file": sent, "tasks": ["fruit"], "backbone": "tiny"}),
        ("compare_files", {"audio_files": [sent], "tasks": ["fruit"], "backbone": "tiny"}),
        ("tasks", {"backbone": "tiny"}),
        ("classify", {"audio_file": f"{server}/gradio_api/file={clip}", "backbone": "tiny"}),
        ("classify", {"audio_file": "https://example.org/a.wav", "backbone": "tiny"}),
    ]

    async def visit() -> tuple[Any, list[Any]]:
        address = f"{server}/gradio_api/mcp/"
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = await session.list_tools()
            return tools, [await session.call_tool(*each) for each in asked]

    tools, results = finished(visit())
    described = {tool.name: tool for tool in tools.tools}
    assert set(described) == set(ENDPOINTS)
    for part in (
        "those that the model generated",
        "score (0 to 1), scores (label to probability, highest first), slots",
    ):
        assert part in described["classify"].description
    properties = described["compare"].inputSchema["properties"]
    assert properties["tasks"]["items"] == {"type": "string"}
    assert "empty list asks all tasks" in properties["tasks"]["description"]
    assert described["classify"].inputSchema["required"] == ["audio_file"]
    texts = [result.content[0].text for result in results]
    assert [text for text, result in zip(texts, results[:5], strict=False) if result.isError] == []
    first, second, (third,), (fourth,), tasks = map(ast.literal_eval, texts[:5])
    label = Client(server, verbose=False).predict(handle_file(clip), "fruit", "tiny", api_name="/classify")[
        "label"
    ]
    assert {first["label"], second["label"], third["label"], fourth["answers"][0]["label"]} == {label}
    assert [task["task"] for task in tasks] == ["colours", "fruit"]
    assert all(result.isError and NOT_UPLOADED in result.content[0].text for result in results[5:]), texts[5:]
