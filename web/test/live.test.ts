import { expect, it } from "vitest";
import { resample } from "../src/sound/resample";
import { StreamResampler } from "../src/sound/stream";
import { Segmenter, type Stretch } from "../src/sound/segmenter";
import { VoiceDetector } from "../src/sound/voiceActivity";
import { golden, sound } from "./golden";

const whole = (parts: Float32Array[]) => Float32Array.from(parts.flatMap((part) => [...part]));

it("finds the stretches that Python finds, however the stream is cut", () => {
  const stream = whole(golden.sounds.map((spec) => sound(spec, 16_000)));
  for (const size of [1600, 777, stream.length]) {
    const segmenter = new Segmenter(new VoiceDetector());
    const found: Stretch[] = [];
    for (let at = 0; at < stream.length; at += size) found.push(...segmenter.feed(stream.subarray(at, at + size)));
    found.push(...segmenter.finish());
    expect(found.map((one) => [one.start, one.end, one.sound.length])).toEqual(golden.stream);
  }
});

it.each([44_100, 48_000, 16_000])("resamples a stream of %i Hz without seams", (rate) => {
  const samples = sound(golden.sounds[0], rate).subarray(0, 13 * (rate / 10));
  const resampler = new StreamResampler(rate);
  const parts: Float32Array[] = [];
  for (let at = 0; at < samples.length; at += rate / 10) parts.push(resampler.feed(samples.subarray(at, at + rate / 10)));
  parts.push(resampler.finish());
  const [found, expected] = [whole(parts), resample(samples, rate)];
  expect(found.length).toBe(expected.length);
  expect(Math.max(...expected.map((value, i) => Math.abs(value - found[i])))).toBeLessThan(1e-6);
});
