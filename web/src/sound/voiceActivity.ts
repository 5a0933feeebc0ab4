/** When something sounds that may be a voice: audio/voice_activity.py, frame by frame. */
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
const SHORTEST_FRAMES = 10;
const STEADY_DB = 6;
const REMEMBERED_FRAMES = 400;

export const LEAD = RATE / 4;
export const TAIL = RATE / 10;

export type Change = "begin" | "end" | undefined;

/** A frame is `window` samples of the stream, one every `hop`; before: samples ahead of a frame that it needs. */
export class VoiceDetector {
  readonly hop: number = HOP;
  readonly window: number = WINDOW;
  readonly before: number = 0;
  protected readonly openFrames: number = 4;
  protected readonly openOf: number = 6;
  protected readonly settleFrames: number = 20;
  protected readonly hangoverFrames: number = 20;
  protected readonly longestFrames: number = 800; // 8 s
  speaking = false;
  protected sounded = 0;
  private frame = -1;
  private start = 0;
  private end = 0;
  private floor = [LOWEST_FLOOR, LOWEST_FLOOR];
  private past: [number, number][] = [];
  private loud: boolean[] = [];
  private levels: number[] = [];
  private peak = [LOWEST_FLOOR, LOWEST_FLOOR];

  /** Whether the segment so far is long and varied enough to be a voice. */
  get voiced(): boolean {
    return this.sounded >= SHORTEST_FRAMES && percentile(this.levels, 90) - percentile(this.levels, 10) > STEADY_DB;
  }

  /** The sample at which the segment begins. */
  get first(): number {
    return this.start * this.hop;
  }

  /** The sample at which the segment's last frame that sounded ends. */
  get last(): number {
    return this.end * this.hop + this.window;
  }

  /** The sample at which the last frame that was looked at ends. */
  get now(): number {
    return this.frame * this.hop + this.window;
  }

  /** From and to which sample of a stream of so many the next call of feed takes; undefined for not yet. */
  wanted(total: number): [number, number] | undefined {
    const first = this.frame + 1;
    const n = Math.floor((total - this.window) / this.hop) + 1 - first;
    return n > 0 ? [first * this.hop - this.before, (first + n - 1) * this.hop + this.window] : undefined;
  }

  /** The wanted samples: of each frame, whether a segment begins or has ended with it. */
  *feed(samples: Float32Array): Generator<Change> {
    for (const levels of bandLevels(samples)) {
      const frame = this.frame + 1;
      this.past.push(levels);
      if (this.past.length > FLOOR_FRAMES) this.past.shift();
      if (frame % FLOOR_EVERY === 0 && frame >= this.settleFrames - 1)
        this.floor = [0, 1].map((band) => Math.max(percentile(this.past.map((one) => one[band]), FLOOR_PERCENTILE), LOWEST_FLOOR));
      const loud = levels.some((level, band) => level > QUIETEST && level > this.floor[band] + OPEN_DB);
      this.peak = this.speaking ? this.peak.map((peak, band) => Math.max(peak, levels[band])) : [...levels];
      const held = levels.some((level, band) => level > QUIETEST && level > this.floor[band] + HOLD_DB && level > this.peak[band] - RANGE_DB);
      yield this.step(loud, held, Math.max(...levels));
    }
  }

  /** The next frame: whether it may open a segment, whether it keeps one open, and how loud it is. */
  protected step(loud: boolean, held: boolean, level: number): Change {
    this.frame++;
    if (this.frame < this.settleFrames - 1) return undefined;
    if (!this.speaking) {
      this.loud = [...this.loud, loud].slice(-this.openOf);
      if (this.loud.filter(Boolean).length < this.openFrames) return undefined;
      this.start = this.frame - this.loud.length + 1 + this.loud.indexOf(true);
      [this.loud, this.levels, this.sounded, this.speaking] = [[], [], 0, true];
      this.sound(level);
      return "begin";
    }
    if (held) this.sound(level);
    if (this.frame - this.end >= this.hangoverFrames || this.frame - this.start + 1 >= this.longestFrames) {
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

  /** Begin at a sample of the stream, as another detector did what comes before it. */
  skipTo(sample: number): void {
    this.frame = Math.max(-1, Math.ceil((sample + this.before) / this.hop) - 1);
    this.start = this.end = Math.max(0, this.frame);
  }
}
