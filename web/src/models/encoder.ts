/** Waveform -> units: the encoder asked window by window, as making/export/running.py does. */
import { FRAME } from "../sound/limits";
import { withoutPauses } from "../sound/pauses";
import { type Session, floats, integers } from "./runtime";

const WINDOW = 400; // frames that attention spans
const MARGIN = 50; // frames of context on each inner side of a window
const SURROUNDINGS = 80; // frames on either side of a window that its level comes from

/** Runs of equal units; starts and lengths in frames of 20 ms. */
export interface Units {
  ids: number[];
  starts: number[];
  lengths: number[];
}

/** (start of a window, first frame kept, end of those kept) for each window over n frames. */
export function windowSpans(n: number): [number, number, number][] {
  if (n <= WINDOW) return [[0, 0, n]];
  const spans: [number, number, number][] = [];
  for (let kept = 0; kept < n; ) {
    const start = Math.max(0, Math.min(kept - MARGIN, n - WINDOW));
    const end = start + WINDOW >= n ? n : start + WINDOW - MARGIN;
    spans.push([start, kept, end]);
    kept = end;
  }
  return spans;
}

/** One unit for each frame. */
export async function frameUnits(encoder: Session, waveform: Float32Array): Promise<number[]> {
  const n = Math.floor(waveform.length / FRAME);
  const found: number[] = [];
  for (const [start, first, end] of windowSpans(n)) {
    const last = Math.min(start + WINDOW, n);
    const heard = Math.max(0, start - SURROUNDINGS);
    const stop = last + SURROUNDINGS >= n ? waveform.length : (last + SURROUNDINGS) * FRAME;
    const part = waveform.slice(heard * FRAME, stop);
    const frames = Array.from({ length: last - start }, (_, i) => start - heard + i);
    const { units } = await encoder.run({
      waveform: floats(part, [1, part.length]),
      frames: integers(frames, [frames.length]),
    });
    const ids = Array.from(units.data as BigInt64Array, Number);
    found.push(...ids.slice(first - start, end - start));
  }
  return found;
}

export function collapse(frames: number[], first = 0): Units {
  const units: Units = { ids: [], starts: [], lengths: [] };
  frames.forEach((id, i) => {
    const at = units.ids.length - 1;
    if (at >= 0 && units.ids[at] === id) units.lengths[at]++;
    else {
      units.ids.push(id);
      units.starts.push(first + i);
      units.lengths.push(1);
    }
  });
  return units;
}

/** The units of a recording, long pauses at its ends left out. */
export async function listen(encoder: Session, waveform: Float32Array): Promise<Units> {
  const [first, end] = withoutPauses(waveform);
  return collapse(await frameUnits(encoder, waveform.subarray(first, end)), Math.floor(first / FRAME));
}

/** The units cut into stretches of so many frames that overlap by half or more; as they are when no longer. */
export function stretches(units: Units, nFrames: number): number[][] {
  const beyond = units.lengths.reduce((sum, length) => sum + length, 0) - nFrames;
  if (beyond <= 0) return [units.ids];
  const n = 1 + Math.ceil((2 * beyond) / nFrames);
  return Array.from({ length: n }, (_, i) => {
    const start = units.starts[0] + (i === n - 1 ? beyond : Math.floor(i * (beyond / (n - 1)))); // as numpy's linspace rounds
    return units.ids.filter((_, j) => units.starts[j] + units.lengths[j] > start && units.starts[j] < start + nFrames);
  });
}
