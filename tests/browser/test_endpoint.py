"""A program at the running app: the named endpoint `/classify`; tests/test_endpoints.py has the others."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from speechprompt.pipeline import SpeechPrompt
from speechprompt.ui.uploads import NOT_UPLOADED

from .conftest import EXAMPLES, ROOT


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[Client]:
    opened = Client(server, verbose=False, analytics_enabled=False)
    yield opened
    opened.close()


def test_classify_gives_what_the_package_gives(client: Client) -> None:
    answer = client.predict(
        handle_file(str(EXAMPLES / "stop.flac")), "keyword_spotting", api_name="/classify"
    )
    expected = SpeechPrompt.from_pretrained("mini", "cpu").classify(
        EXAMPLES / "stop.flac", ["keyword_spotting"]
    )
    wanted = json.loads(json.dumps(expected[0].to_dict()))
    assert answer["label"] == wanted["label"] == "stop"
    assert answer["units"] == wanted["units"] and answer["generated"] == wanted["generated"]
    assert answer["scores"] == pytest.approx(wanted["scores"], abs=1e-4)
    assert set(answer) == set(wanted)


def test_classify_is_documented(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert not api["unnamed_endpoints"]
    endpoint = api["named_endpoints"]["/classify"]
    parameters = {p["parameter_name"]: p for p in endpoint["parameters"]}
    assert list(parameters) == ["audio_file", "task", "backbone"]
    assert parameters["backbone"]["parameter_default"] == "mini"
    assert "those that the model generated" in endpoint["description"]


@pytest.mark.parametrize(
    ("task", "backbone", "sentence"),
    [
        ("keyword_spoting", "mini", "Backbone mini has no task 'keyword_spoting'; its tasks are: "),
        ("keyword_spotting", "maxi", "There is no backbone 'maxi' here; choose one of: mini"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(
    client: Client, task: str, backbone: str, sentence: str
) -> None:
    with pytest.raises(AppError) as error:
        client.predict(handle_file(str(EXAMPLES / "yes.flac")), task, backbone, api_name="/classify")
    assert str(error.value).startswith(sentence)


def test_a_corrupt_file_is_one_sentence(client: Client, tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_text("no sound here")
    with pytest.raises(AppError) as error:
        client.predict(handle_file(str(tmp_path / "clip.wav")), "keyword_spotting", api_name="/classify")
    assert str(error.value).startswith("The file cannot be read as sound: ")
    assert "Traceback" not in str(error.value) and str(tmp_path) not in str(error.value)


def test_a_path_of_the_server_is_not_read(server: str) -> None:
    """Asked by hand, because gradio's client would upload its own file of that name."""
    path = {"path": str(ROOT / "app.py"), "meta": {"_type": "gradio.FileData"}}
    request = urllib.request.Request(
        f"{server}/gradio_api/call/classify",
        json.dumps({"data": [path, "keyword_spotting", "mini"]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{server}/gradio_api/call/classify/{event}", timeout=30) as reply:
        told = reply.read().decode()
    # Refused before our decoder, which would have said that it is no sound.
    assert "event: error" in told and NOT_UPLOADED in told and str(ROOT) not in told


def test_the_client_in_the_documents_gets_answers(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code as it stands there, on this server; what its calls return is what is checked."""
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "Client(" in code]
    names: dict[str, Any] = {"said": []}
    code = code.replace("http://127.0.0.1:7860", server)
    exec(re.sub(r"^(client\.predict\(.*\))$", r"said.append(\1)", code, flags=re.MULTILINE), names)
    one, several = names["said"]
    assert one["label"] == "yes"
    assert {answer["task"]: answer["label"] for answer in several}["keyword_spotting"] == "yes"
