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

type Kept = Pick<Past, "keys" | "values">;

export interface Passed {
  logits: Float32Array;
  past?: Past;
}

type Sizes = Pick<ModelFacts, "layers" | "heads" | "width" | "n_units">;

interface Pass {
  B: number; T: number; I: number; P: number; K: number;
  tokens: number[]; positions: number[]; present: boolean[]; last: Float32Array; isGiven: boolean[];
  inputs: Float32Array; deep: Float32Array[]; past: Float32Array[];
}

const placesOf = (row: Row) => row.ids.length + 2 + row.prompt.length;

export class UnitLM {
  /** What the LM makes of a prompt's keys and values is the same for every recording, so it is made once. */
  private readonly prompted = new WeakMap<Prompt, Kept>();

  constructor(private readonly session: Session, private readonly sizes: Sizes) {}

  /** All rows, as many together as memory bears; keep: whether what a step goes on from is wanted. */
  async firstPasses(rows: Row[], keep = false): Promise<Passed[]> {
    for (const prompt of new Set(rows.map((row) => row.prompt))) await this.prepare(prompt);
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
      const passed = await this.firstPass(group.map((i) => rows[i]), keep);
      group.forEach((i, j) => (found[i] = passed[j]));
      at = end;
    }
    return found;
  }

  private async prepare(prompt: Prompt): Promise<void> {
    const { keys, values, length } = prompt;
    if (!keys || !values || this.prompted.has(prompt)) return;
    const { layers: L, heads: H, width: d } = this.sizes;
    if (prompt.projected) {
      this.prompted.set(prompt, { keys: byHead(keys, this.sizes, length), values: byHead(values, this.sizes, length) });
      return;
    }
    const none = new Float32Array(0);
    const [{ past }] = await this.run(true, {
      B: 1, T: 1, I: 0, P: length, K: 0, tokens: [PAD], positions: [-1], present: new Array(length + 1).fill(true),
      last: new Float32Array(d), isGiven: [false], inputs: none, deep: [keys, values], past: [none, none],
    });
    const w = d / H;
    const ofPrompt = (all: Float32Array) => {
      const kept = new Float32Array(L * length * d);
      for (let i = 0; i < L * H; i++) kept.set(all.subarray(i * (length + 1) * w, (i * (length + 1) + length) * w), i * length * w);
      return kept;
    };
    if (past) this.prompted.set(prompt, { keys: ofPrompt(past.keys), values: ofPrompt(past.values) });
  }

  /** Some rows in one pass; what is shorter is padded on the left, prompts and tokens each. */
  private firstPass(rows: Row[], keep: boolean): Promise<Passed[]> {
    const { layers: L, heads: H, width: d } = this.sizes;
    const [B, w] = [rows.length, d / H];
    const most = (of: (row: Row) => number) => Math.max(0, ...rows.map(of));
    const K = most((row) => (row.prompt.keys ? row.prompt.length : 0));
    const I = most((row) => (row.prompt.inputs ? row.prompt.length : 0));
    const T = most((row) => row.ids.length) + 2;
    const N = K + I + T;
    const tokens = new Array<number>(B * T).fill(PAD);
    const positions = new Array<number>(B * (I + T)).fill(-1);
    const present = new Array<boolean>(B * N).fill(false);
    const last = new Float32Array(B * d);
    const inputs = new Float32Array(B * I * d);
    const past: Kept = { keys: new Float32Array(L * B * K * d), values: new Float32Array(L * B * K * d) };
    rows.forEach(({ ids, prompt }, b) => {
      const given = [EOS, ...ids.map((id) => id + OFFSET), SEPARATOR];
      const first = T - given.length;
      given.forEach((token, i) => {
        tokens[b * T + first + i] = token;
        positions[b * (I + T) + I + first + i] = prompt.shift + i;
        present[b * N + K + I + first + i] = true;
      });
      last.set(prompt.separator, b * d);
      const n = prompt.length;
      const kept = this.prompted.get(prompt);
      if (kept) {
        for (const which of ["keys", "values"] as const)
          for (let l = 0; l < L; l++)
            for (let h = 0; h < H; h++)
              past[which].set(kept[which].subarray((l * H + h) * n * w, (l * H + h + 1) * n * w), (((l * B + b) * H + h) * K + K - n) * w);
        present.fill(true, b * N + K - n, b * N + K);
      } else if (prompt.inputs) {
        inputs.set(prompt.inputs, (b * I + I - n) * d);
        present.fill(true, b * N + K + I - n, b * N + K + I);
        for (let i = 0; i < n; i++) positions[b * (I + T) + I - n + i] = Math.max(-1, prompt.shift - n + i);
      }
    });
    const none = new Float32Array(0);
    const isGiven = new Array<boolean>(B).fill(true);
    return this.run(keep, { B, T, I, P: 0, K, tokens, positions, present, last, isGiven, inputs, deep: [none, none], past: [past.keys, past.values] });
  }

  /** One label after each of some rows whose pasts are equally long. */
  step(prompt: Prompt, pasts: Past[], labels: number[], position: number): Promise<Passed[]> {
    const { layers: L, heads: H, width: d, n_units: nUnits } = this.sizes;
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
    return this.run(true, {
      B, T: 1, I: 0, P: 0, K, last, past,
      tokens: tokens.map((token) => Math.min(token, nUnits + OFFSET - 1)),
      positions: new Array(B).fill(position),
      present: pasts.flatMap((one) => [...one.present, true]),
      isGiven: new Array(B).fill(prompt.labelEmbeddings !== undefined),
      inputs: none,
      deep: [none, none],
    });
  }

  private async run(keep: boolean, pass: Pass): Promise<Passed[]> {
    const { layers: L, heads: H, width: d } = this.sizes;
    const { B, T, I, P, K } = pass;
    const [N, w] = [P + K + I + T, d / H];
    const found = await this.session.run(
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
}

/** [L, n, d] -> [L, H, n, d / H]. */
function byHead(from: Float32Array, { layers: L, heads: H, width: d }: Sizes, n: number): Float32Array {
  const w = d / H;
  const found = new Float32Array(L * n * d);
  for (let l = 0; l < L; l++)
    for (let i = 0; i < n; i++)
      for (let h = 0; h < H; h++) found.set(from.subarray((l * n + i) * d + h * w, (l * n + i) * d + (h + 1) * w), ((l * H + h) * n + i) * w);
  return found;
}
