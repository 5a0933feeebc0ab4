/** The models, away from the page's thread: it asks by messages, and one thing is done after the other. */
import { Complaint } from "./complaint";
import { download } from "./download";
import type { ModelFacts } from "./models/facts";
import { prepare, threadsHere } from "./models/runtime";
import { type Answered, SpeechPrompt } from "./pipeline";
import { type PromptConfig, readPrompt } from "./prompts/prompt";
import { type Lesson, type Taught, teach } from "./teach/teacher";

/** What the page may ask, and what it gets. */
export interface Engine {
  load(base: string): { facts: ModelFacts; prompts: PromptConfig[]; parameters: Record<string, number>; threads: number };
  classify(waveform: Float32Array, tasks: string[]): Answered;
  /** All tasks about one recording; those that have no answer for it, with the sentence that says why. */
  compare(waveform: Float32Array): Answered & { refused: { title: string; sentence: string }[] };
  add(config: string, weights: Uint8Array, name: string): PromptConfig;
  teach(lesson: Lesson): Taught;
}

export interface Request {
  id: number;
  method: keyof Engine;
  args: unknown[];
}

export interface Reply {
  id: number;
  value?: unknown;
  complaint?: string;
  failure?: string;
  progress?: { done: number; total: number; doing: string };
}

interface FileSizes {
  [path: string]: number;
}

let ready: SpeechPrompt | undefined;
const speech = () => {
  if (!ready) throw new Complaint("The models are not loaded yet: wait a moment.");
  return ready;
};

type Report = (progress: Reply["progress"]) => void;

const methods = {
  async load(report: Report, base: string) {
    const sizes: FileSizes = JSON.parse(new TextDecoder().decode(await download(`${base}files.json`)));
    const total = Object.values(sizes).reduce((a, b) => a + b, 0);
    let done = 0;
    const get = (path: string) =>
      download(base + path, (bytes) => report({ done: (done += bytes), total: Math.max(total, done), doing: "Loading the models" }));
    const facts: ModelFacts = JSON.parse(new TextDecoder().decode(await get("models/model.json")));
    const [wasm, encoder, lm] = await Promise.all([
      get("ort/ort-wasm-simd-threaded.wasm.gz"),
      get("models/encoder.onnx.gz"),
      get("models/unit_lm.onnx.gz"),
    ]);
    prepare(wasm.buffer, `${base}ort/ort-wasm-simd-threaded.mjs`);
    ready = await SpeechPrompt.load(facts, encoder, lm);
    await Promise.all(
      Object.keys(facts.prompts).map(async (task) => {
        const [config, weights] = await Promise.all([
          get(`models/prompts/${task}/prompt_config.json`),
          get(`models/prompts/${task}/prompt.safetensors`),
        ]);
        ready?.add(readPrompt(new TextDecoder().decode(config), weights, facts, task));
      }),
    );
    const prompts = Object.keys(facts.prompts).map((task) => speech().prompt(task));
    return {
      facts,
      prompts: prompts.map((prompt) => prompt.config),
      parameters: Object.fromEntries(prompts.map((prompt) => [prompt.config.task, prompt.parameters])),
      threads: threadsHere(),
    };
  },
  classify: (_: Report, waveform: Float32Array, tasks: string[]) => speech().classify(waveform, tasks),
  compare: (_: Report, waveform: Float32Array) => speech().compare(waveform),
  async add(_: Report, config: string, weights: Uint8Array, name: string) {
    const prompt = readPrompt(config, weights, speech().facts, name);
    speech().add(prompt);
    return prompt.config;
  },
  teach: (report: Report, lesson: Lesson) =>
    teach(speech(), lesson, (doing, share) => report({ done: share, total: 1, doing })),
};

let last: Promise<unknown> = Promise.resolve();
let waiting = 0;
const REHEARSALS = 16; // after so many a question takes what it takes from then on
let rehearsed = 0;
self.onmessage = ({ data }: MessageEvent<Request>) => {
  const reply = (part: Omit<Reply, "id">) => self.postMessage({ id: data.id, ...part });
  const method = methods[data.method] as (report: Report, ...args: unknown[]) => Promise<unknown>;
  waiting++;
  last = last
    .then(() => method((progress) => reply({ progress }), ...data.args))
    .then(
      (value) => reply({ value }),
      (error: unknown) => reply(error instanceof Complaint ? { complaint: error.message } : { failure: String(error) }),
    )
    .then(() => {
      waiting--;
      setTimeout(rehearse, 200);
    });
};

/** While nobody asks: what is asked first shall not be slower than what follows. */
function rehearse(): void {
  if (waiting || !ready || rehearsed >= REHEARSALS) return;
  const done = ready.rehearse(rehearsed++);
  last = done.catch(() => {}).then(() => void setTimeout(rehearse, 0));
}
