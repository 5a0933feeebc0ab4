/** Live: each stretch of sound is answered as soon as it is over. */
import { download } from "../download";
import type { Heard, Listening } from "../liveWorker";
import { Client } from "../messages";
import { readTensors } from "../prompts/safetensors";
import { RATE } from "../sound/limits";
import type { Stretch } from "../sound/segmenter";
import type { Weights } from "../sound/speechDetector";
import { shownLabel } from "./answer";
import { alert, escape, find, labelTag, options, percent } from "./html";
import { type Microphone, listen } from "./microphone";
import { type State, sentenceOf } from "./state";

const SHOWN = 50;

export class Live {
  private running?: Microphone;
  private starting = false;
  private weights?: Weights;
  private listening?: Client<Listening>;
  private task = "";

  constructor(private readonly element: HTMLElement, private readonly state: State) {
    element.innerHTML = `
      <div class="sp-bar"><div class="sp-recorder"><button type="button" class="sp-record"><i aria-hidden="true"></i><span>Start listening</span></button>
        <p class="sp-hint" role="status"></p></div>
        <div class="sp-select"><label for="sp-live-task">Task of Live</label><select id="sp-live-task">${options([...state.prompts.values()])}</select>
        <p class="sp-hint">Speak with pauses between words: each is answered when it is over, in this browser.</p></div></div>
      <div class="sp-complaint"></div>
      <section class="sp-card"><h2 class="sp-eyebrow">Answers, the last first</h2><p class="sp-hint" data-part="none">None yet: say a word that the task knows while this listens.</p><ol class="sp-words-said" aria-live="polite"></ol></section>`;
    find<HTMLSelectElement>("select", element).value = state.prompts.has("keyword_spotting") ? "keyword_spotting" : [...state.prompts.keys()][0];
    find("select", element).onchange = () => this.choose();
    find("button", element).onclick = () => void (this.running ? this.stop() : this.start());
  }

  refresh(task: string): void {
    const select = find<HTMLSelectElement>("select", this.element);
    select.innerHTML = options([...this.state.prompts.values()]);
    select.value = task;
    this.choose();
  }

  private get anySound(): boolean {
    return this.state.prompts.get(this.task)?.expects === "any sound";
  }

  /** Another task from here on: what was said before is answered by the one before. */
  private choose(): void {
    const before = this.task;
    this.task = find<HTMLSelectElement>("select", this.element).value;
    if (this.running && this.listening) void this.hear(this.listening.ask("turn", [this.anySound]), before);
  }

  private async start(): Promise<void> {
    if (this.starting) return; // the browser asks whether it may
    this.starting = true;
    const complaint = find(".sp-complaint", this.element);
    complaint.innerHTML = "";
    this.task = find<HTMLSelectElement>("select", this.element).value;
    try {
      this.weights ??= readTensors(await download("live/model.safetensors.gz"), "The speech detector");
      const listening = (this.listening ??= new Client<Listening>(new Worker(new URL("../liveWorker.ts", import.meta.url), { type: "module" })));
      const more = (samples: Float32Array) => void (this.running && this.hear(listening.ask("feed", [samples]), this.task));
      this.running = await listen(more, () => {
        this.stop();
        complaint.innerHTML = alert("Listening ended, as this tab was put to sleep or the microphone went: start it again.", "Stopped");
      });
      void listening.ask("begin", [this.running.rate, this.anySound, this.weights]);
    } catch (error) {
      complaint.innerHTML = alert(sentenceOf(error), "Not listening");
    }
    this.starting = false;
    this.sync();
  }

  private stop(): void {
    this.running?.stop();
    this.running = undefined;
    if (this.listening) void this.hear(this.listening.ask("finish", []), this.task);
    this.say("");
    this.sync();
  }

  private async hear(asked: Promise<Heard>, task: string): Promise<void> {
    try {
      const { stretches, speaking } = await asked;
      for (const stretch of stretches) void this.answer(stretch, task);
      if (this.running) this.say(speaking ? "Somebody speaks." : "Listening.");
    } catch (error) {
      this.running?.stop();
      this.running = this.listening = undefined;
      find(".sp-complaint", this.element).innerHTML = alert(sentenceOf(error), "Stopped");
      this.sync();
    }
  }

  private async answer({ start, sound }: Stretch, task: string): Promise<void> {
    try {
      const { answers } = await this.state.client.ask("classify", [sound, [task]]);
      const silence = this.state.prompts.get(task)?.form.silence_label;
      if (silence && answers[0].label === silence) return; // nobody spoke
      this.add(
        `<li data-fits="${answers[0].fits}" title="${escape(answers[0].reason)}">${labelTag("b", shownLabel(answers[0]) || "nothing")} <data>${percent(answers[0].score)}</data>
        <span>${answers[0].fits === "yes" ? "" : escape(answers[0].reason)}</span><time>${(start / RATE).toFixed(1)} s</time></li>`,
      );
    } catch (error) {
      this.add(`<li data-fits="no"><span>${escape(sentenceOf(error))}</span></li>`);
    }
  }

  private add(item: string): void {
    find("[data-part=none]", this.element).hidden = true;
    const list = find("ol", this.element);
    list.insertAdjacentHTML("afterbegin", item);
    while (list.children.length > SHOWN) list.lastElementChild?.remove();
  }

  private say(text: string): void {
    const status = find("[role=status]", this.element);
    if (status.textContent !== text) status.textContent = text;
  }

  private sync(): void {
    find(".sp-recorder", this.element).dataset.state = this.running ? "recording" : "empty";
    find(".sp-record span", this.element).textContent = this.running ? "Stop listening" : "Start listening";
  }
}
