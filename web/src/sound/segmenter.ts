/** A stream of sound -> its stretches, each as soon as it is over: audio/segmenter.py. */
import { LEAD, TAIL, type VoiceDetector } from "./voiceActivity";

export interface Stretch {
  /** Samples of the stream that it spans; its sound has a little more on either side. */
  start: number;
  end: number;
  sound: Float32Array;
}

export class Segmenter {
  private kept = new Float32Array(0);
  private first = 0; // sample of the stream that `kept` begins with
  private total = 0;
  private begun = 0;
  private ended = 0;

  constructor(private detector: VoiceDetector) {}

  get speaking(): boolean {
    return this.detector.speaking;
  }

  /** Look by another detector from here on. */
  detect(detector: VoiceDetector): void {
    detector.skipTo(this.total);
    this.detector = detector;
  }

  /** The next samples at 16 kHz, of any number -> the stretches that ended in them. */
  feed(block: Float32Array): Stretch[] {
    const { detector } = this;
    this.kept = joined(this.kept, block);
    this.total += block.length;
    const found: Stretch[] = [];
    const wanted = detector.wanted(this.total);
    if (wanted) {
      const [from, to] = wanted;
      const before = new Float32Array(Math.max(0, -from)); // the stream had not begun
      const samples = joined(before, this.kept.subarray(Math.max(0, from) - this.first, to - this.first));
      for (const change of detector.feed(samples)) {
        if (change === "begin") this.begun = Math.max(this.ended, detector.first - LEAD, 0);
        if (change === "end") found.push(...this.close());
      }
    }
    const needed = detector.speaking ? this.begun : detector.now - 2 * LEAD;
    if (needed > this.first) {
      this.kept = this.kept.slice(needed - this.first);
      this.first = needed;
    }
    return found;
  }

  /** The stream is over: the stretch that was not. */
  finish(): Stretch[] {
    if (!this.detector.speaking) return [];
    this.detector.speaking = false;
    return this.close();
  }

  private close(): Stretch[] {
    const { last, first, now, voiced } = this.detector;
    const start = Math.max(this.ended, first);
    const until = Math.min(last + TAIL, now);
    this.ended = last;
    return voiced ? [{ start, end: last, sound: this.kept.slice(this.begun - this.first, until - this.first) }] : [];
  }
}

function joined(a: Float32Array, b: Float32Array): Float32Array<ArrayBuffer> {
  const found = new Float32Array(a.length + b.length);
  found.set(a);
  found.set(b, a.length);
  return found;
}
