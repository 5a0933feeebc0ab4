/** The exported models answer here as in Python: run by tests/browser/test_static_page.py with SPEECHPROMPT_MODELS and SPEECHPROMPT_WAV. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import type { ModelFacts } from "../src/models/facts";
import { prepare } from "../src/models/runtime";
import { SpeechPrompt } from "../src/pipeline";
import { readPrompt } from "../src/prompts/prompt";
import { toWaveform } from "../src/sound/decode";
import { furthest, golden } from "./golden";

const models = process.env.SPEECHPROMPT_MODELS ?? "";
const sounds = process.env.SPEECHPROMPT_WAV ?? "";

/** A WAV of one channel of floats, as Python wrote it. */
function readWav(file: string): Float32Array {
  const view = new DataView(Uint8Array.from(readFileSync(file)).buffer);
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const name = String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
    const size = view.getUint32(at + 4, true);
    if (name === "data") return Float32Array.from({ length: size / 4 }, (_, i) => view.getFloat32(at + 8 + 4 * i, true));
    at += 8 + size;
  }
  throw new Error(`${file} is no WAV`);
}

describe.skipIf(!existsSync(models) || !existsSync(sounds))("the models answer as in Python", () => {
  let sp: SpeechPrompt;
  beforeAll(async () => {
    prepare();
    const facts: ModelFacts = JSON.parse(readFileSync(`${models}/model.json`, "utf8"));
    expect(facts.unit_lm_sha256).toBe(golden.unit_lm_sha256);
    sp = await SpeechPrompt.load(facts, readFileSync(`${models}/encoder.onnx`), readFileSync(`${models}/unit_lm.onnx`));
    for (const task of readdirSync(`${models}/prompts`)) {
      const folder = `${models}/prompts/${task}`;
      sp.add(readPrompt(readFileSync(`${folder}/prompt_config.json`, "utf8"), readFileSync(`${folder}/prompt.safetensors`), facts, task));
    }
  }, 120_000);

  it.each(golden.recordings.map((one) => one.file))("%s", async (file) => {
    const expected = golden.recordings.find((one) => one.file === file);
    if (!expected) throw new Error(file);
    const waveform = toWaveform([readWav(`${sounds}/${file.replace(/\.\w+$/, ".wav")}`)], expected.rate);
    expect(waveform.length).toBe(expected.n);
    expect(furthest(waveform, expected.samples)).toBeLessThan(1e-6);
    const tasks = Object.keys(expected.answers);
    const answered = tasks.filter((task) => !expected.answers[task].refused);
    for (const task of tasks.filter((one) => !answered.includes(one)))
      await expect(sp.classify(waveform, [task])).rejects.toThrow(expected.answers[task].refused);
    if (!answered.length) return;
    const { units, answers } = await sp.classify(waveform, answered);
    expect(units).toEqual(expected.units);
    for (const answer of answers) {
      const { label, fits, reason, slots, generated, score } = expected.answers[answer.task];
      expect({ label: answer.label, fits: answer.fits, reason: answer.reason, slots: answer.slots }).toEqual({ label, fits, reason, slots });
      expect(answer.steps.filter((step) => step.label !== null).map((step) => step.likeliest[0].unit)).toEqual(generated);
      expect(Math.abs(answer.score - score)).toBeLessThan(0.01);
    }
  }, 60_000);
});
