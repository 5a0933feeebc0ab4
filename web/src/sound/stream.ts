/** Resampling of sound that is still coming in, in blocks of 0.1 s: each once the block after it is there. */
import { resample } from "./resample";

export class StreamResampler {
  private before = new Float32Array(0);
  private now = new Float32Array(0);

  constructor(private readonly rate: number) {}

  /** The next 0.1 s at the rate -> the 0.1 s before it, at 16 kHz; nothing at first. */
  feed(block: Float32Array): Float32Array {
    const { before, now } = this;
    [this.before, this.now] = [now, new Float32Array(block)];
    if (!now.length) return now;
    const three = new Float32Array(before.length + now.length + block.length);
    three.set(before);
    three.set(now, before.length);
    three.set(block, before.length + now.length);
    const resampled = resample(three, this.rate);
    const [start, n] = [before.length, now.length].map((length) => Math.round((length * 16_000) / this.rate));
    return resampled.slice(start, start + n);
  }

  /** The last block, as if silence followed. */
  finish(): Float32Array {
    return this.feed(new Float32Array(this.now.length));
  }
}
