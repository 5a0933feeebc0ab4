/** What all tabs share: the worker, what can be asked, the recording, and the address that says it. */
import { Complaint } from "../complaint";
import type { Client } from "../messages";
import type { ModelFacts } from "../models/facts";
import type { PromptConfig } from "../prompts/prompt";
import type { Engine } from "../worker";

export interface Example {
  file: string;
  spoken: string;
  language: string;
  labels: Record<string, string>;
  attribution: string;
}

export interface State {
  client: Client<Engine>;
  facts: ModelFacts;
  prompts: Map<string, PromptConfig>;
  parameters: Record<string, number>;
  examples: Example[];
  waveform?: Float32Array;
  source: string;
}

/** What a person can put right becomes its sentence; anything else is a fault of the page and says so. */
export function sentenceOf(error: unknown): string {
  if (error instanceof Complaint) return error.message;
  console.error(error);
  return "Something in this page failed: reload it, and report what you did if it happens again.";
}

/** Change some of tab, task and example in the address, without another entry for Back. */
export function remember(changes: Record<string, string>): void {
  const address = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(changes)) {
    if (value) address.set(name, value);
    else address.delete(name);
  }
  history.replaceState(null, "", `#${address}`);
}

export const remembered = (name: string) => new URLSearchParams(location.hash.slice(1)).get(name) ?? "";
