/** An answer and the way to it: label and scores left, units, prompt, generated unit and verbalizer right. */
import type { Answer, Step } from "../answers/answer";
import type { Answered } from "../pipeline";
import type { PromptConfig } from "../prompts/prompt";
import { RATE } from "../sound/limits";
import { bars, chip, colourOf, escape, inkOn, labelTag, percent, trackRecord } from "./html";
import { peaks } from "./recorder";

const LONG_LABEL = 14;
const CHIPS_SHOWN = 3;
const RUNS_SHOWN = 160;
const STEPS_SHOWN = 6;

/** The answer as people say it: of slots their values alone. */
export function shownLabel(answer: Answer): string {
  const values = Object.values(answer.slots);
  if (!values.length) return answer.label;
  return values.filter((value) => value && value !== "none").join(", ") || "none";
}

export function result(answer: Answer, config: PromptConfig, parameters: number, frozen: number, nUnits: number, found: Answered, waveform: Float32Array): string {
  const label = shownLabel(answer) || "nothing";
  const doubt = answer.fits === "yes" ? "" : `<p class="sp-outside" data-fits="${answer.fits}">${escape(answer.reason)}</p>`;
  const rows = config.form.kind === "label" ? answer.steps[0].scores : answer.steps.slice(0, STEPS_SHOWN).map((step): [string, number] => [stepName(step), step.score]);
  const facts = [
    found.encodeMs ? `Encoder ${found.encodeMs.toFixed(0)} ms` : "Units known from before", `language model ${found.lmMs.toFixed(0)} ms`,
    found.engine,
  ];
  return `
    <div class="sp-two">
      <section class="sp-card sp-answer" aria-label="Answer" data-fits="${answer.fits}"
        data-task="${answer.task}" data-label="${escape(answer.label)}" data-score="${answer.score.toFixed(6)}">
        <div class="sp-verdict"><h2 class="sp-eyebrow">${escape(answer.title)}</h2>
          <p class="sp-label${label.length > LONG_LABEL ? " sp-long" : ""}">${labelTag("bdi", label)} <data>${percent(answer.score)}</data></p>
          <p class="sp-score">${escape(trackRecord(config))}</p>${doubt}</div>
        <div class="sp-scores">${bars(rows)}</div>
      </section>
      <section class="sp-card sp-way" aria-label="How it got there"><p class="sp-eyebrow">How it got there</p><ol>
        ${stage("Sound → units", `${answer.units.lengths.reduce((a, b) => a + b, 0)} frames, ${answer.units.ids.length} units`, ribbon(answer))}
        ${stage("Prompt + LM", `${percent(parameters / frozen)} trained`, `<span class="sp-box sp-prompt">prompt “${escape(answer.title)}” · ${Math.round(parameters / 1000)} k</span> + <span class="sp-box">frozen unit LM</span>`)}
        ${stage(answer.steps.length > 1 ? "Generated units" : "Generated unit", answer.steps.length > 1 ? "likeliest next" : `likeliest of ${nUnits}`, generated(answer))}
        ${stage("Verbalizer", answer.verbalizer === "learned" ? "all odds together, none alone" : "the generated unit decides", `→ ${labelTag("b", label)}`)}
      </ol></section>
    </div>
    <details class="sp-fold"><summary>Look at the units <span>· each with its number, on the time axis</span></summary>${timeline(answer, waveform)}</details>
    <details class="sp-fold"><summary>About this task <span>· what it is, how often it is right, what it is bad at</span></summary>${about(config)}</details>
    <ul class="sp-facts" aria-label="How it ran">${facts.map((fact) => `<li>${fact}</li>`).join("")}</ul>`;
}

const stage = (head: string, hint: string, content: string) => `<li><h3>${head}<small>${hint}</small></h3><div>${content}</div></li>`;

export function stepName(step: Step): string {
  if (step.label === null) return "end";
  if (step.slot) return `${step.slot.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase()}: ${step.label.slice(step.label.indexOf("=") + 1)}`;
  return step.label.trim() || "space";
}

function ribbon({ units }: Answer): string {
  const total = units.lengths.reduce((a, b) => a + b, 0) || 1;
  const cells = units.ids.slice(0, RUNS_SHOWN).map((unit, i) => {
    const colour = colourOf(unit);
    const name = units.lengths[i] / total > 0.045 ? `<b>${unit}</b>` : "";
    return `<i style="flex:${units.lengths[i]};background:${colour};color:${inkOn(colour)}" title="unit ${unit}">${name}</i>`;
  });
  return `<div class="sp-rib" role="img" aria-label="${units.ids.length} units in order">${cells.join("")}</div>`;
}

function generated(answer: Answer): string {
  const likely = ({ unit, score }: { unit: number; score: number }) => `<span>${chip(unit)} <span class="sp-share">${percent(score)}</span></span>`;
  const steps = answer.steps.filter((step) => step.label !== null);
  if (answer.steps.length > 1) return steps.slice(0, STEPS_SHOWN).map((step) => likely(step.likeliest[0])).join("") || "none: the sequence is empty";
  return answer.steps[0].likeliest.slice(0, CHIPS_SHOWN).map(likely).join("");
}

/** The waveform above its units, each with its number; it scrolls inside its card. */
function timeline({ units }: Answer, waveform: Float32Array): string {
  const seconds = waveform.length / RATE;
  const width = Math.max(600, Math.round(seconds * 900));
  const columns = Math.floor(width / 3);
  const path = peaks(waveform, columns).map((level, i) => `M${i * 3} ${38 - 36 * level}v${Math.max(1, 72 * level)}`).join("");
  const runs = units.ids.map((unit, i) => {
    const colour = colourOf(unit);
    const [left, wide] = [units.starts[i] * 0.02, units.lengths[i] * 0.02].map((s) => ((100 * s) / seconds).toFixed(3));
    return `<i style="left:${left}%;width:${wide}%;background:${colour};color:${inkOn(colour)}" title="unit ${unit}, ${units.lengths[i] * 20} ms"><b>${unit}</b></i>`;
  });
  return `<div class="sp-scroll" tabindex="0" aria-label="Timeline of units"><div class="sp-track" style="width:${width}px">
    <svg class="sp-wave" viewBox="0 0 ${width} 76" preserveAspectRatio="none" aria-hidden="true"><path d="${path}"/></svg>
    <div class="sp-ribbon">${runs.join("")}</div></div></div>
    <div class="sp-text"><code>${units.ids.join(" ")}</code></div>`;
}

function about(config: PromptConfig): string {
  const rows: [string, string][] = [
    ["What to say", config.about], ["How often right", trackRecord(config)], ["Bad at", config.limits],
    ["Learnt from", config.data], ["Licence of that", config.licence], ["Labels", config.form.labels.map((label) => label.replaceAll("_", " ")).join(", ")],
  ];
  const items = rows.filter(([, text]) => text).map(([head, text]) => `<dt>${head}</dt><dd dir="auto">${escape(text)}</dd>`);
  return `<div class="sp-about-task"><dl>${items.join("")}</dl></div>`;
}
