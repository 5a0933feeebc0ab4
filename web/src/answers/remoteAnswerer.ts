/** A unit LM in a worker of its own; each prompt is sent there once. */
import type { LMEngine } from "../lmWorker";
import { Client } from "../messages";
import type { Units } from "../models/encoder";
import type { ModelFacts } from "../models/facts";
import type { Runtime } from "../models/runtime";
import type { Prompt } from "../prompts/prompt";
import type { Answerer } from "./answerer";
import type { RawAnswer } from "./search";

export class RemoteAnswerer implements Answerer {
  private readonly worker = new Worker(new URL("../lmWorker.ts", import.meta.url), { type: "module" });
  private readonly client = new Client<LMEngine>(this.worker);
  private readonly numbers = new Map<Prompt, number>();

  private constructor(readonly engine: string) {}

  static async open(runtime: Runtime, facts: ModelFacts, lm: Uint8Array): Promise<RemoteAnswerer> {
    const one = new RemoteAnswerer(runtime.gpu ? "WebGPU" : "1 thread of WebAssembly");
    try {
      await one.client.ask("open", [runtime, facts, lm]);
    } catch (error) {
      one.close();
      throw error;
    }
    return one;
  }

  close(): void {
    this.worker.terminate();
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
