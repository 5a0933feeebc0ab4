/** Try: one bar asks, one row answers. */
import { decode } from "../sound/decode";
import { result, shownLabel } from "./answer";
import * as kept from "./history";
import { alert, escape, find, labelTag, options, percent, taskHint } from "./html";
import { Recorder } from "./recorder";
import { type Example, type State, remember, remembered, sentenceOf } from "./state";

const GHOST = [5, 9, 14, 22, 30, 26, 34, 28, 18, 24, 36, 30, 20, 12, 16, 26, 20, 10, 6, 4];

export class Try {
  private readonly recorder: Recorder;
  private readonly select: HTMLSelectElement;
  private asked = 0;

  constructor(private readonly element: HTMLElement, private readonly state: State) {
    element.innerHTML = `
      <div class="sp-bar">
        <div data-part="recorder"></div>
        <div class="sp-select"><label for="sp-task">Task</label><select id="sp-task">${options([...state.prompts.values()])}</select><p class="sp-hint"></p></div>
      </div>
      <div class="sp-say"></div>
      <div class="sp-panel" id="sp-panel" aria-live="polite"></div>
      <div class="sp-kept"></div>`;
    this.select = find("#sp-task", element);
    this.recorder = new Recorder(
      find("[data-part=recorder]", element),
      (waveform) => this.take(waveform, "recording"),
      (sentence) => sentence && this.show(alert(sentence)),
    );
    const first = remembered("task") || "keyword_spotting";
    this.select.value = state.prompts.has(first) ? first : [...state.prompts.keys()][0];
    this.select.onchange = () => {
      remember({ task: this.select.value });
      this.describe();
      if (state.waveform) void this.ask();
    };
    this.describe();
    this.invite();
    kept.show(find(".sp-kept", element));
    const example = state.examples.find((one) => one.file === remembered("example"));
    if (example) void this.choose(example);
  }

  get task(): string {
    return this.select.value;
  }

  /** The tasks have changed: one was taught or loaded, and is asked from now on. */
  refresh(task: string): void {
    this.select.innerHTML = options([...this.state.prompts.values()]);
    this.select.value = task;
    this.select.dispatchEvent(new Event("change"));
  }

  private describe(): void {
    const config = this.state.prompts.get(this.task);
    if (!config) return;
    find(".sp-hint", this.element).textContent = taskHint(config);
    const unsaid = ["unknown", "other", "none", config.form.silence_label];
    const labels = config.form.labels.filter((label) => !unsaid.includes(label));
    const shown = labels.slice(0, 10).map((label) => labelTag("span", label.slice(label.indexOf("=") + 1)));
    const more = labels.length > shown.length ? `<em>and ${labels.length - shown.length} more</em>` : "";
    const own = this.state.examples.filter((one) => this.task in one.labels);
    const buttons = (own.length ? own : this.state.examples).map(
      (one) => `<button type="button" data-file="${escape(one.file)}" title="${escape(one.attribution)}">▶ ${labelTag("b", one.spoken)}</button>`,
    );
    const say = find(".sp-say", this.element);
    say.innerHTML = `<p class="sp-words" tabindex="0"><b>It answers</b> ${shown.join("")}${more}</p>
      <div class="sp-examples" role="group" aria-label="Examples"><em>or hear</em>${buttons.join("")}</div>`;
    for (const button of say.querySelectorAll("button"))
      button.onclick = () => void this.choose(this.state.examples.find((one) => one.file === button.dataset.file) as Example);
  }

  private invite(): void {
    const bars = GHOST.map((height) => `<i style="height:${height}px"></i>`).join("");
    this.show(`<section class="sp-card sp-empty"><div class="sp-ghost" aria-hidden="true">${bars}</div>
      <h2>Speak and see the answer</h2><p>Record your voice, drop a file or click an example. Nothing leaves this browser.</p></section>`);
  }

  private async choose(example: Example): Promise<void> {
    try {
      const response = await fetch(`examples/${encodeURIComponent(example.file)}`);
      const waveform = await decode(await response.arrayBuffer());
      this.recorder.show(waveform);
      this.take(waveform, example.file);
    } catch (error) {
      this.show(alert(sentenceOf(error)));
    }
  }

  private take(waveform: Float32Array, source: string): void {
    this.state.waveform = waveform;
    this.state.source = source;
    remember({ example: this.state.examples.some((one) => one.file === source) ? source : "" });
    void this.ask();
  }

  private async ask(): Promise<void> {
    const { state } = this;
    const { waveform, source } = state;
    const config = state.prompts.get(this.task);
    if (!waveform || !config) return;
    const number = ++this.asked;
    const panel = find("#sp-panel", this.element);
    panel.setAttribute("aria-busy", "true");
    try {
      const found = await state.client.ask("classify", [waveform, [config.task]]);
      if (number !== this.asked) return; // another was asked meanwhile
      const [answer] = found.answers;
      this.show(result(answer, config, state.parameters[config.task], state.facts.parameters, state.facts.n_units, found, waveform));
      kept.keep({ time: Date.now(), title: answer.title, label: shownLabel(answer), score: percent(answer.score), fits: answer.fits, source });
      kept.show(find(".sp-kept", this.element));
    } catch (error) {
      if (number === this.asked) this.show(alert(sentenceOf(error)));
    } finally {
      if (number === this.asked) panel.removeAttribute("aria-busy");
    }
  }

  private show(html: string): void {
    find("#sp-panel", this.element).innerHTML = html;
  }
}
