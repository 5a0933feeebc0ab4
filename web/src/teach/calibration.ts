/** A temperature and a threshold from answers to clips that were left out (evaluation/calibration.py). */
import { logSoftmax } from "../answers/search";

const KEPT_SHARE = 0.95;
const STEP = 1e-6;
const TINY = 1e-12;
const BINS = 10;
const Z = 1.6448536269514722; // the KEPT_SHARE quantile of the normal distribution

export interface Fitted {
  [fact: string]: unknown;
  temperature: number;
  threshold: number;
  split: string;
  n: number;
  error_before: number;
  error_after: number;
  right_flagged: number | null;
  wrong_flagged: number | null;
}

/** logits [n][C] of the labels; right: which answers are. */
export function fitCalibration(logits: number[][], right: boolean[], split: string): Fitted {
  const temperature = round(fitTemperature(logits, right), 4);
  const [before, after] = [scores(logits, 1), scores(logits, temperature)];
  const threshold = carefulThreshold(after.filter((_, i) => right[i]));
  const share = (of: boolean) => {
    const those = after.filter((_, i) => right[i] === of);
    return those.length ? round(those.filter((score) => score < threshold).length / those.length, 4) : null;
  };
  return {
    temperature, threshold, split,
    n: right.length,
    error_before: round(calibrationError(before, right), 4),
    error_after: round(calibrationError(after, right), 4),
    right_flagged: share(true),
    wrong_flagged: share(false),
  };
}

/** The temperature on a grid whose scores foretell best whether an answer is right. */
function fitTemperature(logits: number[][], right: boolean[]): number {
  const doubt = 1 / (right.length + 2);
  let best = { loss: Infinity, temperature: 1 };
  for (let i = 0; i <= 400; i++) {
    const temperature = 10 ** (-1 + i / 200);
    const loss = scores(logits, temperature).reduce((sum, score, n) => {
      const p = Math.min(Math.max(score, TINY), 1 - TINY);
      const target = right[n] ? 1 - doubt : doubt;
      return sum - (target * Math.log(p) + (1 - target) * Math.log1p(-p)) / right.length;
    }, 0);
    if (loss < best.loss) best = { loss, temperature };
  }
  return best.temperature;
}

function scores(logits: number[][], temperature: number): number[] {
  return logits.map((row) => Math.exp(Math.max(...logSoftmax(row.map((value) => value / temperature)))));
}

/** A threshold below which 5 % of further right answers are expected, from few. */
export function carefulThreshold(rightScores: number[]): number {
  const n = rightScores.length;
  if (n < 2) return 0;
  const sorted = rightScores.map((score) => Math.min(Math.max(score, TINY), 1 - TINY)).sort((a, b) => a - b);
  const lowest = sorted[Math.max(1, Math.floor(round((1 - KEPT_SHARE) * (n + 1), 6))) - 1];
  const odds = sorted.map((score) => Math.log(score) - Math.log1p(-score));
  const mean = odds.reduce((a, b) => a + b, 0) / n;
  const deviation = Math.sqrt(odds.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
  const bound = mean - student(n - 1) * deviation * Math.sqrt(1 + 1 / n);
  return round(Math.floor(Math.min(lowest, 1 / (1 + Math.exp(-bound))) / STEP) * STEP, 6);
}

function student(freedom: number): number {
  const terms = [Z, (Z ** 3 + Z) / 4, (5 * Z ** 5 + 16 * Z ** 3 + 3 * Z) / 96, (3 * Z ** 7 + 19 * Z ** 5 + 17 * Z ** 3 - 15 * Z) / 384];
  return terms.reduce((sum, term, power) => sum + term / freedom ** power, 0);
}

function calibrationError(found: number[], right: boolean[]): number {
  const gaps = new Array<number>(BINS).fill(0);
  found.forEach((score, i) => (gaps[Math.min(Math.floor(score * BINS), BINS - 1)] += score - Number(right[i])));
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / found.length;
}

const round = (value: number, digits: number) => Number(value.toFixed(digits));

/** 95 % interval of a proportion (Wilson). */
export function wilson(correct: number, n: number): [number, number] {
  const [p, z] = [correct / n, 1.96];
  const centre = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return [round(Math.max(0, centre - half), 4), round(Math.min(1, centre + half), 4)];
}
