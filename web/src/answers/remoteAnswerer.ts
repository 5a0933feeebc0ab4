/** A unit LM in a worker of its own; each prompt is sent there once. */
import type { LMEngine } from "../lmWorker";
import { Client } from "../messages";
import type { Units } from "../models/encoder";
import type { ModelFacts } from "../models/facts";
import type { Prompt } from "../prompts/prompt";
import type { Answerer } from "./answerer";
import type { RawAnswer } from "./search";

export class RemoteAnswerer implements Answerer {
  private readonly client = new Client<LMEngine>(new Worker(new URL("../lmWorker.ts", import.meta.url), { type: "module" }));
  private readonly numbers = new Map<Prompt, number>();

  /** wasm, glue: onnxruntime's WebAssembly and the address of what starts it. */
  static async open(wasm: ArrayBuffer, glue: string, facts: ModelFacts, lm: Uint8Array): Promise<RemoteAnswerer> {
    const one = new RemoteAnswerer();
    await one.client.ask("open", [wasm, glue, facts, lm]);
    return one;
  }

  async answer(units: Units, prompts: Prompt[]): Promise<RawAnswer[]> {
    return this.client.ask("answer", [units, prompts.map((prompt) => this.numberOf(prompt))]);
  }

  async logits(prompt: Prompt, utterances: number[][]): Promise<Float32Array[]> {
    return this.client.ask("logits", [this.numberOf(prompt), utterances]);
  }

  private numberOf(prompt: Prompt): number {
    let number = this.numbers.get(prompt);
    if (number === undefined) {
      number = this.numbers.size;
      this.numbers.set(prompt, number);
      void this.client.ask("add", [number, prompt]);
    }
    return number;
  }
}
