/** What the Python package made (`python -m tools.golden`), and the made-up sounds both sides share. */
import { readFileSync } from "node:fs";

export interface GoldenAnswer {
  label: string;
  score: number;
  fits: string;
  reason: string;
  generated: number[];
  slots: Record<string, string>;
  refused?: string;
}

export interface Golden {
  every: number;
  unit_lm_sha256: string;
  sounds: {
    seconds: number; hz: number; from: number; to: number; level: number; noise: number;
    resampled: Record<string, { n: number; samples: number[] }>;
    span: [number, number];
    silent: boolean;
    no_speech: boolean;
  }[];
  stream: number[][];
  closed_form: { weight: number[]; held_out: number[]; cross_entropy: number; calibration: Record<string, number> };
  recordings: {
    file: string; rate: number; n: number; samples: number[];
    units: { ids: number[]; starts: number[]; lengths: number[] };
    answers: Record<string, GoldenAnswer>;
  }[];
}

export const golden: Golden = JSON.parse(readFileSync(new URL("./golden.json", import.meta.url), "utf8"));

export function noise(n: number, seed = 1): Float64Array {
  let state = seed;
  return Float64Array.from({ length: n }, () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  });
}

export function sound(spec: Golden["sounds"][number], rate: number): Float32Array {
  const n = Math.floor(spec.seconds * rate);
  const grain = noise(n);
  return Float32Array.from({ length: n }, (_, i) => {
    const t = i / rate;
    const tone = Math.sin(2 * Math.PI * spec.hz * t) * (0.6 + 0.4 * Math.sin(2 * Math.PI * 4 * t));
    return (t >= spec.from && t < spec.to ? spec.level * tone : 0) + spec.noise * grain[i];
  });
}

/** Largest difference between every so-manyth number and those that were written down. */
export function furthest(samples: ArrayLike<number>, expected: number[], every = golden.every): number {
  return Math.max(...expected.map((value, i) => Math.abs(value - samples[i * every])));
}
