/** Teach: a card for each label with its clips; a prompt from them; one zip that brings all of it back. */
import { Complaint } from "../complaint";
import { type LessonZip, parseCsv, readZip, writeZip } from "../prompts/archive";
import { checkLesson } from "../teach/teacher";
import { decode } from "../sound/decode";
import { RATE } from "../sound/limits";
import { alert, escape, find, labelTag, percent } from "./html";
import { Recorder } from "./recorder";
import { type State, sentenceOf } from "./state";

const MOST_SECONDS = 20;
const MAX_LABELS = 10;

interface Card {
  label: string;
  clips: Float32Array[];
}

export class Teach {
  private cards: Card[] = [{ label: "", clips: [] }, { label: "", clips: [] }];
  private prompt?: LessonZip["prompt"];
  private saved = true;

  /** used: a task was taught or loaded, and shall be asked. */
  constructor(private readonly element: HTMLElement, private readonly state: State, private readonly used: (task: string) => void) {
    element.innerHTML = `
      <section class="sp-card"><h2 class="sp-eyebrow">A task of your own, from a few clips of each label</h2>
        <div class="sp-row"><label class="sp-field">Title<input type="text" data-part="title" maxlength="80" placeholder="Lights" /></label>
        <button type="button" class="sp-button" data-part="ready">Take a ready-made lesson</button>
        <button type="button" class="sp-button" data-part="open">Open a zip</button>
        <input type="file" data-part="zip" accept=".zip" aria-label="A zip of a lesson or a prompt" hidden /></div></section>
      <div class="sp-cards"></div>
      <div class="sp-row"><button type="button" class="sp-button" data-part="add">Add a label</button>
        <button type="button" class="sp-record" data-part="teach">Teach</button>
        <button type="button" class="sp-button" data-part="save">Download the zip</button></div>
      <progress max="1" value="0" aria-label="How far the lesson is" hidden></progress>
      <div class="sp-taught" aria-live="polite"></div>`;
    this.on("add", () => {
      this.cards.push({ label: "", clips: [] });
      this.draw();
    });
    this.on("teach", () => this.teach());
    this.on("save", () => this.save());
    this.on("ready", () => this.readyMade());
    const zip = find<HTMLInputElement>("[data-part=zip]", element);
    this.on("open", () => zip.click());
    zip.onchange = () => void this.trying(async () => {
      const [file] = zip.files ?? [];
      if (file) await this.open(new Uint8Array(await file.arrayBuffer()));
      zip.value = "";
    });
    addEventListener("beforeunload", (event) => {
      if (!this.saved) event.preventDefault();
    });
    this.draw();
  }

  private on(part: string, work: () => unknown): void {
    find(`[data-part=${part}]`, this.element).onclick = () => void this.trying(async () => work());
  }

  private get title(): HTMLInputElement {
    return find("[data-part=title]", this.element);
  }

