/** A prompt or a whole lesson as one zip, the same that the app's Teach tab writes and reads. */
import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";
import { Complaint } from "../complaint";
import { RATE } from "../sound/limits";

const MAX_FILES = 2000;
const MAX_FILE = 16 << 20;
const MAX_ALL = 200 << 20;
const CONFIG = "prompt_config.json";
const WEIGHTS = "prompt.safetensors";
const LESSON = "lesson.json";
const TABLE = "recordings/labels.csv";

export interface Found {
  prompt?: { config: string; weights: Uint8Array };
  lesson?: { title: string; labels: string[] };
  recordings: { label: string; data: Uint8Array }[];
}

export interface LessonZip {
  title: string;
  labels: string[];
  clips: { label: string; waveform: Float32Array }[];
  prompt?: { task: string; config: string; weights: Uint8Array };
}

export function readZip(bytes: Uint8Array): Found {
  let files: Record<string, Uint8Array>;
  let [n, all] = [0, 0];
  try {
    files = unzipSync(bytes, {
      filter: ({ name, originalSize }) => {
        all += originalSize;
        if (++n > MAX_FILES || originalSize > MAX_FILE || all > MAX_ALL)
          throw new Complaint("The zip holds too many or too large files: choose one that was downloaded here.");
        return !name.endsWith("/");
      },
    });
  } catch (error) {
    if (error instanceof Complaint) throw error;
    throw new Complaint("The file is no zip, or a damaged one: choose one that was downloaded here.");
  }
  const configs = Object.keys(files).filter((name) => name.split("/").at(-1) === CONFIG);
  const found: Found = { recordings: [] };
  if (configs.length > 1) throw new Complaint("The zip must hold one prompt folder: choose one that was downloaded here.");
  if (configs.length) {
    const weights = files[configs[0].slice(0, -CONFIG.length) + WEIGHTS];
    if (!weights) throw new Complaint(`The zip's prompt lacks ${WEIGHTS}: choose one that was downloaded here.`);
    found.prompt = { config: strFromU8(files[configs[0]]), weights };
  }
  if (files[LESSON]) found.lesson = lessonFacts(strFromU8(files[LESSON]));
  if (files[TABLE]) {
    const [head, ...rows] = parseCsv(strFromU8(files[TABLE]));
    const [file, label] = ["file", "label"].map((name) => head?.indexOf(name) ?? -1);
    if (file < 0 || label < 0) throw new Complaint("The zip's table needs the columns file and label.");
    for (const row of rows) {
      const data = files[`recordings/${row[file]}`];
      if (data && row[label]) found.recordings.push({ label: row[label], data });
    }
  }
  if (!found.prompt && !found.lesson && !found.recordings.length)
    throw new Complaint("The zip holds no prompt and no lesson: choose one that was downloaded here or in the app's Teach tab.");
  return found;
}

function lessonFacts(text: string): Found["lesson"] {
  try {
    const { title, labels, format_version: version } = JSON.parse(text);
    if (version === 1 && typeof title === "string" && Array.isArray(labels) && labels.every((label) => typeof label === "string"))
      return { title: title.slice(0, 80), labels: labels.slice(0, 10) };
  } catch {
    // said below
  }
  throw new Complaint("The zip's lesson.json is damaged: choose another zip.");
}

/** Rows of comma-separated values, with quotes where a value needs them. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  const cell = /("(?:[^"]|"")*"|[^,\r\n]*)(,|\r?\n|$)/y;
  let row: string[] = [];
  while (cell.lastIndex < text.length) {
    const match = cell.exec(text);
    if (!match) break;
    row.push(match[1].startsWith('"') ? match[1].slice(1, -1).replaceAll('""', '"') : match[1]);
    if (match[2] === ",") continue;
    rows.push(row);
    row = [];
  }
  return row.length ? [...rows, row] : rows;
}

const quoted = (value: string) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

export function writeZip({ title, labels, clips, prompt }: LessonZip): Uint8Array {
  const files: Record<string, Uint8Array> = {};
  const rows = ["file,label"];
  clips.forEach(({ label, waveform }, i) => {
    const name = `${String(i + 1).padStart(3, "0")}.wav`;
    files[`recordings/${name}`] = toWav(waveform);
    rows.push(`${name},${quoted(label)}`);
  });
  if (clips.length) {
    files[TABLE] = strToU8(`${rows.join("\r\n")}\r\n`);
    files["RECORDINGS.txt"] = strToU8(
      `This zip holds ${clips.length} recording${clips.length === 1 ? "" : "s"}, in the folder recordings: they may be somebody's voice.\n` +
        "Delete that folder before you give the prompt to others.\nOn SpeechPrompt's Teach tab, this zip brings the whole lesson back.\n",
    );
  }
  files[LESSON] = strToU8(JSON.stringify({ format_version: 1, title, labels, language: "English" }, null, 2));
  if (prompt) {
    files[`${prompt.task}/${CONFIG}`] = strToU8(prompt.config);
    files[`${prompt.task}/${WEIGHTS}`] = prompt.weights;
  }
  return zipSync(files);
}

/** A waveform at 16 kHz -> the bytes of a WAV file of 16 bits. */
export function toWav(waveform: Float32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(44 + 2 * waveform.length));
  const put = (at: number, text: string) => strToU8(text).forEach((byte, i) => view.setUint8(at + i, byte));
  put(0, "RIFF");
  view.setUint32(4, 36 + 2 * waveform.length, true);
  put(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  put(36, "data");
  view.setUint32(40, 2 * waveform.length, true);
  waveform.forEach((sample, i) => view.setInt16(44 + 2 * i, Math.max(-32768, Math.min(32767, Math.round(sample * 32768))), true));
  return new Uint8Array(view.buffer);
}
