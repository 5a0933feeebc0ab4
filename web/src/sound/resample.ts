/** Windowed-sinc resampling to 16 kHz with the filter of torchaudio, so that units come out as in Python. */
import { RATE } from "./limits";

const ZERO_CROSSINGS = 6;
const ROLLOFF = 0.99;
const LARGEST_TERM = 1000; // of the ratio between a rate and ours; all usual rates have smaller ones

export function resample(samples: Float32Array, rate: number): Float32Array {
  const [old, now] = ratio(rate);
  if (old === now) return samples;
  const cutoff = Math.min(old, now) * ROLLOFF;
  const width = Math.ceil((ZERO_CROSSINGS * old) / cutoff);
  const taps = 2 * width + old;
  const kernels: Float32Array[] = [];
  const firsts: number[] = [];
  for (let phase = 0; phase < now; phase++) {
    const kernel = new Float32Array(taps);
    let first = taps;
    let last = 0;
    for (let tap = 0; tap < taps; tap++) {
      let t = ((tap - width) / old - Math.fround(phase / now)) * cutoff; // torchaudio rounds it so
      if (Math.abs(t) < ZERO_CROSSINGS) {
        first = Math.min(first, tap);
        last = tap;
      }
      t = Math.max(-ZERO_CROSSINGS, Math.min(ZERO_CROSSINGS, t));
      const window = Math.cos((t * Math.PI) / ZERO_CROSSINGS / 2) ** 2;
      const sinc = t === 0 ? 1 : Math.sin(t * Math.PI) / (t * Math.PI);
      kernel[tap] = (sinc * window * cutoff) / old;
    }
    firsts.push(first);
    kernels.push(kernel.slice(first, last + 1));
  }
  const output = new Float32Array(Math.ceil((samples.length * now) / old));
  for (let i = 0; i < output.length; i++) {
    const phase = i % now;
    const kernel = kernels[phase];
    const start = Math.floor(i / now) * old - width + firsts[phase];
    let sum = 0;
    const from = Math.max(0, -start);
    const to = Math.min(kernel.length, samples.length - start);
    for (let tap = from; tap < to; tap++) sum += samples[start + tap] * kernel[tap];
    output[i] = sum;
  }
  return output;
}

/** rate : 16000 in its lowest terms, or the nearest ratio with terms that are not large. */
export function ratio(rate: number): [number, number] {
  const shared = gcd(rate, RATE);
  if (rate / shared <= LARGEST_TERM) return [rate / shared, RATE / shared];
  // Continued fractions, as Python's Fraction.limit_denominator: of 16000 / rate.
  let [p0, q0, p1, q1] = [0, 1, 1, 0];
  let [n, d] = [RATE / shared, rate / shared];
  for (;;) {
    const a = Math.floor(n / d);
    const q2 = q0 + a * q1;
    if (q2 > LARGEST_TERM) break;
    [p0, q0, p1, q1] = [p1, q1, p0 + a * p1, q2];
    [n, d] = [d, n - a * d];
  }
  const k = Math.floor((LARGEST_TERM - q0) / q1);
  const [p, q] = [p0 + k * p1, q0 + k * q1];
  const exact = RATE / rate;
  return Math.abs(p1 / q1 - exact) <= Math.abs(p / q - exact) ? [q1, p1] : [q, p];
}

function gcd(a: number, b: number): number {
  return b ? gcd(b, a % b) : a;
}
