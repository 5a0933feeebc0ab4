/** What a recording may be; the sentences are those of the Python package (audio/limits.py). */
import { Complaint } from "../complaint";

export const RATE = 16_000; // Hz, of every waveform
export const FRAME = 320; // samples from one frame to the next: 20 ms
export const MIN_SECONDS = 0.1;
export const MAX_SECONDS = 60;
const LARGEST_OFFSET = 0.03;
const HIGHEST_PEAK = 1e6;

export function checkSeconds(seconds: number, most = MAX_SECONDS): void {
  if (seconds > most)
    throw new Complaint(`The recording is ${apart(seconds, most, 1)} s long and the limit is ${most} s: cut it into parts.`);
  if (seconds < MIN_SECONDS)
    throw new Complaint(
      `The recording is ${apart(seconds, MIN_SECONDS, 2)} s long; at least ${MIN_SECONDS} s is needed: record a little longer.`,
    );
}

/** A length with as many decimals as it takes to read differently from the limit that it misses. */
function apart(seconds: number, limit: number, decimals: number): string {
  while (Number(seconds.toFixed(decimals)) === limit && decimals < 6) decimals++;
  return seconds.toFixed(decimals);
}

/** The mean of the channels. */
export function mixDown(channels: Float32Array[]): Float32Array {
  if (channels.length === 1) return channels[0];
  const mixed = new Float32Array(channels[0].length);
  for (let i = 0; i < mixed.length; i++) {
    let sum = 0;
    for (const channel of channels) sum = Math.fround(sum + channel[i]);
    mixed[i] = sum / channels.length;
  }
  return mixed;
}

export function checkNumbers(samples: Float32Array): void {
  for (const sample of samples) {
    if (!Number.isFinite(sample))
      throw new Complaint("The recording holds values that are not numbers (NaN or Inf): export it again.");
    if (Math.abs(sample) > HIGHEST_PEAK)
      throw new Complaint("The recording is far louder than full scale (1.0): export it again.");
  }
}

/** Without the constant that a faulty microphone adds, where it is large. */
export function withoutOffset(waveform: Float32Array): Float32Array {
  let sum = 0;
  let peak = 1;
  for (const sample of waveform) {
    sum += sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  const mean = sum / waveform.length;
  return Math.abs(mean) <= LARGEST_OFFSET * peak ? waveform : waveform.map((sample) => sample - mean);
}
