/** A prompt: what is learnt for one task on one unit LM, read from the same folder that Python reads. */
import { Complaint } from "../complaint";
import { type ModelFacts, OFFSET } from "../models/facts";
import { type Stored, readTensors } from "./safetensors";

const FORMAT_VERSION = 3;
const MAX_LENGTH = 200;
const MAX_LABELS = 2000;

export interface Form {
  labels: string[];
  kind: "label" | "slots" | "sequence";
  slots: Record<string, number>;
  max_steps: number;
  beams: number;
  joiner: string;
  window: number | null;
  silence_label: string | null;
}

export interface Calibration {
  temperature: number;
  threshold: number;
  speech?: number;
  language?: number;
  slope?: number;
  offset?: number;
  labels?: Record<string, number>;
  [fact: string]: unknown;
}

export interface Figures {
  n: number;
  right: number;
  interval95?: [number, number];
}

/** prompt_config.json, as far as this page uses it. */
export interface PromptConfig {
  format_version: number;
  task: string;
  title: string;
  about: string;
  group: string;
  form: Form;
  expects: "speech" | "any sound";
  languages: string[];
  backbone: string;
  unit_lm_sha256: string;
  positions: "row" | "after_prompt";
  projected?: boolean;
  data: string;
  licence: string;
  limits: string;
  metrics: { split?: string; n?: number; accuracy?: number; unweighted_recall?: number; [fact: string]: unknown };
  strangers?: Figures | null;
  calibration: Calibration | null;
  prompt: { kind: "deep" | "input"; length: number };
  verbalizer: { kind: "fixed" | "learned"; units: number[][] | null };
}

export interface Prompt {
  config: PromptConfig;
  length: number;
  shift: number;
  projected: boolean;
  separator: Float32Array;
  keys?: Float32Array;
  values?: Float32Array;
  inputs?: Float32Array;
  labelEmbeddings?: Float32Array;
  /** [C + 4, V] of a learned verbalizer. */
  weight?: Float32Array;
  /** Units of each label in a fixed verbalizer, the likeliest first. */
  units?: number[][];
  parameters: number;
}

export function readConfig(text: string, what: string): PromptConfig {
  let config: PromptConfig;
  try {
    config = JSON.parse(text);
  } catch {
    throw new Complaint(`${what}: prompt_config.json is not valid JSON.`);
  }
  if (typeof config !== "object" || config === null) throw new Complaint(`${what}: prompt_config.json must hold one JSON object.`);
  if (config.format_version !== FORMAT_VERSION)
    throw new Complaint(
      `${what}: prompt_config.json has format version ${String(config.format_version).slice(0, 20)}, this page reads version ${FORMAT_VERSION}.`,
    );
  const { form } = config;
  const isText = (value: unknown) => typeof value === "string";
  const sound =
    /^[a-z0-9_]{1,64}$/.test(config.task) &&
    [config.title, config.backbone, config.unit_lm_sha256].every(isText) &&
    typeof form === "object" &&
    form !== null &&
    Array.isArray(form.labels) &&
    form.labels.every(isText) &&
    form.labels.length >= 2 &&
    form.labels.length <= MAX_LABELS &&
    ["label", "slots", "sequence"].includes(form.kind);
  if (!sound) throw new Complaint(`${what}: prompt_config.json lacks a task, a title, a backbone or labels.`);
  const defaults = { about: "", group: "Other", expects: "any sound", languages: [], positions: "row", data: "", licence: "", limits: "", metrics: {}, calibration: null };
  const filled = { ...defaults, ...config } as PromptConfig;
  filled.form = { ...{ slots: {}, max_steps: 1, beams: 1, joiner: ", ", window: null, silence_label: null }, ...form };
  return filled;
}

