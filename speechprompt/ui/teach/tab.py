"""The second tab: labels and recordings of the visitor's own become a task."""

from __future__ import annotations

from typing import Any

import gradio as gr

from speechprompt.ui.controls import AT_ONCE, DEVICE_QUEUE, PRIVATE, select
from speechprompt.ui.teach import clips as lesson_desk
from speechprompt.ui.teach import figures as lesson_figures
from speechprompt.ui.teach.events import TeachingDesk

# One teaching at a time, beside the answers: those need not wait for it.
TEACHING_QUEUE: dict[str, Any] = {"concurrency_id": "teaching", "concurrency_limit": 1}

CLIPS_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-clip]");
  if (button) trigger("click", { do: button.dataset.do, clip: Number(button.dataset.clip) });
});
"""
FILES_HINT = (
    '<p class="sp-hint">Recordings of the chosen label; or a zip with a folder for each label; or a CSV with the '
    "columns file and label, together with its recordings.</p>"
)
# A browser tells the server no folders: a folder becomes a table of its recordings and their labels.
FOLDER = (
    '<label class="sp-folder">Choose a folder with a folder for each label'
    '<input type="file" webkitdirectory multiple></label>'
)
FOLDER_SCRIPT = """
element.querySelector("input").addEventListener("change", (event) => {
  const sounds = Array.from(event.target.files).filter(
    (file) => /\\.(wav|flac|ogg|oga|opus|mp3)$/i.test(file.name) && !file.name.startsWith("."));
  const target = document.querySelector("#sp-teach-files input[type=file]");
  if (!sounds.length || !target) return;
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const table = ["file,label"], moved = new DataTransfer();
  sounds.forEach((file, i) => {
    const name = `${i + 1}-${file.name.replace(/[^\\w.-]/g, "")}`;
    table.push(`${quoted(name)},${quoted(file.webkitRelativePath.split("/").at(-2) || "")}`);
    moved.items.add(new File([file], name, { type: file.type }));
  });
  moved.items.add(new File([table.join("\\n")], "labels.csv", { type: "text/csv" }));
  target.files = moved.files;
  target.dispatchEvent(new Event("change", { bubbles: true }));
  event.target.value = "";
});
"""


def plain(value: str = "", script: str | None = None, **more: Any) -> gr.HTML:
    return gr.HTML(value, apply_default_css=False, js_on_load=script, **more)


def build(desk: TeachingDesk, session: gr.State, try_task: gr.HTML, try_backbone: gr.HTML) -> None:
    """The tab's components and events; a new task goes into the Try tab's list of tasks."""
    known = desk.backbones()
    name = desk.desk.default if desk.desk.default in known else (known or [""])[0]
    with gr.Row(elem_classes="sp-columns sp-teach"):
        with gr.Column(scale=5, min_width=320, elem_classes="sp-input"):
            title = gr.Textbox("My words", label="Title of the task", max_length=80, elem_id="sp-teach-title")
            new = gr.Textbox(
                label="Name of a label",
                info="Two to ten labels. Press Enter to add.",
                max_length=80,
                elem_id="sp-teach-name",
            )
            with gr.Row(elem_classes="sp-buttons"):
                add = gr.Button("Add label", elem_id="sp-teach-add", min_width=90)
                rename = gr.Button("Rename chosen", elem_id="sp-teach-rename", min_width=90)
                remove = gr.Button("Remove chosen", elem_id="sp-teach-remove", min_width=90)
            label = select("Label to record", "sp-teach-label", lesson_figures.label_options([]), "")
            recorder = gr.Audio(
                sources=["microphone"],
                type="filepath",
                label="Record the chosen label",
                elem_id="sp-teach-audio",
                buttons=[],
            )
            files = gr.File(
                file_count="multiple",
                label="Or files",
                elem_id="sp-teach-files",
                height=150,
            )
            plain(FILES_HINT)
            plain(FOLDER, FOLDER_SCRIPT)
            said = plain(elem_classes="sp-note-line", elem_id="sp-teach-said")
        with gr.Column(scale=8, min_width=320):
            clips = plain(lesson_figures.clip_list({}), CLIPS_SCRIPT, elem_id="sp-teach-clips")
            player = gr.Audio(
                label="Clip",
                interactive=False,
                visible=False,
                autoplay=True,
                elem_id="sp-teach-player",
                buttons=[],
            )
            backbone = select("Backbone", "sp-teach-backbone", desk.backbone_options(), name)
            with gr.Row(elem_classes="sp-buttons"):
                tune = gr.Button("Tune", variant="primary", elem_id="sp-teach-run")
                cancel = gr.Button("Cancel", elem_id="sp-teach-cancel")
            panel = plain(elem_id="sp-teach-panel")
            with gr.Column(visible=False) as use:
                trial = gr.Audio(
                    sources=["microphone", "upload"],
                    type="filepath",
                    label="Try the new task",
                    elem_id="sp-teach-try",
                    buttons=[],
                )
                answer = plain(elem_id="sp-teach-answer")
                download = gr.DownloadButton("Download the prompt", elem_id="sp-teach-download")
                with gr.Accordion("Push to the Hugging Face Hub", open=False):
                    repository = gr.Textbox(label="Repository", placeholder="owner/my-words", max_length=200)
                    token = gr.Textbox(label="Token with write access", type="password", max_length=200)
                    push = gr.Button("Push")
                    pushed = plain(elem_classes="sp-note-line")
            loaded = gr.File(
                label="Load a zip back",
                elem_id="sp-teach-load",
                height=120,
                file_count="single",
            )

    lesson = [session, label, clips, said]
    add.click(lesson_desk.add_label, [session, label, new], [*lesson, new], **AT_ONCE)
    new.submit(lesson_desk.add_label, [session, label, new], [*lesson, new], **AT_ONCE)
    rename.click(lesson_desk.rename_label, [session, label, new], [*lesson, new], **AT_ONCE)
    remove.click(lesson_desk.remove_label, [session, label], lesson, **AT_ONCE)
    clips.click(lesson_desk.clip_action, [session, label], [*lesson, player], **AT_ONCE)
    recorder.stop_recording(
        lesson_desk.add_recording, [session, label, recorder], [*lesson, recorder], **PRIVATE, **DEVICE_QUEUE
    )
    files.upload(lesson_desk.add_files, [session, label, files], [*lesson, files], **PRIVATE, **DEVICE_QUEUE)
    ready = [session, panel, try_task, use, download, answer]
    tune.click(
        desk.tune,
        [session, title, backbone, try_task, try_backbone],
        ready,
        **PRIVATE,
        **TEACHING_QUEUE,
        show_progress="hidden",
    )
    cancel.click(desk.cancel, session, None, **AT_ONCE)
    loaded.upload(desk.load, [session, loaded, try_task, try_backbone], ready, **PRIVATE, **DEVICE_QUEUE)
    shown: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": answer}
    trial.change(desk.try_it, [session, trial], answer, **PRIVATE, **DEVICE_QUEUE, **shown)
    push.click(desk.push, [session, repository, token], [pushed, token], **PRIVATE, **TEACHING_QUEUE)
