import { expect, it } from "vitest";
import type { Answerer } from "../src/answers/answerer";
import { Preferring, Trial, alike, forTrial } from "../src/answers/gpuAnswerer";
import type { RawAnswer } from "../src/answers/search";
import type { Prompt } from "../src/prompts/prompt";

const units = { ids: [1], starts: [0], lengths: [1] };
const raw = (label: number, score: number): RawAnswer => ({ labels: [label], probabilities: [label ? [1 - score, score] : [score, 1 - score]], logits: [] });

function answerer(engine: string, answer: () => Promise<RawAnswer>): Answerer {
  return { engine, answer: async () => [await answer()], logits: async () => [] };
}

const steady = (engine: string, label: number, score: number, ms = 0) =>
  answerer(engine, () => new Promise((resolve) => setTimeout(() => resolve(raw(label, score)), ms)));

it("calls answers alike that have the same labels and nearly the same probabilities", () => {
  expect(alike([raw(1, 0.9)], [raw(1, 0.895)])).toBe(true);
  expect(alike([raw(1, 0.9)], [raw(1, 0.88)])).toBe(false);
  expect(alike([raw(1, 0.9)], [raw(0, 0.9)])).toBe(false);
  expect(alike([raw(1, NaN)], [raw(1, 0.9)])).toBe(false);
  expect(alike([], [raw(1, 0.9)])).toBe(false);
});

it("takes what answers alike and sooner, and nothing else", async () => {
  const trial = await Trial.of(steady("a", 1, 0.9, 40), units, []);
  expect(await trial.passes(steady("b", 1, 0.901), false, 1000)).toBe(true);
  expect(await trial.passes(steady("b", 1, 0.95), false, 1000)).toBe(false);
  expect(await trial.passes(answerer("b", () => Promise.reject(new Error("lost"))), true, 1000)).toBe(false);
  const quick = await Trial.of(steady("a", 1, 0.9), units, []);
  expect(await quick.passes(steady("b", 1, 0.9, 60), false, 1000)).toBe(false);
  expect(await quick.passes(steady("b", 1, 0.9, 60), true, 1000)).toBe(true);
});

it("goes on with the other one when the first fails or no longer answers", async () => {
  for (const gone of [() => Promise.reject(new Error("lost")), () => new Promise<RawAnswer>(() => {})]) {
    let works = true;
    const both = new Preferring(answerer("WebGPU", () => (works ? Promise.resolve(raw(1, 0.9)) : gone())), steady("WebAssembly", 0, 0.8), 50);
    expect((await both.answer(units, []))[0].labels).toEqual([1]);
    expect(both.engine).toBe("WebGPU");
    works = false;
    expect((await both.answer(units, []))[0].labels).toEqual([0]);
    expect(both.engine).toBe("WebAssembly");
  }
});

it("tries labels and an answer of several steps", () => {
  const prompt = (task: string, kind: string) => ({ config: { task, form: { kind } } }) as unknown as Prompt;
  const all = [prompt("a", "label"), prompt("b", "sequence"), prompt("c", "label"), prompt("d", "label"), prompt("e", "slots")];
  expect(forTrial(all).map((one) => one.config.task)).toEqual(["a", "c", "b"]);
});
