/** Stretches of sound that may be a voice, as they end: audio/voice_activity.py and segmenter.py, frame by frame. */
import { HOP, WINDOW, bandLevels, percentile } from "./levels";
import { RATE } from "./limits";

const FLOOR_FRAMES = 300;
const FLOOR_PERCENTILE = 15;
const FLOOR_EVERY = 5;
const LOWEST_FLOOR = -70;
const QUIETEST = -55;
const OPEN_DB = 10;
const HOLD_DB = 6;
const RANGE_DB = 32;
const OPEN_FRAMES = 4;
const OPEN_OF = 6;
const HANGOVER_FRAMES = 20;
const SETTLE_FRAMES = 20;
const SHORTEST_FRAMES = 10;
const STEADY_DB = 6;
const REMEMBERED_FRAMES = 400;
const LONGEST_FRAMES = 800; // 8 s
const LEAD = RATE / 4;
const TAIL = RATE / 10;

export interface Stretch {
  /** Samples of the stream that it spans; its sound has a little more on either side. */
  start: number;
  end: number;
  sound: Float32Array;
}

export class Segmenter {
  speaking = false;
  private frame = -1;
  private start = 0;
  private end = 0;
  private floor = [LOWEST_FLOOR, LOWEST_FLOOR];
  private past: [number, number][] = [];
  private loud: boolean[] = [];
  private levels: number[] = [];
  private peak = [LOWEST_FLOOR, LOWEST_FLOOR];
  private sounded = 0;
  private kept = new Float32Array(0);
  private first = 0; // sample of the stream that `kept` begins with
  private total = 0;
  private begun = 0;
  private ended = 0;

  /** The next samples at 16 kHz, of any number -> the stretches that ended in them. */
  feed(block: Float32Array): Stretch[] {
    const kept = new Float32Array(this.kept.length + block.length);
    kept.set(this.kept);
    kept.set(block, this.kept.length);
    this.kept = kept;
    this.total += block.length;
    const from = (this.frame + 1) * HOP;
    const n = Math.floor((this.total - WINDOW) / HOP) - this.frame;
    const found: Stretch[] = [];
    if (n > 0) {
      for (const levels of bandLevels(kept.subarray(from - this.first, from - this.first + (n - 1) * HOP + WINDOW))) {
        const change = this.step(levels);
        if (change === "begin") this.begun = Math.max(this.ended, this.start * HOP - LEAD, 0);
        if (change === "end") found.push(...this.close());
      }
    }
    const needed = this.speaking ? this.begun : this.frame * HOP + WINDOW - 2 * LEAD;
    if (needed > this.first) {
      this.kept = this.kept.slice(needed - this.first);
      this.first = needed;
    }
    return found;
  }

  /** The stream is over: the stretch that was not. */
  finish(): Stretch[] {
    if (!this.speaking) return [];
    this.speaking = false;
    return this.close();
  }

  private close(): Stretch[] {
    const last = this.end * HOP + WINDOW;
    const start = Math.max(this.ended, this.start * HOP);
    const until = Math.min(last + TAIL, this.frame * HOP + WINDOW);
    this.ended = last;
    return this.voiced() ? [{ start, end: last, sound: this.kept.slice(this.begun - this.first, until - this.first) }] : [];
  }

  private voiced(): boolean {
    return this.sounded >= SHORTEST_FRAMES && percentile(this.levels, 90) - percentile(this.levels, 10) > STEADY_DB;
  }

  private step(levels: [number, number]): "begin" | "end" | undefined {
    this.frame++;
    this.past.push(levels);
    if (this.past.length > FLOOR_FRAMES) this.past.shift();
    if (this.frame % FLOOR_EVERY === 0 && this.frame >= SETTLE_FRAMES - 1)
      this.floor = [0, 1].map((band) => Math.max(percentile(this.past.map((one) => one[band]), FLOOR_PERCENTILE), LOWEST_FLOOR));
    const loud = levels.some((level, band) => level > QUIETEST && level > this.floor[band] + OPEN_DB);
    this.peak = this.speaking ? this.peak.map((peak, band) => Math.max(peak, levels[band])) : [...levels];
    const held = levels.some((level, band) => level > QUIETEST && level > this.floor[band] + HOLD_DB && level > this.peak[band] - RANGE_DB);
    if (this.frame < SETTLE_FRAMES - 1) return undefined;
    const level = Math.max(...levels);
    if (!this.speaking) {
      this.loud = [...this.loud, loud].slice(-OPEN_OF);
      if (this.loud.filter(Boolean).length < OPEN_FRAMES) return undefined;
      this.start = this.frame - this.loud.length + 1 + this.loud.indexOf(true);
      [this.loud, this.levels, this.sounded, this.speaking] = [[], [], 0, true];
      this.sound(level);
      return "begin";
    }
    if (held) this.sound(level);
    if (this.frame - this.end >= HANGOVER_FRAMES || this.frame - this.start + 1 >= LONGEST_FRAMES) {
      this.speaking = false;
      return "end";
    }
    return undefined;
  }

  private sound(level: number): void {
    this.end = this.frame;
    this.levels = [...this.levels, level].slice(-REMEMBERED_FRAMES);
    this.sounded++;
  }
}
