/** One recording, many tasks: the whole of pipeline.py that answers, over the two graphs. */
import { type Answer, makeAnswer } from "./answers/answer";
import { Judges } from "./answers/fits";
import { type RawAnswer, search, together } from "./answers/search";
import { Complaint } from "./complaint";
import { type Units, listen, stretches } from "./models/encoder";
import type { ModelFacts } from "./models/facts";
import { type Row, UnitLM } from "./models/lm";
import { type Session, open } from "./models/runtime";
import type { Prompt } from "./prompts/prompt";
import { hasNoSpeech, isSilent } from "./sound/silence";

const FRAME_RATE = 50;
const AT_ONCE = 3; // prompts of a rehearsal: as many as a task and its judges

export interface Answered {
  units: Units;
  answers: Answer[];
  /** 0 where the recording is the one before, whose units are known. */
  encodeMs: number;
  lmMs: number;
}

export class SpeechPrompt {
  readonly prompts = new Map<string, Prompt>();
  /** The last recording with its units, and what each prompt has answered about it: another task asks about the same. */
  private last?: { waveform: Float32Array; units: Units; answers: Map<Prompt, RawAnswer> };

  private constructor(
    readonly facts: ModelFacts,
    private readonly encoder: Session,
    private readonly lm: UnitLM,
  ) {}

  static async load(facts: ModelFacts, encoder: Uint8Array, lm: Uint8Array): Promise<SpeechPrompt> {
    return new SpeechPrompt(facts, await open(encoder), new UnitLM(await open(lm), facts));
  }

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
    await this.answer(units, prompts.slice(at, at + AT_ONCE));
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
    for (const [prompt, answer] of await this.answer(units, unasked)) raw.set(prompt, answer);
    const answers = prompts.map((prompt) => {
      const own = raw.get(prompt) as RawAnswer;
      return makeAnswer(prompt, own, units, judges.judge(prompt, own, raw));
    });
    return { units, answers, encodeMs: known ? 0 : heard - began, lmMs: performance.now() - heard };
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

  /** What the LM says at the separator of one prompt, for each of some utterances: [n][V]. */
  async logits(prompt: Prompt, utterances: number[][]): Promise<Float32Array[]> {
    const passed = await this.lm.firstPasses(utterances.map((ids) => ({ ids, prompt })));
    return passed.map((one) => one.logits);
  }

  private async answer(units: Units, prompts: Prompt[]): Promise<Map<Prompt, RawAnswer>> {
    const found = new Map<Prompt, RawAnswer>();
    const single = prompts.filter((prompt) => prompt.config.form.kind === "label");
    const rows: Row[] = single.flatMap((prompt) => pieces(units, prompt).map((ids) => ({ ids, prompt })));
    const passed = await this.lm.firstPasses(rows);
    const parts = await Promise.all(rows.map((row, i) => search(row.prompt, passed[i], () => Promise.resolve([]))));
    for (const prompt of single) found.set(prompt, together(prompt, parts.filter((_, i) => rows[i].prompt === prompt)));
    for (const prompt of prompts.filter((one) => !single.includes(one))) {
      const [first] = await this.lm.firstPasses([{ ids: units.ids, prompt }], true);
      const raw = await search(prompt, first, (pasts, labels, at) =>
        this.lm.step(prompt, pasts, labels, prompt.shift + units.ids.length + 1 + at),
      );
      found.set(prompt, raw);
    }
    return found;
  }
}

function equal(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((sample, i) => sample === b[i]);
}

function pieces(units: Units, { config }: Prompt): number[][] {
  return config.form.window === null ? [units.ids] : stretches(units, Math.round(config.form.window * FRAME_RATE));
}

/** What decoding/no_speech.py says of a recording in which nobody speaks; "" where each prompt has an answer. */
export function withoutAnswer(waveform: Float32Array, prompts: Prompt[]): string {
  if (!hasNoSpeech(waveform)) return "";
  const nothing = isSilent(waveform);
  const fact = nothing ? "Nothing was recorded" : "The recording holds no speech";
  const lacking = prompts.find(({ config }) => config.form.silence_label === null && (nothing || config.expects === "speech"));
  return lacking ? `${fact}, and ${lacking.config.title} has no answer for silence: check the microphone and speak closer to it.` : "";
}
