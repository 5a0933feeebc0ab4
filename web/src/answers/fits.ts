/** Does the recording fit the task? The judgement of decoding/fits.py, with its reason in one sentence. */
import { EOS, OFFSET } from "../models/facts";
import { type Prompt, believed } from "../prompts/prompt";
import { type RawAnswer, logSumExp, scoreOf } from "./search";

export type Fits = "yes" | "unsure" | "no";
const VOICE = "voice_activity";
const LANGUAGE = "language_id";
const SPEECH = "speech";
const EVEN = 0.5;
const LEAST_SPEECH = 0.05;
const LEAST_LANGUAGE = 0.02;

type Names = Record<string, string>;

/** The prompts that judge whether a recording fits, and the names of languages by their codes. */
export class Judges {
  private readonly voice?: Prompt;
  private readonly language?: Prompt;

  constructor(prompts: Map<string, Prompt>, private readonly names: Names) {
    const can = (task: string) => {
      const prompt = prompts.get(task);
      return prompt?.config.form.kind === "label" ? prompt : undefined;
    };
    this.voice = can(VOICE)?.config.form.labels.includes(SPEECH) ? can(VOICE) : undefined;
    this.language = can(LANGUAGE);
  }

  private ofSpeech({ config }: Prompt): Prompt | undefined {
    return config.expects === "speech" && config.task !== VOICE && config.calibration?.speech !== 0 ? this.voice : undefined;
  }

  private ofLanguage({ config }: Prompt): Prompt | undefined {
    if (!this.language || config.task === LANGUAGE || !config.languages.length || config.calibration?.language === 0) return undefined;
    const known = this.spoken(config.languages);
    return known.every((name) => this.language?.config.form.labels.includes(name)) ? this.language : undefined;
  }

  private spoken(codes: string[]): string[] {
    return codes.map((code) => this.names[code.split("-")[0]] ?? "");
  }

  /** The judges that some of the prompts need, of which none is among them. */
  needed(prompts: Prompt[]): Prompt[] {
    const found = new Set(prompts.flatMap((prompt) => [this.ofSpeech(prompt), this.ofLanguage(prompt)]));
    return [...found].filter((one): one is Prompt => one !== undefined && !prompts.includes(one));
  }

  /** Whether the recording fits, why not, and the probability of all labels' units at the first step. */
  judge(prompt: Prompt, raw: RawAnswer, others: Map<Prompt, RawAnswer>): { fits: Fits; reason: string; inside: number } {
    const { config } = prompt;
    const within = inside(prompt, raw);
    const isSilence = raw.labels.length === 1 && config.form.labels[raw.labels[0]] === config.form.silence_label;
    const say = (fits: Fits, reason: string) => ({ fits, reason, inside: within });
    const voice = this.ofSpeech(prompt);
    const heard = voice && others.get(voice);
    if (voice && heard && !isSilence) {
      const { labels } = voice.config.form;
      const odds = heard.probabilities[0];
      const sound = labels[odds.indexOf(Math.max(...odds))];
      if (odds[labels.indexOf(SPEECH)] < (config.calibration?.speech ?? LEAST_SPEECH))
        return sound === SPEECH ? say("unsure", "This may not be speech.") : say("no", `This is ${sound}, not speech.`);
    }
    const judge = this.ofLanguage(prompt);
    const judged = judge && others.get(judge);
    if (judge && judged && !isSilence) {
      const { labels } = judge.config.form;
      const odds = judged.probabilities[0];
      const known = this.spoken(config.languages);
      const share = [...new Set(known)].reduce((sum, name) => sum + odds[labels.indexOf(name)], 0);
      if (share < (config.calibration?.language ?? LEAST_LANGUAGE))
        return say("no", `This sounds like ${labels[odds.indexOf(Math.max(...odds))]}; the task knows ${listed(known)}.`);
    }
    if (prompt.units && doubted(prompt.units, raw, within)) {
      if (within < EVEN) return say("no", `This is none of the ${config.form.labels.length} labels.`);
      return say("unsure", "The unit that the language model generated belongs to no label.");
    }
    if (believed(prompt, scoreOf(raw)) * within < thresholdOf(prompt, raw.labels))
      return say("unsure", "This may be none of the labels: right answers mostly score higher.");
    return say("yes", "");
  }
}

/** The score below which an answer of these labels is flagged: the prompt's threshold, or a label's own. */
function thresholdOf({ config }: Prompt, labels: number[]): number {
  const special = new Map(Object.entries(config.calibration?.labels ?? {}));
  return Math.max(config.calibration?.threshold ?? 0, ...labels.map((label) => special.get(config.form.labels[label]) ?? 0));
}

function inside(prompt: Prompt, raw: RawAnswer): number {
  if (!prompt.units) return 1;
  const x = raw.logits[0];
  const symbols = prompt.units.flat().map((unit) => unit + OFFSET);
  if (prompt.config.form.kind === "sequence") symbols.push(EOS);
  return Math.exp(logSumExp(symbols.map((symbol) => x[symbol])) - logSumExp(x));
}

function doubted(units: number[][], raw: RawAnswer, within: number): boolean {
  const x = raw.logits[0].subarray(OFFSET);
  const generated = x.indexOf(x.reduce((a, b) => Math.max(a, b)));
  return within < EVEN || (raw.labels.length > 0 && !units.flat().includes(generated));
}

/** "English", "Mandarin and English", "English, German and Polish". */
function listed(names: string[]): string {
  return [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" and ");
}
