/** The power spectrum of a real frame: radix 2, in doubles. */
export class Spectrum {
  private readonly cosine: Float64Array;
  private readonly sine: Float64Array;
  private readonly re: Float64Array;
  private readonly im: Float64Array;

  /** size: a power of two. */
  constructor(readonly size: number) {
    const angles = Float64Array.from({ length: size / 2 }, (_, i) => (2 * Math.PI * i) / size);
    this.cosine = angles.map(Math.cos);
    this.sine = angles.map(Math.sin);
    this.re = new Float64Array(size);
    this.im = new Float64Array(size);
  }

  /** |X|² at the frequencies 0 to size / 2 of a frame, which may be shorter than size. */
  power(frame: ArrayLike<number>): Float64Array {
    this.transform(frame);
    return Float64Array.from({ length: this.size / 2 + 1 }, (_, i) => this.re[i] ** 2 + this.im[i] ** 2);
  }

  /** The inverse transform of a real, even spectrum given at 0 to size / 2: its first n values. */
  even(half: Float64Array, n: number): Float64Array {
    const whole = new Float64Array(this.size);
    for (let i = 0; i <= this.size / 2; i++) whole[i] = whole[(this.size - i) % this.size] = half[i];
    this.transform(whole);
    return this.re.slice(0, n).map((value) => value / this.size);
  }

  private transform(frame: ArrayLike<number>): void {
    const { size, re, im } = this;
    re.fill(0);
    im.fill(0);
    for (let i = 0, j = 0; i < size; i++) {
      if (i < frame.length) re[j] = frame[i];
      let bit = size >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
    }
    for (let span = 1; span < size; span *= 2) {
      const step = size / (2 * span);
      for (let start = 0; start < size; start += 2 * span) {
        for (let k = 0; k < span; k++) {
          const [c, s] = [this.cosine[k * step], -this.sine[k * step]];
          const [a, b] = [start + k, start + k + span];
          const [x, y] = [re[b] * c - im[b] * s, re[b] * s + im[b] * c];
          re[b] = re[a] - x;
          im[b] = im[a] - y;
          re[a] += x;
          im[a] += y;
        }
      }
    }
  }
}
