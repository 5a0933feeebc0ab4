/** What the unit LM answers about units: in one place, or shared among several that work at the same time. */
import { type Units, stretches } from "../models/encoder";
import type { Row, UnitLM } from "../models/lm";
import type { Prompt } from "../prompts/prompt";
import { type RawAnswer, search, together } from "./search";

const FRAME_RATE = 50;
const OF_STEPS = 3; // rows that take as long as an answer label by label

export interface Answerer {
  /** What computes. */
  readonly engine: string;
  /** The answer of each prompt. */
  answer(units: Units, prompts: Prompt[]): Promise<RawAnswer[]>;
  /** What the LM gives at the separator of one prompt, for each of some utterances: [n][V]. */
  logits(prompt: Prompt, utterances: number[][]): Promise<Float32Array[]>;
  /** It is asked no more. */
  close?(): void;
}

export class LocalAnswerer implements Answerer {
  constructor(private readonly lm: UnitLM, readonly engine = "1 thread of WebAssembly") {}

  async answer(units: Units, prompts: Prompt[]): Promise<RawAnswer[]> {
    const found = new Map<Prompt, RawAnswer>();
    const single = prompts.filter((prompt) => prompt.config.form.kind === "label");
    const rows: Row[] = single.flatMap((prompt) => pieces(units, prompt).map((ids) => ({ ids, prompt })));
    const passed = await this.lm.firstPasses(rows);
    const parts = await Promise.all(rows.map((row, i) => search(row.prompt, passed[i], () => Promise.resolve([]))));
    for (const prompt of single) found.set(prompt, together(prompt, parts.filter((_, i) => rows[i].prompt === prompt)));
    for (const prompt of prompts.filter((one) => !single.includes(one))) {
      const [first] = await this.lm.firstPasses([{ ids: units.ids, prompt }], true);
      const raw = await search(prompt, first, (pasts, labels, at) =>
        this.lm.step(prompt, pasts, labels, prompt.shift + units.ids.length + 1 + at),
      );
      found.set(prompt, raw);
    }
    return prompts.map((prompt) => found.get(prompt) as RawAnswer);
  }

  async logits(prompt: Prompt, utterances: number[][]): Promise<Float32Array[]> {
    const passed = await this.lm.firstPasses(utterances.map((ids) => ({ ids, prompt })));
    return passed.map((one) => one.logits);
  }
}

/** Several that answer at the same time. One that is split over threads waits for the slowest at each of 300 steps. */
export class Several implements Answerer {
  readonly engine: string;

  constructor(private readonly all: Answerer[]) {
    this.engine = `${all.length} threads of WebAssembly`;
  }

  async answer(units: Units, prompts: Prompt[]): Promise<RawAnswer[]> {
    const costs = prompts.map((prompt) => (prompt.config.form.kind === "label" ? pieces(units, prompt).length : OF_STEPS));
    const shares = shared(costs, this.all.length);
    const parts = await Promise.all(shares.map((share, i) => (share.length ? this.all[i].answer(units, share.map((at) => prompts[at])) : [])));
    return inOrder(shares, parts);
  }

  async logits(prompt: Prompt, utterances: number[][]): Promise<Float32Array[]> {
    const shares = shared(utterances.map((ids) => ids.length + prompt.length), this.all.length);
    const parts = await Promise.all(shares.map((share, i) => (share.length ? this.all[i].logits(prompt, share.map((at) => utterances[at])) : [])));
    return inOrder(shares, parts);
  }
}

/** Numbers of things of some cost -> those of each of n, which are done with theirs at about the same time. */
export function shared(costs: number[], n: number): number[][] {
  const shares = Array.from({ length: n }, (): number[] => []);
  const sums = new Array<number>(n).fill(0);
  const order = costs.map((_, at) => at).sort((a, b) => costs[b] - costs[a] || a - b);
  for (const at of order) {
    const least = sums.indexOf(Math.min(...sums));
    shares[least].push(at);
    sums[least] += costs[at];
  }
  return shares;
}

function inOrder<T>(shares: number[][], parts: T[][]): T[] {
  const found: T[] = [];
  shares.forEach((share, i) => share.forEach((at, j) => (found[at] = parts[i][j])));
  return found;
}

function pieces(units: Units, { config }: Prompt): number[][] {
  return config.form.window === null ? [units.ids] : stretches(units, Math.round(config.form.window * FRAME_RATE));
}
