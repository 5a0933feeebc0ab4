/** Units behind prompts -> the unit LM's logits; one more label after them -> the next logits. */
import type { Prompt } from "../prompts/prompt";
import { EOS, type ModelFacts, OFFSET, PAD, SEPARATOR } from "./facts";
import { type Session, flags, floats, integers } from "./runtime";

const MAX_PLACES = 2048; // of one pass: beyond them time per row no longer falls, but memory grows

export interface Row {
  ids: number[];
  prompt: Prompt;
}

/** Keys and values [L, 1, H, N, d / H] of one row, with the positions that it has. */
export interface Past {
  keys: Float32Array;
  values: Float32Array;
  present: boolean[];
}

export interface Passed {
  logits: Float32Array;
  past?: Past;
}

type Sizes = Pick<ModelFacts, "layers" | "heads" | "width" | "n_units">;

/** All rows, as many together as memory bears; keep: whether what a step goes on from is wanted. */
export async function firstPasses(lm: Session, sizes: Sizes, rows: Row[], keep = false): Promise<Passed[]> {
  const order = rows.map((_, i) => i).sort((a, b) => rows[a].ids.length - rows[b].ids.length);
  const found: Passed[] = new Array(rows.length);
  for (let at = 0; at < order.length; ) {
    let end = at;
    let longest = 0;
    do {
      longest = Math.max(longest, placesOf(rows[order[end]]));
      end++;
    } while (end < order.length && (end + 1 - at) * Math.max(longest, placesOf(rows[order[end]])) <= MAX_PLACES);
    const group = order.slice(at, end);
    const passed = await firstPass(lm, sizes, group.map((i) => rows[i]), keep);
    group.forEach((i, j) => (found[i] = passed[j]));
    at = end;
  }
  return found;
}

const placesOf = (row: Row) => row.ids.length + 2 + row.prompt.length;

/** Some rows in one pass; what is shorter is padded on the left, prompts and tokens each. */
async function firstPass(lm: Session, sizes: Sizes, rows: Row[], keep: boolean): Promise<Passed[]> {
  const { layers: L, width: d } = sizes;
  const B = rows.length;
  const most = (of: (row: Row) => number) => Math.max(0, ...rows.map(of));
  const P = most((row) => (row.prompt.keys && !row.prompt.projected ? row.prompt.length : 0));
  const K = most((row) => (row.prompt.keys && row.prompt.projected ? row.prompt.length : 0));
  const I = most((row) => (row.prompt.inputs ? row.prompt.length : 0));
  const T = most((row) => row.ids.length) + 2;
  const N = P + K + I + T;
  const tokens = new Array<number>(B * T).fill(PAD);
  const positions = new Array<number>(B * (I + T)).fill(-1);
  const present = new Array<boolean>(B * N).fill(false);
  const last = new Float32Array(B * d);
  const inputs = new Float32Array(B * I * d);
  const deep = [new Float32Array(L * B * P * d), new Float32Array(L * B * P * d)];
  const past = [new Float32Array(L * B * K * d), new Float32Array(L * B * K * d)];
  rows.forEach(({ ids, prompt }, b) => {
    const given = [EOS, ...ids.map((id) => id + OFFSET), SEPARATOR];
    const first = T - given.length;
    given.forEach((token, i) => {
      tokens[b * T + first + i] = token;
      positions[b * (I + T) + I + first + i] = prompt.shift + i;
      present[b * N + P + K + I + first + i] = true;
    });
    last.set(prompt.separator, b * d);
    const n = prompt.length;
    if (prompt.keys && prompt.values && !prompt.projected) {
      [prompt.keys, prompt.values].forEach((from, which) => {
        for (let l = 0; l < L; l++) deep[which].set(from.subarray(l * n * d, (l + 1) * n * d), ((l * B + b) * P + P - n) * d);
      });
      present.fill(true, b * N + P - n, b * N + P);
    } else if (prompt.keys && prompt.values) {
      [prompt.keys, prompt.values].forEach((from, which) => byHead(from, past[which], sizes, n, b, B, K));
      present.fill(true, b * N + P + K - n, b * N + P + K);
    } else if (prompt.inputs) {
      inputs.set(prompt.inputs, (b * I + I - n) * d);
      present.fill(true, b * N + P + K + I - n, b * N + P + K + I);
      for (let i = 0; i < n; i++) positions[b * (I + T) + I - n + i] = Math.max(-1, prompt.shift - n + i);
    }
  });
  return run(lm, sizes, keep, { B, T, I, P, K, tokens, positions, present, last, isGiven: new Array(B).fill(true), inputs, deep, past });
}

