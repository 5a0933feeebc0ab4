/** One recording, many tasks: the whole of pipeline.py that answers, over the two graphs. */
import { type Answer, makeAnswer } from "./answers/answer";
import type { Answerer } from "./answers/answerer";
import { Judges } from "./answers/fits";
import type { RawAnswer } from "./answers/search";
import { Complaint } from "./complaint";
import { type Units, listen } from "./models/encoder";
import type { ModelFacts } from "./models/facts";
import type { Session } from "./models/runtime";
import type { Prompt } from "./prompts/prompt";
import { hasNoSpeech, isSilent } from "./sound/silence";

const AT_ONCE = 3; // prompts of a rehearsal: as many as a task and its judges

export interface Answered {
  units: Units;
  answers: Answer[];
  /** 0 where the recording is the one before, whose units are known. */
  encodeMs: number;
  lmMs: number;
  /** What the LM ran on. */
  engine: string;
}

export class SpeechPrompt {
  readonly prompts = new Map<string, Prompt>();
  /** The last recording with its units, and what each prompt has answered about it: another task asks about the same. */
  private last?: { waveform: Float32Array; units: Units; answers: Map<Prompt, RawAnswer> };

  constructor(
    readonly facts: ModelFacts,
    private readonly encoder: Session,
    public lm: Answerer,
  ) {}

  add(prompt: Prompt): void {
    this.prompts.set(prompt.config.task, prompt);
  }

  prompt(task: string): Prompt {
    const found = this.prompts.get(task);
    if (!found) throw new Complaint(`There is no task '${task.slice(0, 80)}' on backbone ${this.facts.backbone}.`);
    return found;
  }

  /**
   * Ask a few prompts, other ones each time, about a second of noise and forget it: browsers compile what is asked often
   * better, and prompts are prepared. It is as short as a question, since one may wait for it.
   */
  async rehearse(time: number): Promise<void> {
    const units = await this.units(Float32Array.from({ length: 16_000 }, () => Math.random() - 0.5));
    const prompts = [...this.prompts.values()].filter((prompt) => prompt.config.form.kind === "label");
    const at = (time * AT_ONCE) % Math.max(1, prompts.length);
    await this.lm.answer(units, prompts.slice(at, at + AT_ONCE));
  }

  units(waveform: Float32Array): Promise<Units> {
    return listen(this.encoder, waveform);
  }

  /** Answer each task about one recording; one sentence where nobody speaks in it and a task has no label for that. */
  async classify(waveform: Float32Array, tasks: string[]): Promise<Answered> {
    const prompts = tasks.map((task) => this.prompt(task));
    const sentence = withoutAnswer(waveform, prompts);
    if (sentence) throw new Complaint(sentence);
    const began = performance.now();
    const known = this.last !== undefined && equal(this.last.waveform, waveform);
    const { units, answers: raw } = (this.last = known && this.last ? this.last : { waveform, units: await this.units(waveform), answers: new Map() });
    const heard = performance.now();
    const judges = new Judges(this.prompts, this.facts.languages);
    const unasked = [...prompts, ...judges.needed(prompts)].filter((prompt) => !raw.has(prompt));
    const found = await this.lm.answer(units, unasked);
    unasked.forEach((prompt, i) => raw.set(prompt, found[i]));
    const answers = prompts.map((prompt) => {
      const own = raw.get(prompt) as RawAnswer;
      return makeAnswer(prompt, own, units, judges.judge(prompt, own, raw));
    });
    return { units, answers, encodeMs: known ? 0 : heard - began, lmMs: performance.now() - heard, engine: this.lm.engine };
  }

  /** All tasks about one recording, and those that have no answer for it. */
  async compare(waveform: Float32Array): Promise<Answered & { refused: { title: string; sentence: string }[] }> {
    const refused: { title: string; sentence: string }[] = [];
    const tasks: string[] = [];
    for (const prompt of this.prompts.values()) {
      const sentence = withoutAnswer(waveform, [prompt]);
      if (sentence) refused.push({ title: prompt.config.title, sentence });
      else tasks.push(prompt.config.task);
    }
    return { ...(await this.classify(waveform, tasks)), refused };
  }

  /** What the LM gives at the separator of one prompt, for each of some utterances: [n][V]. */
  logits(prompt: Prompt, utterances: number[][]): Promise<Float32Array[]> {
    return this.lm.logits(prompt, utterances);
  }
}

function equal(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((sample, i) => sample === b[i]);
}

/** What decoding/no_speech.py says of a recording in which nobody speaks; "" where each prompt has an answer. */
export function withoutAnswer(waveform: Float32Array, prompts: Prompt[]): string {
  if (!hasNoSpeech(waveform)) return "";
  const nothing = isSilent(waveform);
  const fact = nothing ? "Nothing was recorded" : "The recording holds no speech";
  const lacking = prompts.find(({ config }) => config.form.silence_label === null && (nothing || config.expects === "speech"));
  return lacking ? `${fact}, and ${lacking.config.title} has no answer for silence: check the microphone and speak closer to it.` : "";
}
