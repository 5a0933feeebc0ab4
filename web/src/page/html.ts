/** What the page shows, as HTML: whatever comes from outside is escaped here. */
import type { PromptConfig } from "../prompts/prompt";

const PALETTE = [
  "#5d48b1", "#f2d13e", "#b03a17", "#7fe3fd", "#4a76da", "#ed8a22", "#8a435b", "#bae19c",
  "#7b63a3", "#f2a1b9", "#d06217", "#59bbfb", "#a16a71", "#c28c7d", "#8e8aba", "#6897fe",
];
const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const BARS_SHOWN = 3;
const FEWEST_STRANGERS = 10;
const APART = 0.1;
const POOR = 0.7;

export const escape = (text: string) => text.replace(/[&<>"']/g, (letter) => ENTITIES[letter]);

/** An element of the page; it is there, or the page is not ours. */
export function find<E extends HTMLElement = HTMLElement>(selector: string, within: ParentNode = document): E {
  const found = within.querySelector<E>(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}

export function percent(share: number): string {
  if (share > 0 && share < 0.01) return "<1\u00a0%";
  if (share > 0.99 && share < 1) return ">99\u00a0%";
  return `${Math.round(100 * share)}\u00a0%`;
}

/** A label may be in any script, so its direction is its own. */
export const labelTag = (tag: string, label: string) => `<${tag} dir="auto">${escape(label.replaceAll("_", " "))}</${tag}>`;

export const colourOf = (unit: number) => PALETTE[unit % PALETTE.length];

/** The more legible of white and ink. */
export function inkOn(colour: string): string {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

export function chip(unit: number): string {
  const colour = colourOf(unit);
  return `<span class="sp-chip" style="background:${colour};color:${inkOn(colour)}" title="unit ${unit}">${unit}</span>`;
}

export function bars(rows: [string, number][]): string {
  const bar = ([label, share]: [string, number]) =>
    `<li>${labelTag("span", label || "end")}<i><b style="width:${(100 * share).toFixed(1)}%"></b></i><data>${percent(share)}</data></li>`;
  const shown = `<ol class="sp-bars">${rows.slice(0, BARS_SHOWN).map(bar).join("")}</ol>`;
  if (rows.length <= BARS_SHOWN) return shown;
  const rest = rows.slice(BARS_SHOWN).map(bar).join("");
  return `${shown}<details><summary>${rows.length - BARS_SHOWN} more labels</summary><ol class="sp-bars" start="${BARS_SHOWN + 1}">${rest}</ol></details>`;
}

/** One sentence saying what went wrong and what to do; screen readers announce it. */
export const alert = (sentence: string, heading = "No answer") =>
  `<section class="sp-card sp-alert" role="alert"><div><h2>${escape(heading)}</h2><p>${escape(sentence)}</p></div></section>`;

/** One sentence and what may be done, where work would be lost otherwise; what is chosen is done, and the question goes. */
export function ask(element: HTMLElement, question: string, choices: Record<string, () => void>): void {
  const buttons = Object.keys(choices).map((choice) => `<button type="button" class="sp-button">${escape(choice)}</button>`);
  element.innerHTML = `<section class="sp-card sp-ask" role="group" aria-label="A question"><p class="sp-score">${escape(question)}</p><div class="sp-row">${buttons.join("")}</div></section>`;
  const found = element.querySelectorAll("button");
  Object.values(choices).forEach((work, i) => {
    found[i].onclick = () => {
      element.replaceChildren();
      work();
    };
  });
  found[0].focus();
}

const strangersDecide = ({ strangers, metrics }: PromptConfig) =>
  Boolean(strangers && strangers.n >= FEWEST_STRANGERS && (metrics.accuracy === undefined || metrics.accuracy - strangers.right > APART));

export function shareRight(config: PromptConfig): number | undefined {
  return config.strangers && strangersDecide(config) ? config.strangers.right : config.metrics.accuracy;
}

/** How likely an answer is right: its probability times how often its prompt was; 0 where nobody measured. */
export const trust = (score: number, config?: PromptConfig) => score * ((config && shareRight(config)) ?? 0);

/** How often this prompt was right when it was measured. */
export function trackRecord(config: PromptConfig): string {
  const { strangers, metrics } = config;
  if (strangers && strangersDecide(config)) return `Right on ${percent(strangers.right)} of ${strangers.n} of strangers' clips.`;
  if (metrics.accuracy === undefined || metrics.n === undefined) return "Nobody has measured how often this task is right.";
  return `Right on ${percent(metrics.accuracy)} of ${metrics.n} ${metrics.split ? `${metrics.split} ` : ""}clips.`;
}

export function taskHint(config: PromptConfig): string {
  const share = shareRight(config);
  return `${share === undefined ? "Not measured." : `Right ${Math.round(100 * share)} times in 100.`} ${config.about}`.trim();
}

/** The group of tasks that it is shown in: what is too often wrong stands apart. */
export function headingOf(config: PromptConfig): string {
  const { strangers, metrics, form } = config;
  const poor = strangers && strangers.n >= FEWEST_STRANGERS && strangers.right < POOR;
  const recall = metrics.unweighted_recall;
  const chance = form.kind === "label" && recall !== undefined && recall < Math.min(POOR, 2 / form.labels.length);
  return poor || chance ? "Experimental" : config.group;
}

/** Options of a select, in groups; those that are experimental last. */
export function options(configs: PromptConfig[]): string {
  const groups = new Map<string, PromptConfig[]>();
  const byTitle = [...configs].sort((a, b) => a.title.localeCompare(b.title));
  for (const config of byTitle) groups.set(headingOf(config), [...(groups.get(headingOf(config)) ?? []), config]);
  const order = [...groups].sort(([a], [b]) => Number(a === "Experimental") - Number(b === "Experimental") || a.localeCompare(b));
  return order
    .map(([group, of]) => `<optgroup label="${escape(group)}">${of.map((c) => `<option value="${c.task}">${escape(c.title)}</option>`).join("")}</optgroup>`)
    .join("");
}
