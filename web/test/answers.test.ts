/** The exported models answer here as in Python: run by tests/browser/test_static_models.py with SPEECHPROMPT_MODELS and SPEECHPROMPT_WAV. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { LocalAnswerer } from "../src/answers/answerer";
import type { ModelFacts } from "../src/models/facts";
import { UnitLM } from "../src/models/lm";
import { open, prepare } from "../src/models/runtime";
import { SpeechPrompt } from "../src/pipeline";
import { readPrompt } from "../src/prompts/prompt";
import { readTensors } from "../src/prompts/safetensors";
import { toWaveform } from "../src/sound/decode";
import { Segmenter, type Stretch } from "../src/sound/segmenter";
import { SpeechDetector, SpeechModel } from "../src/sound/speechDetector";
import { type Golden, furthest, golden } from "./golden";

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

async function loaded(prompts: string[]): Promise<SpeechPrompt> {
  const facts: ModelFacts = JSON.parse(readFileSync(`${models}/model.json`, "utf8"));
  expect(facts.unit_lm_sha256).toBe(golden.unit_lm_sha256);
  const lm = new UnitLM(await open(readFileSync(`${models}/unit_lm.onnx`)), facts);
  const sp = new SpeechPrompt(facts, await open(readFileSync(`${models}/encoder.onnx`)), new LocalAnswerer(lm));
  for (const folder of prompts)
    sp.add(readPrompt(readFileSync(`${folder}/prompt_config.json`, "utf8"), readFileSync(`${folder}/prompt.safetensors`), facts, folder));
  return sp;
}

interface Stream {
  file: string;
  probabilities: number[];
  stretches: number[][];
}

describe.skipIf(!existsSync(sounds))("Live cuts streams as in Python", () => {
  const streams: Stream[] = existsSync(sounds) ? JSON.parse(readFileSync(`${sounds}/streams.json`, "utf8")) : [];
  const weights = readTensors(readFileSync(new URL("../../speechprompt/audio/silero_vad/model.safetensors", import.meta.url)), "the detector");

  it.each(streams)("$file", ({ file, probabilities, stretches }) => {
    const stream = readWav(`${sounds}/${file}`);
    const model = new SpeechModel(weights);
    const ahead = new Float32Array(stream.length + 64);
    ahead.set(stream, 64);
    probabilities.forEach((expected, i) => expect(Math.abs(model.probability(ahead.subarray(512 * i, 512 * i + 576)) - expected)).toBeLessThan(1e-3));
    for (const size of [1600, 12_345]) {
      const segmenter = new Segmenter(new SpeechDetector(weights));
      const found: Stretch[] = [];
      for (let at = 0; at < stream.length; at += size) found.push(...segmenter.feed(stream.subarray(at, at + size)));
      found.push(...segmenter.finish());
      expect(found.map((one) => [one.start, one.end, one.sound.length])).toEqual(stretches);
    }
  }, 60_000);
});

const inside = (folder: string) => readdirSync(folder).map((name) => `${folder}/${name}`);
const waveformOf = ({ file, rate }: Golden["recordings"][number]) => toWaveform([readWav(`${sounds}/${file.replace(/\.\w+$/, ".wav")}`)], rate);

async function compare(sp: SpeechPrompt, expected: Golden["recordings"][number]): Promise<void> {
  const waveform = waveformOf(expected);
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
    const facts = { task: answer.task, label: answer.label, fits: answer.fits, reason: answer.reason, slots: answer.slots };
    expect(facts).toEqual({ task: answer.task, label, fits, reason, slots });
    expect(answer.steps.filter((step) => step.label !== null).map((step) => step.likeliest[0].unit)).toEqual(generated);
    expect(Math.abs(answer.score - score)).toBeLessThan(0.01);
  }
}

describe.skipIf(!existsSync(models) || !existsSync(sounds))("the models answer as in Python", () => {
  let sp: SpeechPrompt;
  let others: SpeechPrompt; // whose prompts are of kinds that the backbone's own may lack
  let kinds: Golden["recordings"] = [];
  beforeAll(async () => {
    await prepare();
    sp = await loaded(inside(`${models}/prompts`));
    others = await loaded([...inside(`${sounds}/kinds`), ...["voice_activity", "language_id"].map((task) => `${models}/prompts/${task}`)]);
    kinds = JSON.parse(readFileSync(`${sounds}/kinds.json`, "utf8"));
  }, 120_000);

  it.each(golden.recordings)("$file", (expected) => compare(sp, expected), 60_000);

  it.each([0, 1, 2, 3])("other kinds of prompts, recording %i", (at) => compare(others, kinds[at]), 60_000);

  it("asks once about a recording what stays the same when the task changes", async () => {
    const waveform = waveformOf(golden.recordings[0]);
    const listened = vi.spyOn(sp, "units");
    const first = await sp.classify(waveform, ["spoken_digits"]);
    await sp.rehearse(0); // is no recording
    listened.mockClear();
    const second = await sp.classify(waveform.slice(), ["keyword_spotting"]); // a message to a worker is a copy
    expect(listened.mock.calls.length).toBe(0);
    const alone = await sp.classify(waveformOf(golden.recordings[1]), ["spoken_digits"]);
    expect(listened.mock.calls.length).toBe(1);
    expect(alone.units).not.toEqual(first.units);
    const again = await sp.classify(waveform, ["keyword_spotting"]);
    expect(again.answers[0].label).toBe(second.answers[0].label);
    expect(again.answers[0].score).toBeCloseTo(second.answers[0].score, 5);
  }, 60_000);
});