/** A prompt's two files -> the prompt; one sentence where they do not hold together or fit the unit LM. */
export function readPrompt(configText: string, weights: Uint8Array, facts: ModelFacts, name: string): Prompt {
  const what = `Prompt ${name}`;
  const config = readConfig(configText, what);
  if (config.unit_lm_sha256 !== facts.unit_lm_sha256)
    throw new Complaint(
      `${what} was tuned for the unit LM ${config.unit_lm_sha256.slice(0, 12)} of backbone ${config.backbone}, ` +
        `but this page has ${facts.unit_lm_sha256.slice(0, 12)} of ${facts.backbone}: choose a prompt made for ${facts.backbone}.`,
    );
  const file = `${what}: prompt.safetensors`;
  const tensors = readTensors(weights, file);
  const [C, V, L, d] = [config.form.labels.length, facts.n_units + OFFSET, facts.layers, facts.width];
  const leading = tensors.get("key_prompts") ?? tensors.get("input_prompts");
  const length = leading?.shape.at(-2) ?? 0;
  if (!(length >= 1 && length <= MAX_LENGTH)) throw new Complaint(`${file} needs 1 to ${MAX_LENGTH} prompt vectors.`);
  const take = (tensor: string, shape: number[]): Float32Array | undefined => {
    const stored: Stored | undefined = tensors.get(tensor);
    if (!stored) return undefined;
    if (stored.shape.join() !== shape.join())
      throw new Complaint(`${file}: ${tensor} has the shape [${stored.shape}], expected [${shape}].`);
    return stored.data;
  };
  const separator = take("separator", [d]);
  const deep = [take("key_prompts", [L, length, d]), take("value_prompts", [L, length, d])];
  const inputs = take("input_prompts", [length, d]);
  const weight = take("verbalizer.weight", [C + OFFSET, V]);
  const units = readUnits(tensors.get("verbalizer.units"), C, facts.n_units, file);
  if (!separator || Boolean(inputs) === Boolean(deep[0] && deep[1]) || Boolean(weight) === Boolean(units))
    throw new Complaint(`${file} lacks a tensor that a prompt needs, or holds one too many.`);
  const labelEmbeddings = take("label_embeddings", [C, d]);
  return {
    config, length, separator, inputs, weight, units, labelEmbeddings,
    keys: deep[0],
    values: deep[1],
    shift: config.positions === "after_prompt" ? length : 0,
    projected: config.projected === true,
    parameters: [separator, ...deep, inputs, weight, labelEmbeddings].reduce((sum, one) => sum + (one?.length ?? 0), 0),
  };
}

function readUnits(stored: Stored | undefined, C: number, nUnits: number, file: string): number[][] | undefined {
  if (!stored) return undefined;
  const K = stored.data.length / C;
  if (stored.shape[0] !== C || stored.shape.length > 2) throw new Complaint(`${file}: verbalizer.units has the shape [${stored.shape}].`);
  const rows = Array.from({ length: C }, (_, c) => Array.from(stored.data.subarray(c * K, (c + 1) * K)).filter((unit) => unit >= 0));
  if (rows.some((row) => !row.length || row.some((unit) => unit >= nUnits)))
    throw new Complaint(`${file}: verbalizer.units must be units, at least one per label.`);
  return rows;
}

export const temperatureOf = (prompt: Prompt) => prompt.config.calibration?.temperature ?? 1;

/** The probability that a whole answer of this score is right: of sequences, as it was calibrated. */
export function believed(prompt: Prompt, score: number): number {
  const calibration = prompt.config.calibration;
  if (calibration?.slope === undefined) return score;
  const kept = Math.min(Math.max(score, 1e-9), 1 - 1e-9);
  return 1 / (1 + Math.exp(-(calibration.slope * Math.log(kept / (1 - kept)) + (calibration.offset ?? 0))));
}

/** (first label, end) of those that may be answered at a step, and the slot's name. */
export function span(form: Form, at: number): [string, number, number] {
  if (form.kind !== "slots") return ["", 0, form.labels.length];
  let first = 0;
  const entries = Object.entries(form.slots);
  for (const [, size] of entries.slice(0, at)) first += size;
  return [entries[at][0], first, first + entries[at][1]];
}

export const stepsOf = (form: Form) => (form.kind === "slots" ? Object.keys(form.slots).length : form.max_steps);

/** Slot -> value of an answer, for tasks that have slots. */
export function fillSlots(form: Form, labels: string[]): Record<string, string> {
  if (form.kind === "slots") return Object.fromEntries(Object.keys(form.slots).map((slot, i) => [slot, labels[i]]));
  const filled: Record<string, string> = {};
  let opened = "";
  let letters = "";
  for (const label of labels) {
    const at = label.indexOf("=");
    let [name, value] = at < 0 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)];
    let equals = at >= 0;
    if (label.startsWith("<")) {
      [opened, letters] = [label.slice(1), ""];
      continue;
    }
    if (opened && label === `${opened}>`) {
      [name, equals, value, opened] = [opened, true, letters, ""];
    } else if (opened) letters += label;
    if (equals && !opened) filled[name] = name in filled ? `${filled[name]} ${value}` : value;
  }
  return filled;
}

/** An answer as people read it. */
export function textOf(form: Form, labels: string[]): string {
  const filled = form.kind === "sequence" ? fillSlots(form, labels) : {};
  if (Object.keys(filled).length)
    return Object.entries(filled).map(([name, value]) => `${name}: ${value}`).join(form.joiner || ", ").trim();
  return labels.join(form.joiner).trim();
}
