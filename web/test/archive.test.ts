import { strToU8, zipSync } from "fflate";
import { expect, it } from "vitest";
import { parseCsv, readZip, toWav, writeZip } from "../src/prompts/archive";
import { golden, sound } from "./golden";

it("brings a lesson back with its recordings and its prompt", () => {
  const waveform = sound(golden.sounds[0], 16_000);
  const prompt = { task: "taught_lights", config: '{"task": "taught_lights"}', weights: Uint8Array.of(1, 2, 3) };
  const labels = ['on, "now"', "off"];
  const found = readZip(writeZip({ title: "Lights", labels, clips: labels.map((label) => ({ label, waveform })), prompt }));
  expect(found.lesson).toEqual({ title: "Lights", labels });
  expect(found.prompt).toEqual({ config: prompt.config, weights: prompt.weights });
  expect(found.recordings.map((one) => one.label)).toEqual(labels);
  expect(found.recordings[0].data).toEqual(toWav(waveform));
});

it("reads tables as they are written by others", () => {
  expect(parseCsv('file,label\r\n"a,b.wav","say ""x"""\r\nc.wav,\n')).toEqual([["file", "label"], ["a,b.wav", 'say "x"'], ["c.wav", ""]]);
});

it.each([
  [Uint8Array.of(1, 2, 3), "no zip, or a damaged one"],
  [zipSync({ "letter.txt": strToU8("Dear Sir") }), "holds no prompt and no lesson"],
  [zipSync({ "a/prompt_config.json": strToU8("{}") }), "lacks prompt.safetensors"],
  [zipSync({ "a/prompt_config.json": strToU8("{}"), "b/prompt_config.json": strToU8("{}") }), "must hold one prompt folder"],
  [zipSync({ "lesson.json": strToU8("[]") }), "lesson.json is damaged"],
  [zipSync({ "big.bin": new Uint8Array(17 << 20) }), "too many or too large files"],
])("refuses a zip that is something else", (bytes, sentence) => expect(() => readZip(bytes)).toThrow(sentence));
