/** Levels of a low and a high band every 10 ms, and the percentile that numpy gives. */
import { Spectrum } from "./fft";
import { RATE } from "./limits";

export const HOP = 160;
export const WINDOW = 320;
export const FRAMES_PER_SECOND = RATE / HOP;
const BANDS = [
  [150, 2500],
  [2500, 7600],
];

const hann = Float64Array.from({ length: WINDOW }, (_, i) => Math.fround(0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (WINDOW - 1))));
const scale = 2 / (512 * hann.reduce((sum, value) => sum + value * value, 0));
const spectrum = new Spectrum(512);

/** float32 [160 F + 160] at 16 kHz -> level of each band in dBFS, F pairs. */
export function bandLevels(waveform: Float32Array): [number, number][] {
  const levels: [number, number][] = [];
  const frame = new Float64Array(WINDOW);
  for (let start = 0; start + WINDOW <= waveform.length; start += HOP) {
    for (let i = 0; i < WINDOW; i++) frame[i] = waveform[start + i] * hann[i];
    const power = spectrum.power(frame);
    const of = BANDS.map(([low, high]) => {
      let sum = 0;
      for (let bin = 0; bin < power.length; bin++) {
        const hz = (bin * RATE) / 512;
        if (hz >= low && hz < high) sum += power[bin];
      }
      return 10 * Math.log10(sum * scale + 1e-12);
    });
    levels.push([of[0], of[1]]);
  }
  return levels;
}

/** The q-th percentile by linear interpolation. */
export function percentile(values: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(values).sort();
  const at = (q / 100) * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}
