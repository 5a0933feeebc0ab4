"""A real server on loopback, in this process, with tiny models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from speechprompt.storage import bundled
from speechprompt.storage import folders as storage
from speechprompt.ui import retention, uploads
from speechprompt.ui.desk import Desk
from speechprompt.ui.page import build, launch_options
from tests import tiny
from tests.robustness import accidents


@pytest.fixture(scope="session")
def running_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[uploads.Page]:
    """The running page; sessions that ended are forgotten within a second."""
    root = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(root / "uploads"))
        patch.setattr(retention, "GRACE", 1.0)
        patch.setattr(retention, "SWEEP_EVERY", 0.2)
        patch.setenv("GRADIO_IS_E2E_TEST", "1")  # a heartbeat every quarter of a second, else every 15 s
        with pytest.MonkeyPatch.context() as only_here:  # other tests of this session have the bundled ones
            only_here.setattr(bundled, "ROOTS", (root,))
            desk = Desk(tiny.make_backbone(root), device="cpu")
        built = build(desk)
        built.launch(quiet=True, prevent_thread_lock=True, server_name="127.0.0.1", **launch_options(desk))
        yield built
        built.close()


@pytest.fixture(scope="session")
def served(running_page: uploads.Page) -> tuple[str, Path]:
    """The address of the page, and the folder that it keeps uploads in."""
    return running_page.local_url.rstrip("/"), running_page.uploads.folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return accidents.write_units(tmp_path_factory.mktemp("data") / "units.parquet")


@pytest.fixture
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was left aside counts as left by a writer that was killed."""
    monkeypatch.setattr(storage, "REST_SECONDS", 0)
