/** Compare: one recording, all tasks, in a table. */
import type { Answer } from "../answers/answer";
import { shownLabel } from "./answer";
import { alert, chip, escape, find, headingOf, labelTag, percent, shareRight, trust } from "./html";
import { type State, sentenceOf } from "./state";

const EVEN = 0.5;
const GUESS = "More likely wrong than right: its probability times how often this task is right.";

export class Compare {
  private shownFor?: Float32Array;

  constructor(private readonly element: HTMLElement, private readonly state: State) {
    element.innerHTML = '<div class="sp-panel" id="sp-compare" aria-live="polite"></div>';
  }

  /** The tab was opened: the recording of Try is asked about, once. */
  async open(): Promise<void> {
    const { waveform, prompts, source } = this.state;
    const panel = find("#sp-compare", this.element);
    if (!waveform) {
      panel.innerHTML = '<section class="sp-card sp-empty"><h2>One recording, all tasks</h2><p>Record something or choose an example in Try first.</p></section>';
      return;
    }
    if (this.shownFor === waveform) return;
    panel.setAttribute("aria-busy", "true");
    try {
      const began = performance.now();
      const rows = await this.rows(waveform);
      const ms = performance.now() - began;
      panel.innerHTML = `<section class="sp-card"><h2 class="sp-eyebrow">${prompts.size} tasks about ${escape(source)}, ${ms.toFixed(0)} ms</h2>
        <div class="sp-scroll" tabindex="0"><table class="sp-table"><thead><tr><th>Task</th><th>Label</th><th>Probability</th><th>Generated unit</th><th>How often right</th><th>Fits?</th></tr></thead>
        <tbody>${rows}</tbody></table></div></section>`;
      this.shownFor = waveform;
    } catch (error) {
      panel.innerHTML = alert(sentenceOf(error));
    } finally {
      panel.removeAttribute("aria-busy");
    }
  }

  private async rows(waveform: Float32Array): Promise<string> {
    const { prompts, client } = this.state;
    const { answers, refused } = await client.ask("compare", [waveform]);
    const order = { yes: 0, unsure: 1, no: 2 };
    const likely = (answer: Answer) => trust(answer.score, prompts.get(answer.task));
    const shown = [...answers].sort((a, b) => order[a.fits] - order[b.fits] || likely(b) - likely(a));
    const rows = shown.map((answer) => {
      const config = prompts.get(answer.task);
      const right = config && shareRight(config);
      const [step] = answer.steps;
      const guess = answer.fits === "yes" && likely(answer) < EVEN;
      return `<tr data-fits="${guess ? "unsure" : answer.fits}"><th scope="row">${escape(answer.title)}<small>${config ? escape(headingOf(config)) : ""}</small></th><td>${labelTag("b", shownLabel(answer) || "nothing")}</td>
        <td>${percent(answer.score)}</td><td>${chip(step.likeliest[0].unit)}</td><td>${right === undefined ? "not measured" : percent(right)}</td>
        <td>${guess ? `<span title="${GUESS}">yes, but a guess</span>` : answer.fits === "yes" ? "yes" : escape(answer.reason)}</td></tr>`;
    });
    const without = refused.map(({ title, sentence }) => `<tr data-fits="no"><th scope="row">${escape(title)}</th><td colspan="5">${escape(sentence)}</td></tr>`);
    return [...rows, ...without].join("");
  }
}
