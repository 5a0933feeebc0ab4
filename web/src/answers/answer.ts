/** What a task says about a recording, ready to be shown; plain data, so that a worker can send it. */
import { OFFSET } from "../models/facts";
import type { Units } from "../models/encoder";
import { type Prompt, believed, fillSlots, span, textOf } from "../prompts/prompt";
import type { Fits } from "./fits";
import { type RawAnswer, descending, logSumExp, scoreOf } from "./search";

const LIKELIEST = 12; // units that are told by number

export interface Likely {
  unit: number;
  score: number;
}

export interface Step {
  label: string | null;
  slot: string;
  score: number;
  /** Label -> probability, highest first; "" is the end of a sequence. */
  scores: [string, number][];
  likeliest: Likely[];
}

export interface Answer {
  task: string;
  title: string;
  label: string;
  score: number;
  steps: Step[];
  slots: Record<string, string>;
  units: Units;
  verbalizer: "fixed" | "learned";
  fits: Fits;
  reason: string;
  inside: number;
}

export function makeAnswer(prompt: Prompt, raw: RawAnswer, units: Units, judged: { fits: Fits; reason: string; inside: number }): Answer {
  const { form, task, title } = prompt.config;
  const labels = raw.labels.map((index) => form.labels[index]);
  return {
    task, title, units,
    label: textOf(form, labels),
    score: believed(prompt, scoreOf(raw)),
    steps: raw.probabilities.map((_, at) => makeStep(prompt, raw, at)),
    slots: fillSlots(form, labels),
    verbalizer: prompt.weight ? "learned" : "fixed",
    ...judged,
  };
}

function makeStep(prompt: Prompt, raw: RawAnswer, at: number): Step {
  const { form } = prompt.config;
  const [slot, first, end] = span(form, at);
  const names = [...form.labels, ""];
  const all = raw.probabilities[at];
  const odds = all.slice(first, form.kind === "sequence" ? end + 1 : end);
  const index = at < raw.labels.length ? raw.labels[at] : all.length - 1;
  const label = at < raw.labels.length ? form.labels[index] : null;
  const x = raw.logits[at].subarray(OFFSET);
  const total = logSumExp(x);
  return {
    label,
    slot: slot || (label?.includes("=") ? label.slice(0, label.lastIndexOf("=")) : ""),
    score: all[index],
    scores: descending(odds).map((i) => [names[first + i], odds[i]]),
    likeliest: descending(x).slice(0, LIKELIEST).map((unit) => ({ unit, score: Math.exp(x[unit] - total) })),
  };
}
