"""What every test shares: few threads, so that the suite runs alike on two cores and on sixteen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fake_hub import FakeHub

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_NUM_THREADS", "2")

# What takes seconds or a browser: `pytest` alone leaves it out, `bash tests/run.sh` runs it.
LONG = (
    "tests/browser/",
    "tests/robustness/",
    "tests/studies/",
    "tests/tools/test_space.py",
    "tests/making/test_export.py",
    "tests/making/pretrain/test_pretrain.py",
    "tests/making/pretrain/test_prosody_lm.py",
    "tests/models/test_causal_lm.py::test_a_toy_task",
    "tests/prompts/test_hub.py::test_commands_in_a_process",
    "tests/making/fetch/test_fetch.py::test_the_command_line_knows_it",
    "tests/data/test_sources.py::test_a_large_file",
    "tests/tuning/test_loop.py",
    "tests/tuning/test_verbalizer.py",
    "tests/teaching/test_teacher.py::test_what_is_none",
    "tests/ui/test_endpoints.py",
    "tests/ui/test_time_limit.py",
    "tests/storage/test_parquet.py::test_bombs",
    "tests/storage/test_parquet.py::test_a_repeated_value",
    "tests/storage/test_zip_reading.py::test_a_million_entries",
    "tests/prompts/test_archive.py::test_a_table_takes_time",
    "tests/models/test_pitch.py::test_a_minute_is_cheap",
    "tests/audio/test_load.py::test_long_recordings",
    "tests/models/test_hubert.py::test_true_size",
    "tests/ui/test_start.py",
    "tests/machine/test_machine.py::test_a_process_forked",
    "tests/audio/test_libav.py::test_ffmpeg_prints_nothing",
    "tests/models/test_absolute_pitch.py::test_pitch_can_be_learnt",
    "tests/teaching/test_teacher.py::test_words_are_learnt_on_mini",
    "tests/making/convert/test_kmeans.py::test_reading_imports_neither",
    "tests/test_bundled.py::test_16_bits",
    "tests/test_bundled.py::test_examples_get_their_labels_between_pauses",
    "tests/test_docs.py::test_benchmarks",
    "tests/test_docs.py::test_the_examples_in_python",
    "tests/labelling/test_label.py::test_a_killed_run",
    "tests/labelling/test_label.py::test_a_file_that_ends_its_worker",
    "tests/labelling/test_label.py::test_a_folder_is_labelled_as_single_clips_are[2]",
    "tests/labelling/test_segments.py::test_a_long_recording",
    "tests/labelling/test_segments.py::test_a_run_stopped_after_any_batch",
    "tests/labelling/test_segments.py::test_the_command_writes_whole_files",
    "tests/commands/test_cli.py::test_a_path_that_is_no_utf_8",
    "tests/tuning/test_fine_tuning.py::test_all_weights_learn",
    "tests/tuning/test_fine_tuning.py::test_a_stopped",
    "tests/ui/test_comparison.py::test_a_real_clip",
    "tests/tuning/test_recipe.py::test_of_several_seeds",
    "tests/tuning/test_recipe.py::test_a_tuning_begins",
    "tests/making/pretrain/test_whisper_units.py",
    "tests/live/test_chunks.py",
    "tests/labelling/test_cluster.py::test_neither",
    "tests/prompts/test_hub.py::test_a_hub_that_never_answers",
    "tests/ui/classify/test_long.py",
    "tests/audio/test_augment.py::test_a_share_of_controlled",
    "tests/audio/test_augment.py::test_controlled_clips",
    "tests/tools/test_gpu_check.py::test_what_hangs",
    "tests/labelling/test_segments.py::test_several_tasks",
    "tests/labelling/test_segments.py::test_the_command_says",
    "tests/test_pipeline.py::test_imports_stay_light",
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The Hub, small and on loopback, to which the real client is pointed."""
    from tests import fake_hub  # its client takes a moment to import

    with fake_hub.serve() as found:
        fake_hub.point_client_at(found, tmp_path / "home", monkeypatch)
        yield found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(LONG):
            item.add_marker(pytest.mark.long)
