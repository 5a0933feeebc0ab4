/** A few clips for each label -> a measured prompt (teaching/teacher.py), without simulated copies of the clips. */
import { descending } from "../answers/search";
import { Complaint } from "../complaint";
import { OFFSET } from "../models/facts";
import type { SpeechPrompt } from "../pipeline";
import type { Prompt } from "../prompts/prompt";
import { readPrompt } from "../prompts/prompt";
import { writeTensors } from "../prompts/safetensors";
import { isSilent } from "../sound/silence";
import { fitCalibration, wilson } from "./calibration";
import { fitVerbalizer } from "./closedForm";

const MIN_LABELS = 2;
const MAX_LABELS = 10;
const MAX_CLIPS = 200;
const SPLIT = "held-out";

export interface Lesson {
  title: string;
  clips: { label: string; waveform: Float32Array }[];
  labels: string[];
}

export interface Taught {
  task: string;
  config: string;
  weights: Uint8Array;
  /** Counts [true label][answer] of clips that were left out. */
  confusion: number[][];
  accuracy: number;
}

/** "My words!" -> "taught_my_words". */
export function taskName(title: string): string {
  const plain = title.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "");
  return `taught_${plain || "task"}`.slice(0, 56).replace(/_+$/, "");
}

export function checkLesson({ title, labels, clips }: Lesson): void {
  if (!title.trim() || title.length > 80) throw new Complaint("The task needs a title of 1 to 80 printable characters.");
  if (labels.length < MIN_LABELS || labels.length > MAX_LABELS)
    throw new Complaint(`A task needs ${MIN_LABELS} to ${MAX_LABELS} labels; here ${labels.length === 1 ? "is" : "are"} ${labels.length}.`);
  if (labels.some((label) => !label.trim() || label.length > 80))
    throw new Complaint("A label must be 1 to 80 printable characters: choose another name.");
  if (new Set(labels.map((label) => label.trim())).size < labels.length)
    throw new Complaint("Two labels have the same name: choose another for one of them.");
  for (const label of labels)
    if (clips.filter((clip) => clip.label === label).length < 2)
      throw new Complaint(`${label} needs two recordings or more, so that one can be judged by a prompt made without it.`);
  if (clips.length > MAX_CLIPS) throw new Complaint(`At most ${MAX_CLIPS} clips can be taught, and here are ${clips.length}: leave some out.`);
  for (const { label, waveform } of clips)
    if (isSilent(waveform)) throw new Complaint(`Nothing can be heard in a recording of ${label}: take it out or record it again.`);
}

export async function teach(sp: SpeechPrompt, lesson: Lesson, report: (doing: string, share: number) => void): Promise<Taught> {
  checkLesson(lesson);
  const { labels, clips } = lesson;
  const truth = clips.map((clip) => labels.indexOf(clip.label));
  const utterances: number[][] = [];
  for (const clip of clips) {
    report("Listening to the clips", (0.4 * utterances.length) / clips.length);
    utterances.push((await sp.units(clip.waveform)).ids);
  }
  const starts = [...sp.prompts.values()].filter((one) => one.keys && one.shift === 0 && !one.projected && !one.config.task.startsWith("taught_"));
  const groups = clips.map((_, i) => i);
  let best: { loss: number; start: Prompt; logits: Float32Array[] } | undefined;
  for (const [i, start] of starts.entries()) {
    report("Looking for a start", 0.4 + (0.5 * i) / starts.length);
    const logits = await sp.logits(start, utterances);
    const loss = fitVerbalizer(logits, truth, groups, labels.length).crossEntropy;
    if (!best || loss < best.loss) best = { loss, start, logits };
  }
  if (!best) throw new Complaint("There is no prompt here that a new one could start from.");
  report("Learning", 0.95);
  const fit = fitVerbalizer(best.logits, truth, groups, labels.length);
  const answers = fit.heldOut.map((row) => descending(row)[0]);
  const right = answers.map((answer, i) => answer === truth[i]);
  const confusion = labels.map(() => labels.map(() => 0));
  answers.forEach((answer, i) => confusion[truth[i]][answer]++);
  const correct = right.filter(Boolean).length;
  const recalls = confusion.map((row, c) => row[c] / row.reduce((a, b) => a + b, 0));
  const { facts } = sp;
  const { start } = best;
  const config = {
    format_version: 3,
    task: taskName(lesson.title),
    title: lesson.title.trim(),
    about: "",
    group: "Taught here",
    form: { labels, kind: "label", slots: {}, max_steps: 1, beams: 1, joiner: ", ", window: null, silence_label: null },
    expects: "any sound",
    languages: [],
    backbone: facts.backbone,
    unit_lm_sha256: facts.unit_lm_sha256,
    positions: "row",
    projected: false,
    absolute_pitch: false,
    label_rule: { column: "label" },
    data: `${clips.length} recordings of ${labels.length} labels, given by the person who taught the task`,
    licence: "not stated",
    commands: { tuned: "Taught in the browser from what is named above." },
    metrics: {
      split: SPLIT,
      n: clips.length,
      accuracy: Number((correct / clips.length).toFixed(4)),
      interval95: wilson(correct, clips.length),
      unweighted_recall: Number((recalls.reduce((a, b) => a + b, 0) / labels.length).toFixed(4)),
    },
    strangers: null,
    calibration: fitCalibration(fit.heldOut, right, SPLIT),
    limits: "Sounds that are none of the labels are still answered with one of them.",
    examples: [],
    prompt: { kind: "deep", length: start.length },
    verbalizer: { kind: "learned", units: null },
  };
  const shape = [facts.layers, start.length, facts.width];
  const weights = writeTensors({
    key_prompts: { shape, data: start.keys as Float32Array },
    separator: { shape: [facts.width], data: start.separator },
    value_prompts: { shape, data: start.values as Float32Array },
    "verbalizer.weight": { shape: [labels.length + OFFSET, facts.n_units + OFFSET], data: fit.weight },
  });
  const text = JSON.stringify(config, null, 2);
  sp.add(readPrompt(text, weights, facts, config.task)); // in the precision that it is stored with
  report("Done", 1);
  return { task: config.task, config: text, weights, confusion, accuracy: correct / clips.length };
}