  private async trying(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.show(alert(sentenceOf(error), "Not taught"));
    }
  }

  private show(html: string): void {
    find(".sp-taught", this.element).innerHTML = html;
  }

  private lesson() {
    return {
      title: this.title.value,
      labels: this.cards.map((card) => card.label),
      clips: this.cards.flatMap((card) => card.clips.map((waveform) => ({ label: card.label, waveform }))),
    };
  }

  private draw(): void {
    const cards = find(".sp-cards", this.element);
    cards.replaceChildren(...this.cards.map((card, i) => this.cardOf(card, i)));
    find<HTMLButtonElement>("[data-part=add]", this.element).disabled = this.cards.length >= MAX_LABELS;
  }

  private cardOf(card: Card, number: number): HTMLElement {
    const section = document.createElement("section");
    section.className = "sp-card";
    section.setAttribute("aria-label", `Label ${number + 1}`);
    section.innerHTML = `
      <div class="sp-row"><label class="sp-field">Label ${number + 1}<input type="text" maxlength="80" value="${escape(card.label)}" /></label>
        <button type="button" class="sp-button" data-part="remove" ${this.cards.length > 2 ? "" : "disabled"}>Remove the label</button></div>
      <div data-part="recorder"></div><p class="sp-complaint" role="alert"></p>
      <ul class="sp-clips">${card.clips.map((clip, i) => `<li>Clip ${i + 1}, ${(clip.length / RATE).toFixed(1)} s <button type="button" class="sp-link" data-clip="${i}" aria-label="Leave out clip ${i + 1}">leave out</button></li>`).join("")}</ul>`;
    const input = find<HTMLInputElement>("input[type=text]", section);
    input.oninput = () => {
      card.label = input.value;
      this.saved = false;
    };
    find("[data-part=remove]", section).onclick = () => {
      this.cards.splice(number, 1);
      this.draw();
    };
    for (const button of section.querySelectorAll<HTMLButtonElement>("[data-clip]"))
      button.onclick = () => {
        card.clips.splice(Number(button.dataset.clip), 1);
        this.draw();
      };
    new Recorder(
      find("[data-part=recorder]", section),
      (waveform) => {
        card.clips.push(waveform);
        this.saved = false;
        this.draw();
      },
      (sentence) => (find(".sp-complaint", section).textContent = sentence),
      MOST_SECONDS,
    );
    return section;
  }

  private async teach(): Promise<void> {
    const lesson = this.lesson();
    checkLesson(lesson); // before anything is waited for
    const bar = find<HTMLProgressElement>("progress", this.element);
    const button = find<HTMLButtonElement>("[data-part=teach]", this.element);
    [bar.hidden, button.disabled] = [false, true];
    try {
      const began = performance.now();
      const taught = await this.state.client.ask("teach", [lesson], ({ done }) => (bar.value = done));
      this.prompt = taught;
      this.saved = false;
      this.take(taught);
      const { labels } = lesson;
      const head = labels.map((label) => `<th scope="col">${escape(label)}</th>`).join("");
      const rows = taught.confusion.map((row, i) => `<tr data-fits="yes"><th scope="row">${escape(labels[i])}</th>${row.map((n) => `<td>${n}</td>`).join("")}</tr>`);
      this.show(`<section class="sp-card"><p class="sp-label sp-long" data-task="${taught.task}">${percent(taught.accuracy)} right</p>
        <p class="sp-score">Each of ${lesson.clips.length} clips was answered by a prompt made without it; taught in ${((performance.now() - began) / 1000).toFixed(1)} s.</p>
        <table class="sp-table"><thead><tr><th>clip of</th>${head}</tr></thead><tbody>${rows.join("")}</tbody></table>
        <button type="button" class="sp-button" data-part="use">Use it in Try</button></section>`);
      find("[data-part=use]", this.element).onclick = () => this.used(taught.task);
    } finally {
      [bar.hidden, button.disabled] = [true, false];
    }
  }

  /** The prompt of a lesson, or of a zip, can be asked from now on. */
  private take({ config, weights }: { config: string; weights: Uint8Array }): void {
    const facts = JSON.parse(config);
    this.state.prompts.set(facts.task, facts);
    this.state.parameters[facts.task] = weights.length / 2;
  }

  private save(): void {
    const lesson = this.lesson();
    if (!lesson.clips.length && !this.prompt) throw new Complaint("There is nothing to download yet: record a clip first.");
    const blob = new Blob([writeZip({ ...lesson, prompt: this.prompt }) as BlobPart], { type: "application/zip" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${this.prompt?.task ?? "lesson"}.zip`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    this.saved = true;
  }

  private async open(bytes: Uint8Array): Promise<void> {
    const found = readZip(bytes);
    const cards = new Map<string, Float32Array[]>((found.lesson?.labels ?? []).map((label) => [label, []]));
    for (const { label, data } of found.recordings)
      cards.set(label, [...(cards.get(label) ?? []), await decode(new Uint8Array(data).buffer, MOST_SECONDS)]);
    if (cards.size > MAX_LABELS) throw new Complaint(`The zip has ${cards.size} labels; at most ${MAX_LABELS} can be taught.`);
    let said = "";
    if (found.prompt) {
      const config = await this.state.client.ask("add", [found.prompt.config, found.prompt.weights, "in the zip"]);
      this.prompt = { task: config.task, ...found.prompt };
      this.take(found.prompt);
      said = `<section class="sp-card"><p class="sp-score" data-task="${config.task}">The task ${labelTag("b", config.title)} can be asked now.</p>
        <button type="button" class="sp-button" data-part="use">Use it in Try</button></section>`;
    }
    if (found.lesson) this.title.value = found.lesson.title;
    if (cards.size) this.cards = [...cards].map(([label, clips]) => ({ label, clips }));
    while (this.cards.length < 2) this.cards.push({ label: "", clips: [] });
    this.draw();
    this.show(said);
    const task = this.prompt?.task;
    if (said && task) find("[data-part=use]", this.element).onclick = () => this.used(task);
  }

  private async readyMade(): Promise<void> {
    const table = await (await fetch("examples/lesson/labels.csv")).text();
    const cards = new Map<string, Float32Array[]>();
    const [head, ...rows] = parseCsv(table);
    for (const row of rows) {
      const [file, label] = [row[head.indexOf("file")], row[head.indexOf("label")]];
      const clip = await fetch(`examples/lesson/${encodeURIComponent(file)}`);
      cards.set(label, [...(cards.get(label) ?? []), await decode(await clip.arrayBuffer(), MOST_SECONDS)]);
    }
    this.title.value = "Three words";
    this.cards = [...cards].map(([label, clips]) => ({ label, clips }));
    this.draw();
    this.show("");
  }
}
