import { expect, it } from "vitest";
import type { ModelFacts } from "../src/models/facts";
import { readPrompt } from "../src/prompts/prompt";
import { half, readTensors, toHalf, writeTensors } from "../src/prompts/safetensors";
import { noise } from "./golden";

const facts = { backbone: "mini", unit_lm_sha256: "a".repeat(64), n_units: 6, layers: 2, heads: 2, width: 4, languages: {} } as ModelFacts;
const config = {
  format_version: 3, task: "colours", title: "Colours", backbone: "mini", unit_lm_sha256: facts.unit_lm_sha256,
  form: { labels: ["red", "green"] }, prompt: { kind: "deep", length: 3 }, verbalizer: { kind: "learned", units: null },
};
const random = (...shape: number[]) => ({ shape, data: Float32Array.from(noise(shape.reduce((a, b) => a * b, 1))) });
const tensors = () => ({
  separator: random(4), key_prompts: random(2, 3, 4), value_prompts: random(2, 3, 4), "verbalizer.weight": random(6, 10),
});
const read = (changes: object, weights = writeTensors(tensors())) =>
  readPrompt(JSON.stringify({ ...config, form: { ...config.form, kind: "label" }, ...changes }), weights, facts, "colours");

it("reads what it wrote, in half precision", () => {
  const prompt = read({});
  expect([prompt.length, prompt.shift, prompt.keys?.length, prompt.weight?.length]).toEqual([3, 0, 24, 60]);
  expect(Math.max(...tensors().separator.data.map((value, i) => Math.abs(value - prompt.separator[i])))).toBeLessThan(3e-4);
  for (let bits = 0; bits < 0x10000; bits += 7) {
    const value = half(bits);
    if (Number.isFinite(value)) expect(toHalf(value)).toBe(bits);
  }
  expect(toHalf(1 + 2 ** -11)).toBe(toHalf(1)); // ties to even
  expect(toHalf(1e6)).toBe(0x7c00);
});

it.each([
  [{ unit_lm_sha256: "b".repeat(64), backbone: "other" }, /tuned for the unit LM bbbbbbbbbbbb of backbone other, but this page has aaaaaaaaaaaa of mini/],
  [{ format_version: 2 }, /has format version 2, this page reads version 3/],
  [{ task: "../../etc" }, /lacks a task, a title/],
  [{ form: { labels: ["red", "green", "blue"], kind: "label" } }, /verbalizer\.weight has the shape \[6,10\], expected \[7,10\]/],
])("refuses a prompt that does not fit: %j", (changes, sentence) => expect(() => read(changes)).toThrow(sentence));

it("refuses damaged files in one sentence each", () => {
  const whole = writeTensors(tensors());
  for (const bytes of [whole.subarray(0, 5), whole.subarray(0, whole.length - 1), new Uint8Array(64).fill(255)])
    expect(() => readTensors(bytes, "Prompt x")).toThrow("Prompt x is damaged or not a safetensors file");
  const infinite = writeTensors({ separator: { shape: [1], data: Float32Array.of(1e9) } });
  expect(() => readTensors(infinite, "Prompt x")).toThrow("separator holds values that are not finite numbers");
  expect(() => read({}, writeTensors({ separator: random(4) }))).toThrow("needs 1 to 200 prompt vectors");
});
