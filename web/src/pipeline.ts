/** One recording, many tasks: the whole of pipeline.py that answers, over the two graphs. */
import { type Answer, makeAnswer } from "./answers/answer";
import { Judges } from "./answers/fits";
import { type RawAnswer, search, together } from "./answers/search";
import { Complaint } from "./complaint";
import { type Units, listen, stretches } from "./models/encoder";
import type { ModelFacts } from "./models/facts";
import { type Row, firstPasses, step } from "./models/lm";
import { type Session, open } from "./models/runtime";
import type { Prompt } from "./prompts/prompt";
import { hasNoSpeech, isSilent } from "./sound/silence";

const FRAME_RATE = 50;

export interface Answered {
  units: Units;
  answers: Answer[];
  encodeMs: number;
  lmMs: number;
}

export class SpeechPrompt {
  readonly prompts = new Map<string, Prompt>();

  private constructor(
    readonly facts: ModelFacts,
    private readonly encoder: Session,
    private readonly lm: Session,
  ) {}

  static async load(facts: ModelFacts, encoder: Uint8Array, lm: Uint8Array): Promise<SpeechPrompt> {
    return new SpeechPrompt(facts, await open(encoder), await open(lm));
  }

  add(prompt: Prompt): void {
    this.prompts.set(prompt.config.task, prompt);
  }

  prompt(task: string): Prompt {
    const found = this.prompts.get(task);
    if (!found) throw new Complaint(`There is no task '${task.slice(0, 80)}' on backbone ${this.facts.backbone}.`);
    return found;
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
    const units = await this.units(waveform);
    const heard = performance.now();
    const judges = new Judges(this.prompts, this.facts.languages);
    const asked = [...prompts, ...judges.needed(prompts)];
    const raw = await this.answer(units, asked);
    const answers = prompts.map((prompt) => {
      const own = raw.get(prompt) as RawAnswer;
      return makeAnswer(prompt, own, units, judges.judge(prompt, own, raw));
    });
    return { units, answers, encodeMs: heard - began, lmMs: performance.now() - heard };
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
    const passed = await firstPasses(this.lm, this.facts, utterances.map((ids) => ({ ids, prompt })));
    return passed.map((one) => one.logits);
  }

  private async answer(units: Units, prompts: Prompt[]): Promise<Map<Prompt, RawAnswer>> {
    const found = new Map<Prompt, RawAnswer>();
    const single = prompts.filter((prompt) => prompt.config.form.kind === "label");
    const rows: Row[] = single.flatMap((prompt) => pieces(units, prompt).map((ids) => ({ ids, prompt })));
    const passed = await firstPasses(this.lm, this.facts, rows);
    const parts = await Promise.all(rows.map((row, i) => search(row.prompt, passed[i], () => Promise.resolve([]))));
    for (const prompt of single) found.set(prompt, together(prompt, parts.filter((_, i) => rows[i].prompt === prompt)));
    for (const prompt of prompts.filter((one) => !single.includes(one))) {
      const [first] = await firstPasses(this.lm, this.facts, [{ ids: units.ids, prompt }], true);
      const raw = await search(prompt, first, (pasts, labels, at) =>
        step(this.lm, this.facts, prompt, pasts, labels, prompt.shift + units.ids.length + 1 + at),
      );
      found.set(prompt, raw);
    }
    return found;
  }
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
