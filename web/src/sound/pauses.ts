/** Where the speech in a recording is, and how much of the silence around it is listened to: audio/pauses.py. */
import { percentile } from "./levels";
import { FRAME, RATE } from "./limits";

const HOP = RATE / 100;
const EDGE = RATE / 50;
const PEAK_FRAMES = 15;
const MOST_PAUSE = RATE;
const LEFT_BEFORE = RATE / 10;
const LEFT_AFTER = RATE / 4;

/** First sample and end of what is listened to: all but long pauses at the ends. */
export function withoutPauses(waveform: Float32Array): [number, number] {
  const [start, end] = speechSpan(waveform);
  if (start + waveform.length - end <= MOST_PAUSE) return [0, waveform.length];
  const first = Math.floor(Math.max(0, start - LEFT_BEFORE) / FRAME) * FRAME;
  return [first, Math.min(waveform.length, end + LEFT_AFTER)];
}

export function speechSpan(waveform: Float32Array): [number, number] {
  const whole: [number, number] = [0, waveform.length];
  if (waveform.length < 5 * HOP) return whole;
  const levels: number[] = [];
  for (let start = 0; start + 2 * HOP <= waveform.length; start += HOP) {
    let sum = 0;
    for (let i = start; i < start + 2 * HOP; i++) sum += waveform[i] ** 2;
    levels.push(10 * Math.log10(sum / (2 * HOP) + 1e-12));
  }
  const floor = percentile(levels, 10);
  const peak = percentile(levels, 100 * (1 - Math.min(0.05, PEAK_FRAMES / levels.length)));
  const highest = Math.max(peak - 20, Math.min(floor + 8, peak - 6));
  const least = Math.min(Math.max(floor + 10, peak - 40), highest); // numpy's clip: the upper bound wins
  const loud = levels.map((level) => level > least);
  const lasting: number[] = [];
  loud.forEach((is, i) => {
    let near = 0;
    for (let j = Math.max(0, i - 2); j <= Math.min(loud.length - 1, i + 2); j++) near += Number(loud[j]);
    if (is && near >= 3) lasting.push(i);
  });
  if (!lasting.length) return whole;
  const [start, end] = [lasting[0] * HOP, (lasting[lasting.length - 1] + 2) * HOP];
  return [Math.max(0, start - EDGE), Math.min(waveform.length, end + EDGE)];
}
