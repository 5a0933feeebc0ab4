/** Whether anybody can have spoken in a recording, by level alone: audio/silence.py in TypeScript. */
import { Spectrum } from "./fft";
import { FRAMES_PER_SECOND, bandLevels, percentile } from "./levels";
import { RATE } from "./limits";

const SILENCE_DBFS = -60;
const SHORTEST = RATE / 2;
const CLICK_FRAMES = Math.floor(FRAMES_PER_SECOND / 20);
const CLICK_DB = 10;
const SMOOTH_FRAMES = Math.floor(FRAMES_PER_SECOND / 10);
const QUIETEST = 1e-10;
const STEADY_TONE_DB = 0.5;
const STEADY_NOISE_DB = 2.5;
const PITCHED = 0.5;
const PITCH_WINDOW = 1280;
const PITCH_LAGS = [32, 200];
const PITCH_BAND = [150, 2500];

function meanOf(waveform: Float32Array): number {
  let sum = 0;
  for (const sample of waveform) sum += sample;
  return sum / waveform.length;
}

/** Peak around the mean, as part of full scale. */
function peakOf(waveform: Float32Array): number {
  const mean = meanOf(waveform);
  let peak = 0;
  for (const sample of waveform) peak = Math.max(peak, Math.abs(sample - mean));
  return peak;
}

/** Whether nothing was recorded: the peak is below -60 dBFS, a constant aside. */
export function isSilent(waveform: Float32Array): boolean {
  const peak = peakOf(waveform);
  return !(peak > 1e-12) || 20 * Math.log10(peak) < SILENCE_DBFS;
}

/** Whether there is nothing, steady noise or tones, or one click; the level does not matter. */
export function hasNoSpeech(waveform: Float32Array): boolean {
  if (isSilent(waveform)) return true;
  if (waveform.length < SHORTEST) return false;
  const mean = meanOf(waveform);
  const peak = peakOf(waveform);
  const centred = waveform.map((sample) => (sample - mean) / peak);
  const [low, high] = spread(bandLevels(centred).map(([a, b]) => [10 ** (a / 10), 10 ** (b / 10)]));
  if (Math.max(low, high) > STEADY_NOISE_DB) return false;
  return low < STEADY_TONE_DB || pitch(centred) < PITCHED;
}

/** By how many dB the loudest 0.1 s of each band is above its 10th percentile; one click is left out. */
function spread(power: [number, number][]): [number, number] {
  const total = power.map(([a, b]) => a + b);
  const loudest = total.indexOf(total.reduce((a, b) => Math.max(a, b)));
  const isRest = (i: number) => Math.abs(i - loudest) > CLICK_FRAMES;
  const rest = Math.max(...total.map((value, i) => (isRest(i) ? value : 0)));
  const kept = total[loudest] > rest * 10 ** (CLICK_DB / 10) ? power.filter((_, i) => isRest(i)) : power;
  const found = [0, 1].map((band) => {
    const levels: number[] = [];
    for (let i = 0; i + SMOOTH_FRAMES <= kept.length; i++) {
      let sum = 0;
      for (let j = i; j < i + SMOOTH_FRAMES; j++) sum += kept[j][band];
      levels.push(10 * Math.log10(Math.max(sum / SMOOTH_FRAMES, QUIETEST)));
    }
    return Math.max(...levels) - percentile(levels, 10);
  });
  return [found[0], found[1]];
}

/** How periodic it is at the pitches of voices, 0 to 1: the median of what 80 ms at a time are. */
function pitch(waveform: Float32Array): number {
  const window = Float64Array.from({ length: PITCH_WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (PITCH_WINDOW - 1)));
  const spectrum = new Spectrum(4096);
  const [first, last] = PITCH_LAGS;
  const ofWindow = spectrum.even(spectrum.power(window), last);
  const frame = new Float64Array(PITCH_WINDOW);
  const found: number[] = [];
  for (let start = 0; start + PITCH_WINDOW <= waveform.length; start += PITCH_WINDOW / 2) {
    for (let i = 0; i < PITCH_WINDOW; i++) frame[i] = waveform[start + i] * window[i];
    const power = spectrum.power(frame).map((value, bin) => {
      const hz = (bin * RATE) / 4096;
      return hz >= PITCH_BAND[0] && hz < PITCH_BAND[1] ? value : 0;
    });
    const lags = spectrum.even(power, last);
    let best = -Infinity;
    for (let lag = first; lag < last; lag++)
      best = Math.max(best, lags[lag] / (lags[0] + 1e-20) / (ofWindow[lag] / ofWindow[0]));
    found.push(best);
  }
  return percentile(found, 50);
}
