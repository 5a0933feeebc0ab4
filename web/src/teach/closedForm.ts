/** A verbalizer in closed form: ridge regression from the LM's logits to the labels (teaching/closed_form.py). */
import { logSumExp } from "../answers/search";
import { OFFSET } from "../models/facts";
import { eigen, solve } from "./linear";

const PENALTIES = Array.from({ length: 11 }, (_, i) => 10 ** (-1 + i / 2)); // 0.1 to 10,000
const SHARPNESS = [2, 3, 4, 6, 8, 12, 16, 24];

export interface Fit {
  /** [C + 4, V] of a learned verbalizer. */
  weight: Float32Array;
  /** [G][C]: logits of each group when it was left out. */
  heldOut: number[][];
  crossEntropy: number;
}

/** logits [N][V] of utterances, their labels, and groups that are left out together, numbered from 0. */
export function fitVerbalizer(logits: ArrayLike<number>[], labels: number[], groups: number[], nLabels: number): Fit {
  const [N, V, C] = [logits.length, logits[0].length, nLabels];
  const counts = new Array<number>(C).fill(0);
  for (const label of labels) counts[label]++;
  const weight = labels.map((label) => Math.sqrt(N / (C * counts[label])));
  const spread = Math.max(meanDeviation(logits), 1e-6);
  const features = logits.map((row, i) => Float64Array.from(row, (value) => (value / spread) * weight[i]));
  const targets = labels.map((label, i) => Float64Array.from({ length: C }, (_, c) => (Number(c === label) - 1 / C) * weight[i]));
  const gram = features.map((a) => Float64Array.from(features, (b) => dot(a, b)));
  const { values, vectors } = eigen(gram);
  const clipped = values.map((value) => Math.max(0, value));
  const nGroups = Math.max(...groups) + 1;
  const members = Array.from({ length: nGroups }, (_, g) => groups.flatMap((group, i) => (group === g ? [i] : [])));
  const first = members.map((rows) => rows[0]);
  const judged = first.map((i) => weight[i]);
  const all = judged.reduce((a, b) => a + b, 0);
  const turned = project(vectors, targets); // Vᵀ targets
  let best: { loss: number; penalty: number; sharpness: number; heldOut: number[][] } | undefined;
  for (const penalty of PENALTIES) {
    const shrunk = clipped.map((value) => value / (value + penalty));
    const hat = (i: number, j: number) => {
      let sum = 0;
      for (let k = 0; k < N; k++) sum += vectors[i][k] * shrunk[k] * vectors[j][k];
      return sum;
    };
    const residual = targets.map((row, i) =>
      row.map((value, c) => {
        let fitted = 0;
        for (let k = 0; k < N; k++) fitted += vectors[i][k] * shrunk[k] * turned[k][c];
        return value - fitted;
      }),
    );
    const leftOut = members.map((rows) => {
      // Exact: what the fit without these rows would say of them.
      const left = rows.map((i) => Float64Array.from(rows, (j) => Number(i === j) - hat(i, j)));
      const [change] = solve(left, rows.map((i) => residual[i]));
      return Array.from(targets[rows[0]], (value, c) => (value - change[c]) / weight[rows[0]]);
    });
    for (const sharpness of SHARPNESS) {
      const scaled = leftOut.map((row) => row.map((value) => sharpness * value));
      const loss = scaled.reduce((sum, row, g) => sum + (judged[g] / all) * (logSumExp(row) - row[labels[first[g]]]), 0);
      if (!best || loss < best.loss) best = { loss, penalty, sharpness, heldOut: scaled };
    }
  }
  if (!best) throw new Error("no penalty was tried");
  const { penalty, sharpness, heldOut, loss } = best;
  const divided = turned.map((row, k) => row.map((value) => value / (clipped[k] + penalty)));
  const solved = vectors.map((row) => Float64Array.from({ length: C }, (_, c) => row.reduce((sum, value, k) => sum + value * divided[k][c], 0)));
  const fitted = new Float32Array((C + OFFSET) * V);
  for (let c = 0; c < C; c++) {
    for (let v = 0; v < V; v++) {
      let sum = 0;
      for (let i = 0; i < N; i++) sum += features[i][v] * solved[i][c];
      fitted[(c + OFFSET) * V + v] = (sharpness / spread) * sum;
    }
  }
  return { weight: fitted, heldOut, crossEntropy: loss };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** [n][n] vectors and [n][C] targets -> [n][C], of each vector. */
function project(vectors: Float64Array[], targets: Float64Array[]): Float64Array[] {
  return vectors.map((_, k) => Float64Array.from(targets[0], (_, c) => targets.reduce((sum, row, i) => sum + vectors[i][k] * row[c], 0)));
}

/** The mean over columns of their standard deviation. */
function meanDeviation(rows: ArrayLike<number>[]): number {
  const [N, V] = [rows.length, rows[0].length];
  let total = 0;
  for (let v = 0; v < V; v++) {
    let mean = 0;
    for (const row of rows) mean += row[v] / N;
    let squares = 0;
    for (const row of rows) squares += (row[v] - mean) ** 2 / N;
    total += Math.sqrt(squares) / V;
  }
  return total;
}
