/** The models, away from the page's thread: it asks by messages, and one thing is done after the other. */
import { type Answerer, LocalAnswerer, Several } from "./answers/answerer";
import { PATIENCE_MS, Preferring, Trial, forTrial } from "./answers/gpuAnswerer";
import { RemoteAnswerer } from "./answers/remoteAnswerer";
import { Complaint } from "./complaint";
import { download } from "./download";
import { Later, type Methods, serve } from "./messages";
import type { ModelFacts } from "./models/facts";
import { UnitLM } from "./models/lm";
import { type Runtime, open, prepare, threadsHere } from "./models/runtime";
import { type Answered, SpeechPrompt } from "./pipeline";
import { type PromptConfig, readPrompt } from "./prompts/prompt";
import { type Lesson, type Taught, teach } from "./teach/teacher";

/** What the page may ask, and what it gets. */
export interface Engine {
  load(base: string): { facts: ModelFacts; prompts: PromptConfig[]; parameters: Record<string, number> };
  classify(waveform: Float32Array, tasks: string[]): Answered;
  /** All tasks about one recording; those that have no answer for it, with the sentence that says why. */
  compare(waveform: Float32Array): Answered & { refused: { title: string; sentence: string }[] };
  add(config: string, weights: Uint8Array, name: string): PromptConfig;
  teach(lesson: Lesson): Taught;
  /** Load what asks WebGPU, while other questions are answered. */
  openGpu(base: string): void;
  /** Compare WebGPU with WebAssembly on a recording; what is used from then on. always: though it is slower. */
  tryGpu(waveform: Float32Array, always: boolean): string;
}

interface FileSizes {
  [path: string]: number;
}

let ready: SpeechPrompt | undefined;
const speech = () => {
  if (!ready) throw new Complaint("The models are not loaded yet: wait a moment.");
  return ready;
};

const LMS = Math.min(2, navigator.hardwareConcurrency || 1); // each takes some 40 MB
const REHEARSALS = 16; // after so many a question takes what it takes from then on
let rehearsed = 0;

/** Some unit LMs in workers of their own; where a worker may start none, one in this one. */
async function answererOf(facts: ModelFacts, runtime: Runtime, lm: Uint8Array): Promise<Answerer> {
  if (LMS < 2 || typeof Worker !== "function") return new LocalAnswerer(new UnitLM(await open(lm), facts));
  return new Several(await Promise.all(Array.from({ length: LMS }, () => RemoteAnswerer.open({ ...runtime, threads: 1 }, facts, lm))));
}

let gpu: RemoteAnswerer | undefined;

async function openGpu(base: string): Promise<void> {
  const [wasm, lm] = await Promise.all(["gpu/ort-wasm-simd-threaded.jspi.wasm.gz", "models/unit_lm.onnx.gz"].map((path) => download(base + path)));
  const runtime = { wasm: wasm.buffer, glue: `${base}gpu/ort-wasm-simd-threaded.jspi.mjs`, threads: 1, gpu: `${base}gpu/ort.jspi.min.mjs` };
  gpu = await RemoteAnswerer.open(runtime, speech().facts, lm);
}

async function tryGpu(waveform: Float32Array, always: boolean): Promise<string | Later<string>> {
  const sp = speech();
  if (!gpu) return sp.lm.engine;
  const [units, prompts] = [await sp.units(waveform), forTrial([...sp.prompts.values()])];
  const trial = await Trial.of(sp.lm, units, prompts); // in its turn, so that nothing else takes the processor meanwhile
  const patience = always ? 10 * PATIENCE_MS : PATIENCE_MS; // a processor that plays a GPU takes seconds
  return new Later(
    trial.passes(gpu, always, patience).then((passed) => {
      if (passed && gpu) sp.lm = new Preferring(gpu, sp.lm, patience);
      else gpu?.close();
      return sp.lm.engine;
    }),
  );
}

const methods: Methods<Engine> = {
  async load(report, base) {
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
    const runtime = { wasm: wasm.buffer, glue: `${base}ort/ort-wasm-simd-threaded.mjs`, threads: threadsHere() };
    await prepare(runtime);
    const [answerer, encoding] = await Promise.all([answererOf(facts, runtime, lm), open(encoder)]);
    ready = new SpeechPrompt(facts, encoding, answerer);
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
    };
  },
  classify: (_, waveform, tasks) => speech().classify(waveform, tasks),
  compare: (_, waveform) => speech().compare(waveform),
  add(_, config, weights, name) {
    const prompt = readPrompt(config, weights, speech().facts, name);
    speech().add(prompt);
    return prompt.config;
  },
  openGpu: (_, base) => new Later(openGpu(base)),
  tryGpu: (_, waveform, always) => tryGpu(waveform, always),
  teach: (report, lesson) => teach(speech(), lesson, (doing, share) => report({ done: share, total: 1, doing })),
};

// While nobody asks: what is asked first shall not be slower than what follows.
serve<Engine>(methods, async () => {
  if (!ready || rehearsed >= REHEARSALS) return false;
  await ready.rehearse(rehearsed++);
  return true;
});
