import { expect, it } from "vitest";
import { type Answerer, Several, shared } from "../src/answers/answerer";
import type { RawAnswer } from "../src/answers/search";
import type { Prompt } from "../src/prompts/prompt";

it("shares work so that all are done at about the same time", () => {
  expect(shared([1, 1, 1], 2)).toEqual([[0, 2], [1]]);
  expect(shared([1, 1, 3, 1, 3, 1], 2)).toEqual([[2, 0, 3], [4, 1, 5]]);
  expect(shared([], 2)).toEqual([[], []]);
});

it("gives the answers of several in the order of what was asked, and asks none about nothing", async () => {
  const prompts = ["a", "b", "c"].map((task) => ({ config: { task, form: { kind: "label", window: null } }, length: 1 }) as unknown as Prompt);
  const asked: string[][] = [];
  const one: Answerer = {
    engine: "a test",
    answer: async (_, given) => {
      asked.push(given.map((prompt) => prompt.config.task));
      return given.map((prompt) => ({ labels: [prompt.config.task.charCodeAt(0)], probabilities: [], logits: [] }) satisfies RawAnswer);
    },
    logits: async (_, utterances) => utterances.map((ids) => Float32Array.from(ids)),
  };
  const units = { ids: [1], starts: [0], lengths: [1] };
  const answers = await new Several([one, one]).answer(units, prompts);
  expect(answers.map((answer) => answer.labels[0])).toEqual([97, 98, 99]);
  expect(asked).toEqual([["a", "c"], ["b"]]);
  expect((await new Several([one, one]).answer(units, prompts.slice(0, 1))).length).toBe(1);
  expect(asked.length).toBe(3);
  expect(await new Several([one, one]).logits(prompts[0], [[7], [8, 8], [9]])).toEqual([[7], [8, 8], [9]].map((ids) => Float32Array.from(ids)));
});