/** [L, n, d] -> its place in [L, B, H, K, d / H], at the end of row b. */
function byHead(from: Float32Array, to: Float32Array, { layers: L, heads: H, width: d }: Sizes, n: number, b: number, B: number, K: number): void {
  const w = d / H;
  for (let l = 0; l < L; l++)
    for (let i = 0; i < n; i++)
      for (let h = 0; h < H; h++)
        to.set(from.subarray((l * n + i) * d + h * w, (l * n + i) * d + (h + 1) * w), (((l * B + b) * H + h) * K + K - n + i) * w);
}

/** One label after each of some rows whose pasts are equally long. */
export function step(lm: Session, sizes: Sizes, prompt: Prompt, pasts: Past[], labels: number[], position: number): Promise<Passed[]> {
  const { layers: L, heads: H, width: d } = sizes;
  const [B, K, w] = [pasts.length, pasts[0].present.length, d / H];
  const past = [new Float32Array(L * B * K * d), new Float32Array(L * B * K * d)];
  pasts.forEach((one, b) => {
    [one.keys, one.values].forEach((from, which) => {
      const size = H * K * w;
      for (let l = 0; l < L; l++) past[which].set(from.subarray(l * size, (l + 1) * size), (l * B + b) * size);
    });
  });
  const last = new Float32Array(B * d);
  const tokens = labels.map((label, b) => {
    if (prompt.labelEmbeddings) last.set(prompt.labelEmbeddings.subarray(label * d, (label + 1) * d), b * d);
    return (prompt.units ? prompt.units[label][0] : label) + OFFSET;
  });
  const none = new Float32Array(0);
  return run(lm, sizes, true, {
    B, T: 1, I: 0, P: 0, K, last, past,
    tokens: tokens.map((token) => Math.min(token, sizes.n_units + OFFSET - 1)),
    positions: new Array(B).fill(position),
    present: pasts.flatMap((one) => [...one.present, true]),
    isGiven: new Array(B).fill(prompt.labelEmbeddings !== undefined),
    inputs: none,
    deep: [none, none],
  });
}

interface Pass {
  B: number; T: number; I: number; P: number; K: number;
  tokens: number[]; positions: number[]; present: boolean[]; last: Float32Array; isGiven: boolean[];
  inputs: Float32Array; deep: Float32Array[]; past: Float32Array[];
}

async function run(lm: Session, { layers: L, heads: H, width: d }: Sizes, keep: boolean, pass: Pass): Promise<Passed[]> {
  const { B, T, I, P, K } = pass;
  const [N, w] = [P + K + I + T, d / H];
  const found = await lm.run(
    {
      tokens: integers(pass.tokens, [B, T]),
      last: floats(pass.last, [B, d]),
      is_given: flags(pass.isGiven, [B]),
      inputs: floats(pass.inputs, [B, I, d]),
      positions: integers(pass.positions, [B, I + T]),
      key_prompts: floats(pass.deep[0], [L, B, P, d]),
      value_prompts: floats(pass.deep[1], [L, B, P, d]),
      past_keys: floats(pass.past[0], [L, B, H, K, w]),
      past_values: floats(pass.past[1], [L, B, H, K, w]),
      present: flags(pass.present, [B, N]),
    },
    keep ? ["logits", "keys", "values"] : ["logits"],
  );
  const logits = found.logits.data as Float32Array;
  const V = logits.length / B;
  return Array.from({ length: B }, (_, b) => {
    const row: Passed = { logits: logits.slice(b * V, (b + 1) * V) };
    if (keep) {
      const size = H * N * w;
      const of = (all: Float32Array) => {
        const kept = new Float32Array(L * size);
        for (let l = 0; l < L; l++) kept.set(all.subarray((l * B + b) * size, (l * B + b + 1) * size), l * size);
        return kept;
      };
      row.past = {
        keys: of(found.keys.data as Float32Array),
        values: of(found.values.data as Float32Array),
        present: pass.present.slice(b * N, (b + 1) * N),
      };
    }
    return row;
  });
}
