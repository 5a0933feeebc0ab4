/** Teach: a card for each label with its clips; a prompt from them; one zip that brings all of it back. */
import { Complaint } from "../complaint";
import { type LessonZip, parseCsv, readZip, writeZip } from "../prompts/archive";
import { checkLesson } from "../teach/teacher";
import { decode } from "../sound/decode";
import { RATE } from "../sound/limits";
import { type Card, STEPS, counted, hasWork, together, told } from "./cards";
import { alert, ask, escape, find, labelTag, percent } from "./html";
import { Recorder } from "./recorder";
import { type State, sentenceOf } from "./state";

const MOST_SECONDS = 20;
const MAX_LABELS = 10;

export class Teach {
  private cards: Card[] = [{ label: "", clips: [] }, { label: "", clips: [] }];
  private prompt?: LessonZip["prompt"];
  private saved = true;
  private readonly taught: HTMLElement;
  private readonly title: HTMLInputElement;

  /** used: a task was taught or loaded, and shall be asked. */
  constructor(private readonly element: HTMLElement, private readonly state: State, private readonly used: (task: string) => void) {
    element.innerHTML = `
      <section class="sp-card"><h2 class="sp-eyebrow">Teach a task of your own</h2>
        ${STEPS}
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
    [this.taught, this.title] = [find(".sp-taught", element), find("[data-part=title]", element)];
    this.on("add", () => {
      this.unlessRecording();
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

  private async trying(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.show(alert(sentenceOf(error), "Not taught"));
    }
  }

  private show(html: string): void {
    this.taught.innerHTML = html;
  }

  /** A card that is drawn again has another recorder. */
  private unlessRecording(): void {
    if (this.element.querySelector(".sp-cards [data-state=recording]")) throw new Complaint("A card is recording: stop that first.");
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
      <div class="sp-row"><label class="sp-field">Label ${number + 1}<input type="text" maxlength="80" placeholder="${["lamp on", "lamp off"][number] ?? ""}" value="${escape(card.label)}" /></label>
        <button type="button" class="sp-button" data-part="remove" ${this.cards.length > 2 ? "" : "disabled"}>Remove the label</button></div>
      <div data-part="recorder"></div><p class="sp-complaint" role="alert"></p>
      <ul class="sp-clips">${card.clips.map((clip, i) => `<li><button type="button" class="sp-link" data-play="${i}" aria-label="Play clip ${i + 1}">▶ ${i + 1}</button> ${(clip.length / RATE).toFixed(1)} s <button type="button" class="sp-link" data-clip="${i}" aria-label="Leave out clip ${i + 1}">leave out</button></li>`).join("")}</ul>`;
    const input = find<HTMLInputElement>("input[type=text]", section);
    input.oninput = () => {
      card.label = input.value;
      this.saved = false;
    };
    const again = () => {
      this.saved = false;
      section.replaceWith(this.cardOf(card, number)); // the others may be recording
    };
    const remove = () => {
      this.cards.splice(this.cards.indexOf(card), 1);
      this.draw();
    };
    find("[data-part=remove]", section).onclick = () =>
      void this.trying(async () => {
        this.unlessRecording();
        if (!card.clips.length) remove();
        else ask(this.taught, `${card.label || "This label"} has ${counted(card.clips.length, "clip")}, which would be gone.`, { "Remove it": remove, "Keep it": () => {} });
      });
    for (const button of section.querySelectorAll<HTMLButtonElement>("[data-clip]"))
      button.onclick = () => {
        card.clips.splice(Number(button.dataset.clip), 1);
        again();
      };
    const recorder = new Recorder(
      find("[data-part=recorder]", section),
      (waveform) => {
        card.clips.push(waveform);
        again();
      },
      (sentence) => (find(".sp-complaint", section).textContent = sentence),
      MOST_SECONDS,
    );
    for (const button of section.querySelectorAll<HTMLButtonElement>("[data-play]"))
      button.onclick = () => recorder.play(card.clips[Number(button.dataset.play)]);
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
    this.unlessRecording();
    const found = readZip(bytes);
    const cards = new Map<string, Float32Array[]>((found.lesson?.labels ?? []).map((label) => [label, []]));
    for (const { label, data } of found.recordings)
      cards.set(label, [...(cards.get(label) ?? []), await decode(new Uint8Array(data).buffer, MOST_SECONDS)]);
    if (cards.size > MAX_LABELS) throw new Complaint(`The zip has ${cards.size} labels; at most ${MAX_LABELS} can be taught.`);
    const { prompt } = found;
    let said = "";
    let task = "";
    if (prompt) {
      const config = await this.state.client.ask("add", [prompt.config, prompt.weights, "in the zip"]);
      task = config.task;
      this.take(prompt);
      said = `<section class="sp-card"><p class="sp-score" data-task="${task}">The task ${labelTag("b", config.title)} can be asked now.</p>
        <button type="button" class="sp-button" data-part="use">Use it in Try</button></section>`;
    }
    const show = () => {
      this.show(said);
      if (said) find("[data-part=use]", this.element).onclick = () => this.used(task);
    };
    const kept = prompt && { task, ...prompt };
    if (cards.size) this.bring(found.lesson?.title ?? "", cards, kept, show);
    else {
      if (!hasWork(this.cards)) this.prompt = kept;
      show();
    }
  }

  /** A lesson from elsewhere takes the place of this one, or comes to it, as the person says. */
  private bring(title: string, cards: Map<string, Float32Array[]>, prompt: LessonZip["prompt"], done: () => void): void {
    const replace = () => {
      this.title.value = title;
      this.prompt = prompt;
      this.cards = [...cards].map(([label, clips]) => ({ label, clips }));
      while (this.cards.length < 2) this.cards.push({ label: "", clips: [] });
      this.draw();
      done();
    };
    const add = () => {
      const all = together(this.cards, cards);
      if (all.length > MAX_LABELS) return this.show(alert(`Together these are ${all.length} labels; at most ${MAX_LABELS} can be taught.`, "Not added"));
      this.title.value ||= title;
      this.cards = all;
      this.saved = false;
      this.draw();
      done();
    };
    if (!hasWork(this.cards)) return replace();
    ask(this.taught, `This lesson has ${told(this.cards)}; what comes has ${counted(cards.size, "label")}.`, { "Add to this lesson": add, "Replace this lesson": replace, "Keep it as it is": done });
  }

  private async readyMade(): Promise<void> {
    this.unlessRecording();
    const table = await (await fetch("examples/lesson/labels.csv")).text();
    const cards = new Map<string, Float32Array[]>();
    const [head, ...rows] = parseCsv(table);
    for (const row of rows) {
      const [file, label] = [row[head.indexOf("file")], row[head.indexOf("label")]];
      const clip = await fetch(`examples/lesson/${encodeURIComponent(file)}`);
      cards.set(label, [...(cards.get(label) ?? []), await decode(await clip.arrayBuffer(), MOST_SECONDS)]);
    }
    this.bring("Three words", cards, undefined, () => this.show(""));
  }
}
