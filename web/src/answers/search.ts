/** How answers grow label by label (decoding/beam_search.py), and what the verbalizer makes of logits. */
import { EOS, OFFSET } from "../models/facts";
import { type Past, type Passed } from "../models/lm";
import { type Prompt, span, stepsOf, temperatureOf } from "../prompts/prompt";

export const END = -1; // in place of a label: the sequence ends here

/** One prompt's answer before units and labels get their names. */
export interface RawAnswer {
  labels: number[];
  /** Of each step, over what may be answered there; in sequences the last is the end. */
  probabilities: number[][];
  /** Of each step, what the LM itself says. */
  logits: Float32Array[];
}

interface Hypothesis {
  labels: number[];
  logProbability: number;
  probabilities: number[][];
  logits: Float32Array[];
  past?: Past;
}

/** Vocabulary logits -> those of the labels; of a sequence with one more, its end's. */
export function labelLogits(prompt: Prompt, x: ArrayLike<number>): number[] {
  const C = prompt.config.form.labels.length;
  const withEnd = prompt.config.form.kind === "sequence";
  const found: number[] = [];
  if (prompt.weight) {
    const V = x.length;
    const rows = [...Array.from({ length: C }, (_, c) => c + OFFSET), ...(withEnd ? [EOS] : [])];
    for (const row of rows) {
      let sum = 0;
      for (let v = 0; v < V; v++) sum += prompt.weight[row * V + v] * x[v];
      found.push(sum);
    }
    return found;
  }
  for (const units of prompt.units ?? []) found.push(logSumExp(units.map((unit) => x[unit + OFFSET])));
  if (withEnd) found.push(x[EOS]);
  return found;
}

export function logSumExp(values: ArrayLike<number>): number {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i]);
  if (most === -Infinity) return most;
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - most);
  return most + Math.log(sum);
}

export function logSoftmax(values: number[]): number[] {
  const total = logSumExp(values);
  return values.map((value) => value - total);
}

/** The order of values, highest first; equal ones as they come. */
export function descending(values: ArrayLike<number>): number[] {
  return Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a] || a - b);
}

const rank = (one: Hypothesis) => one.logProbability / one.labels.length;

/** One row's answer; next: one more label after each of some pasts, at so many labels. */
export async function search(
  prompt: Prompt,
  first: Passed,
  next: (pasts: Past[], labels: number[], at: number) => Promise<Passed[]>,
): Promise<RawAnswer> {
  const { form } = prompt.config;
  let alive: Hypothesis[] = [{ labels: [], logProbability: 0, probabilities: [], logits: [] }];
  let passed = [first];
  let finished: Hypothesis[] = [];
  for (;;) {
    const choices: Hypothesis[] = [];
    alive.forEach((one, i) => {
      const found = labelLogits(prompt, passed[i].logits);
      if (form.kind === "slots") {
        const [, from, end] = span(form, one.labels.length);
        found.forEach((_, c) => (c < from || c >= end) && (found[c] = -Infinity));
      }
      const scores = logSoftmax(found.map((value) => value / temperatureOf(prompt)));
      for (const choice of descending(scores).slice(0, form.beams)) {
        choices.push({
          labels: [...one.labels, choice === form.labels.length ? END : choice],
          logProbability: one.logProbability + scores[choice],
          probabilities: [...one.probabilities, scores.map(Math.exp)],
          logits: [...one.logits, passed[i].logits],
          past: passed[i].past,
        });
      }
    });
    choices.sort((a, b) => b.logProbability - a.logProbability);
    const kept = choices.slice(0, form.beams);
    const ended = (one: Hypothesis) => one.labels.at(-1) === END || one.labels.length === stepsOf(form);
    finished = [...finished, ...kept.filter(ended)];
    alive = kept.filter((one) => !ended(one));
    if (finished.length >= form.beams) {
      const best = Math.max(...finished.map(rank));
      alive = alive.filter((one) => rank(one) > best);
    }
    if (!alive.length) break;
    passed = await next(alive.map((one) => one.past as Past), alive.map((one) => one.labels.at(-1) as number), alive[0].labels.length);
  }
  const best = finished.reduce((a, b) => (rank(b) > rank(a) ? b : a));
  return { labels: best.labels.filter((label) => label !== END), probabilities: best.probabilities, logits: best.logits };
}

/** Probability of a whole answer: the product over its steps, the end among them. */
export function scoreOf(raw: RawAnswer): number {
  return raw.probabilities.reduce((product, row, at) => product * (row[at < raw.labels.length ? raw.labels[at] : row.length - 1] ?? 0), 1);
}

/** One label for all stretches of a recording: by the mean of the LM's logits at each. */
export function together(prompt: Prompt, parts: RawAnswer[]): RawAnswer {
  if (parts.length === 1) return parts[0];
  const V = parts[0].logits[0].length;
  const mean = new Float32Array(V);
  for (let v = 0; v < V; v++) mean[v] = parts.reduce((sum, part) => sum + part.logits[0][v], 0) / parts.length;
  const scores = logSoftmax(labelLogits(prompt, mean).map((value) => value / temperatureOf(prompt)));
  const probabilities = scores.map(Math.exp);
  return { labels: [descending(probabilities)[0]], probabilities: [probabilities], logits: [mean] };
}
