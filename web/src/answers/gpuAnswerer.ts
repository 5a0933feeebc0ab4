/** WebGPU in place of WebAssembly, where its answers are the same. */
import type { Units } from "../models/encoder";
import type { Prompt } from "../prompts/prompt";
import type { Answerer } from "./answerer";
import { type RawAnswer, scoreOf } from "./search";

export const LARGEST_DIFFERENCE = 0.01; // of an answer's probability
export const PATIENCE_MS = 20_000; // a GPU that is gone may never answer

/** The first one's answers as long as it gives any, and from then on the second one's. */
export class Preferring implements Answerer {
  private lost = false;

  constructor(private readonly first: Answerer, private readonly second: Answerer, private readonly patience: number) {}

  get engine(): string {
    return (this.lost ? this.second : this.first).engine;
  }

  answer(units: Units, prompts: Prompt[]): Promise<RawAnswer[]> {
    return this.either((one) => one.answer(units, prompts));
  }

  logits(prompt: Prompt, utterances: number[][]): Promise<Float32Array[]> {
    return this.either((one) => one.logits(prompt, utterances));
  }

  private async either<T>(ask: (one: Answerer) => Promise<T>): Promise<T> {
    if (this.lost) return ask(this.second);
    try {
      return await soon(ask(this.first), this.patience);
    } catch {
      this.lost = true;
      this.first.close?.();
      return ask(this.second);
    }
  }
}

export async function soon<T>(asked: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error("it does not answer")), ms)));
  return Promise.race([asked, late]).finally(() => clearTimeout(timer));
}

/** Prompts that a trial asks: some labels, and one answer that goes on from keys and values. */
export function forTrial(prompts: Prompt[]): Prompt[] {
  const single = prompts.filter((prompt) => prompt.config.form.kind === "label");
  return [...single.slice(0, 2), ...prompts.filter((prompt) => !single.includes(prompt)).slice(0, 1)];
}

/** What is known to be right about one recording, and how long it took. */
export class Trial {
  private constructor(private readonly units: Units, private readonly prompts: Prompt[], readonly answers: RawAnswer[], readonly ms: number) {}

  static async of(one: Answerer, units: Units, prompts: Prompt[]): Promise<Trial> {
    await one.answer(units, prompts); // what is asked first takes longer
    const began = performance.now();
    return new Trial(units, prompts, await one.answer(units, prompts), performance.now() - began);
  }

  /** Whether another gives the same answers, and, unless it may be slower, sooner. */
  async passes(other: Answerer, slower: boolean, patience: number): Promise<boolean> {
    try {
      const its = await soon(Trial.of(other, this.units, this.prompts), 3 * patience); // it compiles its shaders at first
      return alike(its.answers, this.answers) && (slower || its.ms < this.ms);
    } catch {
      return false;
    }
  }
}

/** Whether two answer alike: the same labels, and probabilities that differ by no more than 0.01. */
export function alike(some: RawAnswer[], others: RawAnswer[]): boolean {
  return (
    some.length === others.length &&
    some.every((one, i) => one.labels.join() === others[i].labels.join() && Math.abs(scoreOf(one) - scoreOf(others[i])) <= LARGEST_DIFFERENCE)
  );
}
