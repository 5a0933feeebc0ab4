import { describe, expect, it } from "vitest";
import { headerRate } from "../src/sound/decode";
import { checkSeconds } from "../src/sound/limits";
import { withoutPauses } from "../src/sound/pauses";
import { ratio, resample } from "../src/sound/resample";
import { hasNoSpeech, isSilent } from "../src/sound/silence";
import { furthest, golden, sound } from "./golden";

describe("what Python makes of sounds is made of them here", () => {
  golden.sounds.forEach((spec, number) => {
    const waveform = sound(spec, 16_000);
    it(`resamples sound ${number}`, () => {
      for (const [rate, { n, samples }] of Object.entries(spec.resampled)) {
        const made = resample(sound(spec, Number(rate)), Number(rate));
        expect(made.length).toBe(n);
        expect(furthest(made, samples)).toBeLessThan(1e-5);
      }
    });
    it(`finds the pauses of sound ${number}`, () => expect(withoutPauses(waveform)).toEqual(spec.span));
    it(`judges the silence of sound ${number}`, () =>
      expect([isSilent(waveform), hasNoSpeech(waveform)]).toEqual([spec.silent, spec.no_speech]));
  });
});

it("takes the nearest ratio with small terms, as Python's fractions do", () => {
  expect(ratio(44_100)).toEqual([441, 160]);
  expect(ratio(48_000)).toEqual([3, 1]);
  const [old, now] = ratio(44_101);
  expect(Math.max(old, now)).toBeLessThanOrEqual(1000);
  expect(Math.abs(now / old / (16_000 / 44_101) - 1)).toBeLessThan(1e-3);
});

it("refuses lengths in the sentences of the package", () => {
  expect(() => checkSeconds(1800)).toThrow("The recording is 1800.0 s long and the limit is 60 s: cut it into parts.");
  expect(() => checkSeconds(60.02)).toThrow("The recording is 60.02 s long");
  expect(() => checkSeconds(0.04)).toThrow("at least 0.1 s is needed: record a little longer.");
});

it("reads a file's own rate, so that the browser does not resample it", () => {
  const wav = new DataView(new ArrayBuffer(44));
  const put = (at: number, text: string) => [...text].forEach((letter, i) => wav.setUint8(at + i, letter.charCodeAt(0)));
  put(0, "RIFF");
  put(8, "WAVEfmt ");
  wav.setUint32(16, 16, true);
  wav.setUint32(24, 22_050, true);
  expect(headerRate(wav)).toBe(22_050);
  const flac = new DataView(new ArrayBuffer(42));
  [...'fLaC'].forEach((letter, i) => flac.setUint8(i, letter.charCodeAt(0)));
  flac.setUint32(18, (44_100 << 12) >>> 0);
  expect(headerRate(flac)).toBe(44_100);
  const mp3 = new DataView(Uint8Array.from([0xff, 0xfb, 0x94, 0x00]).buffer);
  expect(headerRate(mp3)).toBe(48_000);
  expect(headerRate(new DataView(new ArrayBuffer(3)))).toBeUndefined();
});
