/** One unit LM in a worker of its own: it answers what the worker of the page hands to it. */
import { LocalAnswerer } from "./answers/answerer";
import type { RawAnswer } from "./answers/search";
import { serve } from "./messages";
import type { Units } from "./models/encoder";
import type { ModelFacts } from "./models/facts";
import { UnitLM } from "./models/lm";
import { type Runtime, open, prepare } from "./models/runtime";
import type { Prompt } from "./prompts/prompt";

export interface LMEngine {
  open(runtime: Runtime, facts: ModelFacts, lm: Uint8Array): void;
  add(number: number, prompt: Prompt): void;
  answer(units: Units, prompts: number[]): RawAnswer[];
  logits(prompt: number, utterances: number[][]): Float32Array[];
}

let answerer: LocalAnswerer;
const prompts: Prompt[] = [];

serve<LMEngine>({
  async open(_, runtime, facts, lm) {
    await prepare(runtime);
    answerer = new LocalAnswerer(new UnitLM(await open(lm), facts));
  },
  add: (_, number, prompt) => void (prompts[number] = prompt),
  answer: (_, units, asked) => answerer.answer(units, asked.map((number) => prompts[number])),
  logits: (_, number, utterances) => answerer.logits(prompts[number], utterances),
});
